"""The loop's small decisions: seeds, methods, history, selection."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rewardgen.config import BudgetConfig
from rewardgen.errors import BudgetExceeded, ConfigError, UnknownName
from rewardgen.prompting import Manner, generation
from rewardgen.records import Outcome, Problem
from rewardgen.request import Turn
from rewardgen.search import load_method, method_names
from rewardgen.search.budget import WorkBudget
from rewardgen.search.history import History, keeps_parent
from rewardgen.search.loop import Scored, best_of
from rewardgen.search.seeds import report_episode_seed, report_seeds, selection_seeds
from rewardgen.tasks import load_task


def scored(key: str, score: float | None) -> Scored:
    return Scored(key, f"code of {key}", score, 0.0, f"about {key}")


def test_selection_and_report_seeds_never_meet() -> None:
    selection = {seed for run in range(50) for place in range(20) for seed in selection_seeds(run, place % 3, place, 4)}
    report = {seed for run in range(50) for seed in report_seeds(run, 4)} | {report_episode_seed(s) for s in range(50)}
    assert not selection & report
    assert len(selection) == 50 * 20 * 4  # and no two places share one
    assert selection_seeds(1, 0, 2, 3) == selection_seeds(1, 0, 2, 3)


def test_nan_and_missing_never_win() -> None:
    assert best_of([scored("a", None), scored("b", math.nan), scored("c", -5.0), scored("d", math.inf)]) == scored(
        "c", -5.0
    )
    assert best_of([scored("a", None), scored("b", math.nan)]) is None
    assert best_of([scored("a", 1.0), scored("b", 1.0)]) == scored("a", 1.0)


def test_history_shows_so_many_former_bests() -> None:
    history = History(failures=(Outcome("r0g1c0", None, (Problem("smoke", "constant"),)),))
    for number in range(20):
        history = history.with_turn(scored(f"c{number}", 1.0), Turn(f"code {number}", "", f"c{number}"))
    assert not history.failures and history.parent is not None and history.parent.key == "c19"
    assert [turn.candidate for turn in history.turns] == [f"c{number}" for number in range(4, 20)]
    talk = generation(load_task("cartpole/swingup"), history.turns, (), None, Manner(history=2)).messages
    assert [m.content for m in talk if m.role == "assistant"] == ["```python\ncode 18\n```", "```python\ncode 19\n```"]


def test_a_parent_stays_where_the_method_carries_on_the_best_of_the_run() -> None:
    former, better = scored("a", 1.0), scored("b", 2.0)
    eureka = load_method("eureka")  # its code shows the last generation's best, though a former one was better
    assert not keeps_parent(eureka, better, former)
    keeping = eureka.model_copy(update={"parent": "run"})
    assert keeps_parent(keeping, better, former) and not keeps_parent(keeping, former, better)
    assert not keeps_parent(keeping, None, former)


def test_unknown_and_wrong_methods(tmp_path: Path) -> None:
    assert "eureka" in method_names()
    with pytest.raises(UnknownName, match="did you mean eureka"):
        load_method("eureca")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: x\nsummary: y\nhistroy: 2\n")
    with pytest.raises(ConfigError, match="did you mean history"):
        load_method(str(wrong))


def test_the_budget_stops_before_it_is_exceeded() -> None:
    spent = 700
    budget = WorkBudget(BudgetConfig(steps=1000), lambda: spent, 0.0)
    budget.check_steps(300)
    with pytest.raises(BudgetExceeded, match="300 left"):
        budget.check_steps(301)
    with pytest.raises(BudgetExceeded, match="kept for the reported scores"):
        budget.check_steps(200, reserve=101)
    with pytest.raises(BudgetExceeded, match="hours is used up"):
        WorkBudget(BudgetConfig(hours=1.0), lambda: 0, 3600.0).check_hours()
    foreseen = WorkBudget(BudgetConfig(hours=1.0), lambda: 0, 3000.0)
    foreseen.check_steps(10**9)  # without a measured speed nothing can be foreseen
    foreseen.measured(1000.0)
    foreseen.check_steps(500_000)
    with pytest.raises(BudgetExceeded, match="would take about 12"):
        foreseen.check_steps(700_000)
