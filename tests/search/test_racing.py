"""Races: where they decide, who stops, what that costs, and that it changes nothing for those that go on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from rewardgen.config import Config, load
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.search.rank import Race, affordable, further_seeds, rungs


def settings(**changes: Any) -> Config:
    """8 candidates of 1000 steps each with 10 checkpoints, changed."""
    values = {"task": "cartpole/swingup", "training.steps": 1000, "training.worlds": 1, "training.rollout": 10}
    values |= {"search.racing.enabled": True, "search.racing.share": 1.0}
    return load(overrides=values | {key.replace("__", "."): value for key, value in changes.items()})


def point(steps: int, fitness: float, std: float = 0.0) -> Checkpoint:
    return Checkpoint(steps, fitness, std, 0.0, 0.0, {}, {}, 1.0, {}, 0.0, 9)


def result(key: str, steps: int, fitness: float, std: float = 0.0, *, seed: int = 0, status: Any = "done") -> Any:
    return TrainingResult(key, seed, status, "", (point(steps, fitness, std),), None, steps, 0.0)


def test_rungs_are_checkpoints_that_halve_towards_the_start() -> None:
    assert [rung.steps for rung in rungs(settings())] == [200, 300, 500]  # after 1/8, 1/4 and 1/2
    assert [rung.steps for rung in rungs(settings(search__racing__rungs=1))] == [500]
    thirds = rungs(settings(search__racing__keep=1 / 3, search__racing__rungs=2))
    assert [(rung.number, rung.count, rung.steps) for rung in thirds] == [(1, 2, 200), (2, 2, 400)]
    # the last checkpoint is no rung, and one checkpoint is one rung
    assert [rung.steps for rung in rungs(settings(training__checkpoints=2))] == [500]
    assert rungs(settings(training__checkpoints=1)) == []


def test_the_weak_stop_at_rungs_only_and_only_when_told_apart() -> None:
    """One of four is clearly behind, one overlaps the second best: by hand from Student's t with 3 degrees."""
    told: list[tuple[str, int, int]] = []
    race = Race(settings(), "m/s", on_stop=lambda key, seed, steps, _: told.append((key, seed, steps)))
    # a quarter of the variance between them, 5.807, and 1.638 of its root to each side: ± 1.97
    standing = {"a": 2.0, "b": 1.9, "c": 1.5, "d": -3.0}

    def at(steps: int) -> dict[int, str]:
        return dict(race(steps, [result(key, steps, mean, 0.3) for key, mean in standing.items()]))

    assert at(100) == {} and at(400) == {}
    stopped = at(200)
    assert list(stopped) == [3]  # -3.0 + 1.97 < 1.9 − 1.97 < 1.5 + 1.97
    assert "rung 1 of 3 (200 of 1,000 steps)" in stopped[3]
    assert "-3.00 m/s [-4.97, -1.03], place 4 of 4, below the 2 ahead" in stopped[3]
    assert "1.90 m/s [-0.073, 3.87]" in stopped[3]
    assert told == [("d", 0, 200)]


def test_what_former_candidates_showed_of_seeds_makes_intervals_wider_or_narrower() -> None:
    results = [result(key, 200, mean) for key, mean in {"a": 2.0, "b": 1.9, "c": 1.5, "d": 1.4}.items()]
    steady = [[point(1000, 5.0), point(1000, 5.01), point(1000, 4.99)]]
    fickle = [[point(1000, 5.0), point(1000, 2.0), point(1000, 8.0)]]
    assert sorted(Race(settings(), former=steady)(200, results)) == [2, 3]
    assert Race(settings(), former=fickle)(200, results) == {}


def test_two_finalists_are_left_if_the_steps_are_enough() -> None:
    steady = [[point(1000, 5.0), point(1000, 5.01), point(1000, 4.99)]]
    results = [result("a", 500, 2.0), result("b", 500, 1.0)]
    assert Race(settings(), former=steady)(500, results) == {}
    assert list(Race(settings(search__racing__finalists=1), former=steady)(500, results)) == [1]
    assert list(Race(settings(search__racing__share=0.8), former=steady)(500, results)) == [1]  # 1500 of 2000 steps


def test_no_confidence_is_plain_halving() -> None:
    race = Race(settings(search__racing__confidence=0))
    results = [result(str(k), 200, 1.0 + 0.01 * k, 5.0) for k in range(8)]
    assert sorted(race(200, results)) == [0, 1, 2, 3]


