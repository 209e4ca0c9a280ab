"""Races against training all to the end: the counting by hand, and one small comparison for real."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rewardgen.bench.racing import compare_racing, compare_round, mean_score, over_rounds, pick, summarise
from rewardgen.config import load
from rewardgen.errors import UsageError
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.tasks import load_task
from tests.search.recorded import populations, raced, replays


def training(key: str, *fitness: float, seed: int = 0, status: Any = "done") -> TrainingResult:
    """Checkpoints every 10 steps."""
    curve = tuple(
        Checkpoint(10 * (i + 1), value, 0.0, 0.0, 0.0, {}, {}, 1.0, {}, 0.0, 2) for i, value in enumerate(fitness)
    )
    return TrainingResult(key, seed, status, "", curve, None, 10 * len(fitness), 0.0)


def test_steps_to_the_same_best_by_hand() -> None:
    whole = [training("a", 1.0, 2.0, 3.0, 2.0), training("b", 1.0, 1.0, 1.0, 1.0), training("c", 2.0, 2.0, 2.0, 2.0)]
    raced = [whole[0], training("b", 1.0, status="stopped"), training("c", 2.0, 2.0, status="stopped")]
    found = compare_round(whole, raced)
    assert (found["candidates"], found["stopped"]) == (3, 2)
    assert (found["best_all"], found["best_racing"]) == (3.0, 3.0)
    assert (found["steps_all"], found["steps_racing"]) == (120, 70)
    # a reaches 3.0 at its third checkpoint: 3 × 30 steps, and 30 + 10 + 20 with the race
    assert (found["to_best_all"], found["to_best_racing"]) == (90, 60)


def test_a_race_that_lost_the_best_says_so() -> None:
    whole = [training("late", 0.0, 0.0, 9.0), training("early", 1.0, 1.0, 1.5)]
    raced = [training("late", 0.0, status="stopped"), whole[1]]
    found = compare_round(whole, raced)
    assert math.isnan(found["to_best_racing"]) and (found["best_all"], found["best_racing"]) == (9.0, 1.5)
    assert found["shortfall"] == pytest.approx(7.5 / (9.0 - 5.25)) and compare_round(whole, whole)["shortfall"] == 0.0
    lost = {**found, "steps_further": 5, "gain": -2.0}
    both = summarise([lost, {**compare_round(whole, whole), "steps_further": 0, "gain": 0.0}])
    assert both["same_best"] == 0.5 and both["ratio"] == 1.0
    assert both["ratio_whole"] == pytest.approx((45 / 60 + 1) / 2)
    assert both["gain"] == -1.0
    # Student's quantile of one degree of freedom, and a standard error of √2 / √2
    assert both["intervals"]["gain"] == pytest.approx([-1.0 - 12.7062, -1.0 + 12.7062], abs=1e-4)
    alone = summarise([lost])
    assert math.isnan(alone["ratio"]) and all(math.isnan(end) for end in alone["intervals"]["gain"])


def test_intervals_over_rounds_by_hand() -> None:
    # the standard deviation is 1, of 3 rounds; a round without a number is left out
    assert over_rounds([1.0, 2.0, math.nan, 3.0]) == pytest.approx((2.0, 2.0 - 2.48414, 2.0 + 2.48414), abs=1e-5)
    assert all(math.isnan(value) for value in over_rounds([math.nan]))


def test_what_a_search_would_pick_and_what_it_is_worth() -> None:
    settings = load(overrides={"task": "reacher/reach", "search.confidence": 0})
    raced = [
        training("a", 1.0, 5.0), training("a", 1.0, 1.0, seed=1),  # 3.0 on average
        training("b", 4.0, 3.0),
        training("c", 9.0, status="stopped"),
        training("d", 9.0, status="failed"),
    ]  # fmt: skip
    assert pick(settings, raced) == "b" and mean_score(raced, "a") == 3.0
    assert pick(settings, raced[3:]) is None and math.isnan(mean_score(raced, "e"))


def test_seeds_are_averaged_and_failures_count_for_nothing() -> None:
    whole = [
        training("a", 1.0, 4.0), training("a", 1.0, 0.0, seed=1),  # 2.0 on average
        training("b", 2.5, 2.4), training("b", 2.3, 2.4, seed=1),
        training("c", 9.0, status="failed"), training("c", 9.0, 9.0, seed=1),
    ]  # fmt: skip
    found = compare_round(whole, whole)
    assert found["best_all"] == pytest.approx(2.4)
    assert found["to_best_all"] == 60  # at the first checkpoint already


def test_races_replayed_on_recorded_curves() -> None:
    """Whatever the task, the reward and the seed: a race takes its share at most, and all of it with what follows."""
    for population in populations(**{"search.racing.share": 0.5}):
        for each in replays(population):
            assert each.race <= 0.5 and each.race <= each.whole <= 1.0
        # what a race leaves is what training to the end began with
        left = raced(population, 0)
        assert {result.status for result in left} == {"done", "stopped"}
        for result in left:
            whole = population.trainings[result.key][0]
            assert result.curve == whole.curve[: len(result.curve)] and result.steps <= whole.steps


@pytest.mark.slow
def test_a_comparison_for_real() -> None:
    settings = load(
        overrides={
            "task": "reacher/reach",
            "threads": 1,
            "search.candidates": 3,
            "search.racing.share": 0.5,
            "training.steps": 1024,
            "training.worlds": 8,
            "training.rollout": 16,
            "training.epochs": 1,
            "training.minibatches": 2,
            "training.checkpoints": 4,
            "training.checkpoint_episodes": 1,
            "training.score_episodes": 1,
        }
    )
    said: list[str] = []
    found = compare_racing(load_task("reacher/reach"), settings, fresh=1, on_progress=said.append)
    (only,) = found["rounds"]
    assert only["steps_all"] == 3 * 1024 and only["steps_racing"] <= 0.5 * 3 * 1024 and only["stopped"] >= 1
    # where the race found the best it found it exactly, because its finalists are those of the other training
    assert found["same_best"] in (0.0, 1.0)
    assert found["same_best"] == 0.0 or only["best_racing"] == only["best_all"]
    # what the race saved went into further seeds, and picks that differ were compared
    assert only["steps_racing"] + only["steps_further"] <= 3 * 1024 and only["steps_further"] % 1024 == 0
    same = only["pick_all"] == only["pick_racing"]
    assert len(said) == (2 if same else 3) and (only["gain"] == 0.0 if same else math.isfinite(only["gain"]))
    with pytest.raises(UsageError, match="at least one round"):
        compare_racing(load_task("reacher/reach"), settings, rounds=0)
