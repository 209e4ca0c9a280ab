"""What programs print stands in the store and in the report, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewardgen import config, search
from rewardgen.records import Layout, RewardProgram
from rewardgen.report import write_report
from rewardgen.screening import checks
from tests.cli.commands import rewardgen
from tests.search.test_search import SMALL

WORD = "ZEBRA"


@pytest.mark.slow
def test_prints_reach_the_report_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loud = "print('ZEB' + 'RA', '<script>', '\\x1b[31m')\n"  # the word is in what it prints and not in its text

    def check(source: str, layout: Layout) -> RewardProgram:  # the static check would refuse to print
        return RewardProgram(loud + source)

    monkeypatch.setattr(checks, "check", check)
    told: list[search.Event] = []
    overrides = SMALL | {"llm.model": "offline", "search.generations": 2, "search.repairs": 0}
    view = search.run(config.load(overrides=overrides), tmp_path / "run", listener=told.append)

    attempts = [attempt for candidate in view.candidates.values() for attempt in candidate.attempts]
    assert {attempt.output for attempt in attempts} == {"ZEBRA <script> [31m"}
    assert view.status == "finished" and view.winner is not None
    assert WORD not in repr(told) and WORD not in repr(view)  # events, prompts, reflections, problems
    assert WORD not in "".join(capfd.readouterr())
    folder = tmp_path / "run"
    files = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and WORD.encode() in path.read_bytes()
    }
    assert files <= {"run.sqlite", "run.sqlite-wal", "report.html"}

    page = write_report(view, tmp_path / "page.html").read_text()
    assert "ZEBRA &lt;script&gt; [31m" in page and "<script" not in page
    for command in (["show"], ["show", "--json"], ["show", "--candidate", view.winner, "--json"]):
        shown = rewardgen(command[0], folder, *command[1:])
        assert shown.code == 0 and WORD not in shown.out + shown.err