def test_the_share_is_never_exceeded() -> None:
    """Whatever the intervals: eight that nobody can tell apart still cost half of the steps at most."""
    config = settings(search__racing__share=0.5)
    race = Race(config)
    running, spent, before = {str(k): 0 for k in range(8)}, 0, 0
    stopped: dict[str, int] = {}
    for rung in rungs(config):
        spent += len(running) * (rung.steps - before)
        before = rung.steps
        results = [
            result(
                key,
                stopped.get(key, rung.steps),
                1.0 + 0.01 * int(key),
                9.0,
                status="stopped" if key in stopped else "done",
            )
            for key in map(str, range(8))
        ]
        for k, reason in race(rung.steps, results).items():
            assert "the race has steps for" in reason
            stopped[str(k)] = rung.steps
            del running[str(k)]
    spent += len(running) * (1000 - before)
    assert spent <= 0.5 * 8 * 1000
    assert list(running) and max(running) == "7"
    # by hand: 8 to 200, then 6 to 300 (which means 3 to 500 and 2 to 1000, 2200 of the 2400 that are left), 4 to 500
    assert spent == 1600 + 600 + 800 + 1000


def test_affordable_by_hand() -> None:
    config = settings()
    places = rungs(config)
    # n × 100 + ⌈n/2⌉ × 200 + ⌈⌈n/2⌉/2⌉ × 500: 4 cost 1300, 5 cost 2100
    assert affordable(config.search.racing, places[0], places, 1000, 2099) == 4
    assert affordable(config.search.racing, places[0], places, 1000, 2100) == 5
    assert affordable(config.search.racing, places[-1], places, 1000, 0) == 1  # one always reaches the end


def test_seeds_of_a_candidate_stop_together_and_a_failed_one_takes_the_others_along() -> None:
    race = Race(settings())
    results = [
        result("good", 200, 3.0), result("good", 200, 3.1, seed=1),
        result("fair", 200, 2.0), result("fair", 200, 2.1, seed=1),
        result("bad", 200, 1.0), result("bad", 200, 1.1, seed=1),
        result("broken", 100, 9.0, status="failed"), result("broken", 200, 9.0, seed=1),
        result("gone", 200, 2.0, status="stopped"), result("gone", 200, 2.0, seed=1, status="stopped"),
    ]  # fmt: skip
    reasons = race(200, results)
    assert sorted(reasons) == [4, 5, 7]
    assert "one of its trainings has no score" in reasons[7]


def test_where_all_is_equal_the_forecast_decides() -> None:
    results = [result(key, 200, 0.0) for key in "abcd"]
    promise = {"a": 0.1, "b": 0.9, "c": 0.2, "d": 0.8}
    race = Race(settings(search__racing__share=0.45), promise=promise)
    assert sorted(race(200, results)) == [0, 2]
    assert Race(settings(), promise=promise)(200, results) == {}  # equal means overlap, and there are steps enough


def test_a_race_in_which_nobody_scores_goes_on() -> None:
    results = [result(key, 200, math.nan) for key in "abc"]
    assert Race(settings())(200, results) == {}


def trainings(*steps: int, fitness: float = 1.0) -> list[TrainingResult]:
    return [
        result("x", each, fitness, 0.1, seed=k, status="done" if each == 1000 else "stopped")
        for k, each in enumerate(steps)
    ]


@pytest.mark.parametrize(
    ("steps", "remeasure", "most", "expected"),
    [
        ((1000, 200, 200, 300, 300), 0, 2, (["0"], 2)),  # 3 saved, two for the one finalist at most
        ((1000, 200, 200, 300, 300), 0, 1, (["0"], 1)),
        ((1000, 1000, 200, 200, 500), 0, 2, (["1", "0"], 1)),  # 2.1 saved
        ((1000, 1000, 1000, 200, 300), 0, 2, (["2"], 1)),  # 1.5 saved: enough for the best alone
        ((1000, 1000, 1000, 200, 300), 1, 2, ([], 0)),  # the one that is saved goes into measuring again
        ((1000, 200, 200, 300, 300), 0, 0, ([], 0)),
        ((200, 200), 0, 2, ([], 0)),
    ],
)
def test_saved_steps_go_to_the_best(
    steps: Sequence[int], remeasure: int, most: int, expected: tuple[list[str], int]
) -> None:
    config = settings(search__remeasure=remeasure, search__racing__further_seeds=most)
    results = {str(k): trainings(each, fitness=float(k)) for k, each in enumerate(steps)}
    assert further_seeds(config, results) == expected
