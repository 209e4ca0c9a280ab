"""What holds for every test: no display, no key, no settings from outside; and in which order they run."""

from __future__ import annotations

import os
import signal

import pytest

from tests.slow import slow

os.environ.setdefault("MUJOCO_GL", "disable")  # before anything imports mujoco

# Run in the background, the tests may be made to ignore Ctrl-C, and the commands that they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

FROM_OUTSIDE = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "REWARDGEN_ENVS", "REWARDGEN_PROMPTS")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the person who runs the tests has set, no test may depend on it, or spend their money."""
    for name in FROM_OUTSIDE:
        monkeypatch.delenv(name, raising=False)


LONGEST = (
    "tests/search/test_resume.py::test_killed_twenty_times",
    "tests/search/test_saved_trainings.py::test_a_search_killed_in_its_trainings_twenty_times",
    "tests/sweep/test_running.py",
    "tests/sweep/test_ray.py",
    "tests/packaging/test_wheel.py",
    "tests/mcp/test_mcp.py",
    "tests/web/test_searching.py",
)
"""The tests, or the files of tests, that take the longest, as their identifiers begin. They run first: the worker that
begun one of them last would go on when the others have nothing left to do."""
QUICK_SECONDS = 5.0
"""A test that takes longer belongs among the slow ones."""


@pytest.hookimpl(tryfirst=True)  # before the choice by -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run ``LONGEST`` first; the others keep their order. Mark what ``slow.txt`` lists as slow."""
    listed = slow()
    for item in items:
        if item.nodeid.partition("[")[0] in listed:
            item.add_marker(pytest.mark.slow)
    rank = {name: number for number, name in enumerate(LONGEST)}

    def place(item: pytest.Item) -> int:
        return next((number for name, number in rank.items() if item.nodeid.startswith(name)), len(LONGEST))

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what ``make quick`` spent too long on: measured here and now, so it fails nothing."""
    if config.option.markexpr != "not slow":
        return
    took: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                took[report.nodeid] = took.get(report.nodeid, 0.0) + report.duration
    long = sorted(((seconds, name) for name, seconds in took.items() if seconds > QUICK_SECONDS), reverse=True)
    if long:
        terminalreporter.section(f"not marked slow, and above {QUICK_SECONDS:g} s")
        for seconds, name in long:
            terminalreporter.line(f"{seconds:.1f} s  {name}")
