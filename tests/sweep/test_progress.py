"""What a person is told while a sweep runs: how far it is and how long it will take, by hand."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from rewardgen.cli.sweep_progress import SweepLines, SweepProgress, SweepView, status_line
from rewardgen.search import Event
from rewardgen.search.events import Calling, CostSoFar, Evaluated, RunWarning, TrainingProgress, TrainingStarted
from rewardgen.sweep import Job, Plan, Rates, make_plan
from rewardgen.sweep.estimate import STARTING
from rewardgen.sweep.events import BaselineSteps, JobEnded, JobRetried, JobStarted, SearchLeftOut, SweepStarted
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
    reused = tuple(planned.key for planned in plan.searches[:done])
    return SweepStarted(4, done, reused, 1, "on this machine")


def test_what_is_left_follows_from_what_is_over_and_what_is_under_way(plan: Plan) -> None:
    clock = Clock()
    progress = SweepProgress(plan, RATES, threads=1, slots=2, clock=clock)
    progress.update(None, started(plan, 1))
    assert progress.seconds_left == pytest.approx(3 * EACH / 2)
    for seed in (1, 2):
        progress.update(job(plan, seed), JobStarted(1, "x"))
    clock.now = 10.0
    assert progress.seconds_left == pytest.approx((2 * (EACH - 10) + EACH) / 2)
    # the first took twice as long as was expected of it: so will the rest
    clock.now = 2 * EACH
    progress.update(job(plan, 1), JobEnded("finished", "", ""))
    assert progress.seconds_left == pytest.approx(2 * EACH / 2) or progress.seconds_left == pytest.approx(2 * EACH)
    assert (progress.done, progress.total) == (2, 4)
    # what a search says of its own speed is better than any estimate
    progress.update(job(plan, 2), TrainingStarted(6, 6000, "final"))
    progress.update(job(plan, 2), TrainingProgress(1000, 6000, 50.0, "final"))
    assert progress.running[job(plan, 2).key].seconds_left == 100.0
    # the one that is over took twice as long as was expected, this one will have taken 100 s more: so will the last
    assert progress.seconds_left == pytest.approx(max((2 * EACH + 50 + 100) / 2, 100.0))
    progress.update(job(plan, 2), JobEnded("failed", "Crash", "it fell"))
    progress.update(None, SearchLeftOut(job(plan, 3).key, "no budget"))
    assert progress.seconds_left is None and progress.done == 4


def test_the_cost_of_all_searches_is_added_up(plan: Plan) -> None:
    progress = SweepProgress(plan, RATES, threads=1, slots=2, clock=Clock())
    progress.update(None, started(plan, 0))
    for seed in (0, 1):
        progress.update(job(plan, seed), JobStarted(1, "x"))
        cost = CostSoFar(calls=1, prompt_tokens=100, completion_tokens=50, dollars=0.25, steps=1000, seconds=9.0)
        progress.update(job(plan, seed), cost)
    progress.update(job(plan, 0), JobEnded("finished", "", ""))
    assert "2 calls, 300 tokens, $0.5000, 2,000 environment steps" in status_line(progress)


def test_lines_and_the_view_say_what_happens(plan: Plan) -> None:
    said, drawn = io.StringIO(), io.StringIO()
    lines = SweepLines(SweepProgress(plan, RATES, 1, 2, Clock()), Console(file=said, width=200), clock=Clock())
    screen = Console(file=drawn, force_terminal=True, width=120, color_system=None)
    final = Evaluated("winner", 5.0, 4.0, 6.0, 0.5)
    with SweepView(SweepProgress(plan, RATES, 1, 2, Clock()), screen) as view:
        for watch in (lines, view):
            watch(None, started(plan, 0))
            watch(job(plan, 0), JobStarted(1, "x"))
            watch(job(plan, 0), Calling("generation", 4))
            watch(job(plan, 0), RunWarning("mind \x1b[31mthis"))
            watch(job(plan, 0), final)
        view._live.refresh()
        for watch in (lines, view):
            watch(job(plan, 0), JobRetried("Crash", "killed", 1))
            watch(job(plan, 0), JobStarted(1, "x"))
            watch(job(plan, 0), final)
            watch(job(plan, 0), JobEnded("finished", "", ""))
    for text in (said.getvalue(), drawn.getvalue()):
        assert "sweep spec: 4 searches; on this machine" in text
        assert "note on default/cartpole/swingup/seed0: mind \\x1b[31mthis" in text and "\x1b[31m" not in text
        assert "failed and is retried: Crash: killed" in text
        assert "[1/4] finished default/cartpole/swingup/seed0: 5 [4, 6]; about" in text
    assert "asking for 4 rewards" in drawn.getvalue() and "0 of 4 searches" in drawn.getvalue()


def test_how_far_baselines_are_is_said(plan: Plan) -> None:
    progress = SweepProgress(plan, RATES, threads=1, slots=2, clock=Clock())
    baselines = Job("baselines/cartpole/swingup/0", "baselines", plan.searches[0].config, Path(), Path())
    progress.update(baselines, JobStarted(1, "x"))
    progress.update(baselines, BaselineSteps(1000))  # of 2 rewards, 2 seeds each, 1,000 steps a training
    assert progress.activity(baselines.key) == "measuring 25%"
    progress.update(baselines, JobEnded("finished", "", ""))
    assert not progress.running and progress.done == 0
