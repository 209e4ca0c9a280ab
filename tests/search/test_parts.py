"""The loop's small decisions: seeds, methods, history, selection."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rewardgen.config import BudgetConfig
from rewardgen.errors import BudgetExceeded, ConfigError, UnknownName
from rewardgen.prompting import Manner, generation
from rewardgen.records import Outcome, Problem, RewardProgram
from rewardgen.request import Turn
from rewardgen.search import load_method, method_names
from rewardgen.search.candidate import Candidate, History, Place
from rewardgen.search.feedback import with_turn
from rewardgen.search.rank import best_of, next_parent
from rewardgen.search.services import WorkBudget
from rewardgen.seeds import report_episode_seed, report_seeds
from rewardgen.tasks import load_task


def scored(key: str, score: float | None) -> Candidate:
    return Candidate(key, program=RewardProgram(f"code of {key}"), score=score, feedback=f"about {key}")


def test_selection_and_report_seeds_never_meet() -> None:
    places = [Place(number % 3, number, run) for run in range(50) for number in range(20)]
    selection = {seed for place in places for seed in place.selection_seeds(4)}
    report = {seed for run in range(50) for seed in report_seeds(run, 4)} | {report_episode_seed(s) for s in range(50)}
    assert not selection & report
    assert len(selection) == 50 * 20 * 4  # and no two places share one
    assert Place(0, 2, 1).selection_seeds(3) == Place(0, 2, 1).selection_seeds(3)


def test_every_key_and_every_seed_of_a_generation_is_its_own() -> None:
    place = Place(0, 1, 7)
    keys = [place.key, place.analysis_call, *place.candidates(3), place.judgement("vlm", 0), place.judgement("vlm", 1)]
    keys += [place.own_call(index) for index in range(3)]
    for key in (place.repair_call, place.review_call, place.revision_call):
        keys += [key(index, number) for index in range(3) for number in range(3)]
    assert len(set(keys)) == len(keys)
    assert place.candidate(2) == "r0g1c2" and place.repair_call(2, 0) == "r0g1c2a1" and place.own_call(0) == "r0g1i0"
    assert place.review_call(2, 1) == "r0g1c2v1" and place.revision_call(2, 1) == "r0g1c2w1"

    def seeds(place: Place) -> list[int]:
        alone = [place.births_seed, place.migration_seed, place.probes_seed, place.analysis_seed, place.replies_seed]
        each = [place.replies_seed, place.pair_seed, place.simulated_judge_seed, place.vision_seed]
        pairs = [place.repair_seed, place.review_seed, place.revision_seed, place.audit_seed]
        found = [make() for make in alone] + [make(index) for make in each for index in range(3)]
        found += [make(index, number) for make in pairs for index in range(3) for number in range(3)]
        return [*found, *place.selection_seeds(4), *place.fresh_seeds(4)]

    everyone = [seed for other in (place, Place(0, 2, 7), Place(1, 1, 7), Place(0, 1, 8)) for seed in seeds(other)]
    assert len(set(everyone)) == len(everyone)
    # a known value: stored runs depend on it
    assert Place(0, 0, 0).selection_seeds(1) == [1228302656]


def test_history_keeps_programs_in_the_order_in_which_they_were_accepted() -> None:
    def tried(index: int, attempt: int, source: str | None) -> Candidate:
        program = None if source is None else RewardProgram(source)
        return Candidate(f"r0g0c{index}", index, program=program, attempt=attempt)

    history = History().extended([tried(0, 1, "repaired"), tried(1, 0, "good"), tried(2, 1, None), tried(3, 0, "fine")])
    assert list(history.tried) == ["r0g0c1", "r0g0c3", "r0g0c0"]
    assert list(history.candidates) == [f"r0g0c{index}" for index in range(4)]
    assert history.restarted().candidates == history.candidates and not history.restarted().tried


def test_nan_and_missing_never_win() -> None:
    assert best_of([scored("a", None), scored("b", math.nan), scored("c", -5.0), scored("d", math.inf)]) == scored(
        "c", -5.0
    )
    assert best_of([scored("a", None), scored("b", math.nan)]) is None
    assert best_of([scored("a", 1.0), scored("b", 1.0)]) == scored("a", 1.0)


def test_history_shows_so_many_former_bests() -> None:
    history = History(failures=(Outcome("r0g1c0", None, (Problem("smoke", "constant"),)),))
    for number in range(20):
        history = with_turn(history, f"c{number}", Turn(f"code {number}", "", f"c{number}"))
    assert not history.failures and history.parent == "c19"
    assert [turn.candidate for turn in history.turns] == [f"c{number}" for number in range(4, 20)]
    talk = generation(load_task("cartpole/swingup"), history.turns, (), None, Manner(history=2)).messages
    assert [m.content for m in talk if m.role == "assistant"] == ["```python\ncode 18\n```", "```python\ncode 19\n```"]


def test_a_parent_stays_where_the_method_carries_on_the_best_of_the_run() -> None:
    worse, better = scored("a", 1.0), scored("b", 2.0)

    def history(parent: Candidate | None) -> History:
        return History({parent.key: parent}, parent=parent.key) if parent is not None else History()

    eureka = load_method("eureka")  # its code shows the last generation's best, though a former one was better
    assert next_parent(eureka, history(better), worse) == worse
    keeping = eureka.model_copy(update={"parent": "run"})
    assert next_parent(keeping, history(better), worse) == better
    assert next_parent(keeping, history(worse), better) == better
    assert next_parent(keeping, history(None), worse) == worse


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
