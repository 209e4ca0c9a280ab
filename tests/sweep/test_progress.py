"""What a person is told while a sweep runs: how far it is and how long it will take, by hand."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from rewardgen.cli.sweep_progress import SweepLines, SweepProgress, SweepView, status_line
from rewardgen.search import Event
from rewardgen.sweep import Job, Plan, Rates, make_plan
from rewardgen.sweep.estimate import STARTING
from tests.sweep.specs import written

RATES = Rates({"cartpole/swingup population": 100.0}, {}, 1)
EACH = 7 * 1000 / 100 + STARTING
"""Seconds that a search is expected to take: 4 rewards, 1 to measure again and 2 of the winner, of 1,000 steps."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    text = """
        tasks: cartpole/swingup
        seeds: 4
        settings:
          llm.model: offline
          training.steps: 1000
          search: {generations: 1, candidates: 4}
          evaluation.report_seeds: 2
    """
    return make_plan(written(tmp_path, text), tmp_path)


def job(plan: Plan, seed: int) -> Job:
    planned = plan.searches[seed]
    return Job(planned.key, "search", planned.config, planned.run_dir, Path())


def started(plan: Plan, done: int) -> Event:
    reused = [planned.key for planned in plan.searches[:done]]
    data = {"searches": 4, "finished": done, "reused": reused, "baselines": 1, "where": "on this machine"}
    return Event("sweep_started", data)


def test_what_is_left_follows_from_what_is_over_and_what_is_under_way(plan: Plan) -> None:
    clock = Clock()
    progress = SweepProgress(plan, RATES, threads=1, slots=2, clock=clock)
    progress.take(None, started(plan, 1))
    assert progress.seconds_left == pytest.approx(3 * EACH / 2)
    for seed in (1, 2):
        progress.take(job(plan, seed), Event("started", {}))
    clock.now = 10.0
    assert progress.seconds_left == pytest.approx((2 * (EACH - 10) + EACH) / 2)
    # the first took twice as long as was expected of it: so will the rest
    clock.now = 2 * EACH
    progress.take(job(plan, 1), Event("ended", {"status": "finished", "error": "", "message": ""}))
    assert progress.seconds_left == pytest.approx(2 * EACH / 2) or progress.seconds_left == pytest.approx(2 * EACH)
    assert (progress.done, progress.total) == (2, 4)
    # what a search says of its own speed is better than any estimate
    progress.take(job(plan, 2), Event("training_started", {"members": 6, "steps": 6000, "what": "final"}))
    told = {"steps": 1000, "total": 6000, "steps_per_second": 50.0, "what": "final"}
    progress.take(job(plan, 2), Event("training_progress", told))
    assert progress.running[job(plan, 2).key].seconds_left == 100.0
    # the one that is over took twice as long as was expected, this one will have taken 100 s more: so will the last
    assert progress.seconds_left == pytest.approx(max((2 * EACH + 50 + 100) / 2, 100.0))
    progress.take(job(plan, 2), Event("ended", {"status": "failed", "error": "Crash", "message": "it fell"}))
    progress.take(None, Event("left_out", {"search": job(plan, 3).key, "message": "no budget"}))
    assert progress.seconds_left is None and progress.done == 4


def test_the_cost_of_all_searches_is_added_up(plan: Plan) -> None:
    progress = SweepProgress(plan, RATES, threads=1, slots=2, clock=Clock())
    progress.take(None, started(plan, 0))
    for seed in (0, 1):
        progress.take(job(plan, seed), Event("started", {}))
        cost = {
            "calls": 1,
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "dollars": 0.25,
            "steps": 1000,
            "seconds": 9.0,
        }
        progress.take(job(plan, seed), Event("cost", cost))
    progress.take(job(plan, 0), Event("ended", {"status": "finished", "error": "", "message": ""}))
    assert "2 calls, 300 tokens, $0.5000, 2,000 environment steps" in status_line(progress)


def test_lines_and_the_view_say_what_happens(plan: Plan) -> None:
    said, drawn = io.StringIO(), io.StringIO()
    lines = SweepLines(SweepProgress(plan, RATES, 1, 2, Clock()), Console(file=said, width=200), clock=Clock())
    screen = Console(file=drawn, force_terminal=True, width=120, color_system=None)
    final = {"name": "winner", "mean": 5.0, "low": 4.0, "high": 6.0, "success_rate": 0.5}
    with SweepView(SweepProgress(plan, RATES, 1, 2, Clock()), screen) as view:
        for watch in (lines, view):
            watch(None, started(plan, 0))
            watch(job(plan, 0), Event("started", {"pid": 1, "log": "x"}))
            watch(job(plan, 0), Event("calling", {"purpose": "generation", "n": 4}))
            watch(job(plan, 0), Event("warning", {"message": "mind \x1b[31mthis"}))
            watch(job(plan, 0), Event("evaluated", final))
        view._live.refresh()
        for watch in (lines, view):
            watch(job(plan, 0), Event("retried", {"error": "Crash", "message": "killed", "attempt": 1}))
            watch(job(plan, 0), Event("started", {"pid": 1, "log": "x"}))
            watch(job(plan, 0), Event("evaluated", final))
            watch(job(plan, 0), Event("ended", {"status": "finished", "error": "", "message": ""}))
    for text in (said.getvalue(), drawn.getvalue()):
        assert "sweep spec: 4 searches; on this machine" in text
        assert "note on default/cartpole/swingup/seed0: mind \\x1b[31mthis" in text and "\x1b[31m" not in text
        assert "failed and is tried again: Crash: killed" in text
        assert "[1/4] finished default/cartpole/swingup/seed0: 5 [4, 6]; about" in text
    assert "asking for 4 rewards" in drawn.getvalue() and "0 of 4 searches" in drawn.getvalue()


def test_how_far_baselines_are_is_said(plan: Plan) -> None:
    progress = SweepProgress(plan, RATES, threads=1, slots=2, clock=Clock())
    baselines = Job("baselines/cartpole/swingup/0", "baselines", plan.searches[0].config, Path(), Path())
    progress.take(baselines, Event("started", {}))
    progress.take(baselines, Event("steps", {"steps": 1000}))  # of 2 rewards, 2 seeds each, 1,000 steps a training
    assert progress.doing(baselines.key) == "measuring 25%"
    progress.take(baselines, Event("ended", {"status": "finished", "error": "", "message": ""}))
    assert not progress.running and progress.done == 0
