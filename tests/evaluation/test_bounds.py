"""Intervals of candidates, against SciPy, against values by hand, and against simulated trainings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rewardgen.evaluation import Bounds, bounds
from rewardgen.records import Checkpoint


def point(fitness: float, std: float = 0.0, episodes: int = 8) -> Checkpoint:
    return Checkpoint(1000, fitness, std, 0.0, 0.0, {}, {}, 1.0, {}, 0.0, episodes)


def of_episodes(values: list[float]) -> Checkpoint:
    return point(float(np.mean(values)), float(np.std(values)), len(values))


def test_one_seed_each_is_students_interval_over_episodes() -> None:
    values = [1.0, 2.0, 4.0, 1.5, 2.5]
    found = bounds({"a": [of_episodes(values)], "b": [point(3.0)]}, 0.9)
    low, high = stats.t.interval(0.9, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found["a"].mean, found["a"].low, found["a"].high) == pytest.approx((np.mean(values), low, high))
    assert found["b"] == Bounds(3.0, 3.0, 3.0, 1)  # nothing varies


def test_seeds_by_hand() -> None:
    # variances 2 (1 degree) and 0.5 (1 degree): the pool has 1.25 with 2, which is less than the prior of 4
    found = bounds({"a": [point(1.0), point(3.0)], "b": [point(5.0), point(6.0)], "c": [point(4.0)]}, 0.8)
    own = (2 * 1.25 + 1 * 2.0) / 3
    half = stats.t.ppf(0.9, 3) * math.sqrt(own / 2)
    assert (found["a"].low, found["a"].high) == pytest.approx((2.0 - half, 2.0 + half))
    half = stats.t.ppf(0.9, 2) * math.sqrt(1.25)  # one seed: the pool alone
    assert (found["c"].low, found["c"].high) == pytest.approx((4.0 - half, 4.0 + half))


def test_more_seeds_are_worth_more_than_a_lucky_one() -> None:
    many = [point(value, 0.05) for value in (2.2, 2.4, 2.6)]
    lucky = [point(2.5, 0.05)]
    found = bounds({"many": many, "lucky": lucky}, 0.8)
    assert found["lucky"].mean > found["many"].mean
    assert found["lucky"].low < found["many"].low


def test_episodes_are_the_least_width() -> None:
    alike = {key: [point(1.0, 1.0, 5), point(1.0, 1.0, 5)] for key in "abc"}  # equal means hide the episodes' spread
    found = bounds(alike, 0.8)["a"]
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.9, 8) * math.sqrt(1.0 / 4 / 2))


def test_seeds_that_nobody_repeated_get_a_quarter_of_what_lies_between_candidates() -> None:
    means = [1.0, 2.0, 4.0, 3.0]
    found = bounds({str(k): [point(mean, 0.001)] for k, mean in enumerate(means)}, 0.8)
    half = stats.t.ppf(0.9, 3) * math.sqrt(0.25 * float(np.var(means, ddof=1)))
    assert found["2"].high - 4.0 == pytest.approx(half)
    # once somebody has a second seed, that is what is known
    known = bounds({str(k): [point(mean, 0.001)] for k, mean in enumerate(means)}, 0.8, [[point(9.0), point(9.2)]])
    assert known["2"].high - 4.0 == pytest.approx(stats.t.ppf(0.9, 1) * math.sqrt(0.02))


def test_no_confidence_is_the_mean_and_what_is_not_finite_has_no_bounds() -> None:
    found = bounds({"a": [point(1.0, 3.0), point(2.0, 3.0)], "b": [point(math.nan), point(1.0)], "c": []}, 0.0)
    assert found["a"] == Bounds(1.5, 1.5, 1.5, 2)
    assert all(math.isnan(value) for key in "bc" for value in (found[key].mean, found[key].low, found[key].high))
    assert not found["b"].overlaps(found["a"]) and not found["a"].overlaps(found["b"])
    assert found["a"].overlaps(found["a"])


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_coverage(seeds: int) -> None:
    """Candidates whose seeds differ as much as trainings do: the interval holds the truth about as often as it says.

    One of the candidates has a second seed at least: else the width between seeds cannot be known.
    """
    draw = np.random.default_rng(seeds)
    inside, rounds = 0, 1500
    for _ in range(rounds):
        counts = [seeds] * 5 + [3]
        truth = draw.normal(0.0, 2.0, len(counts))
        trained = [truth[k] + draw.normal(0.0, 0.5, n) for k, n in enumerate(counts)]
        points = {
            str(k): [of_episodes(list(value + draw.normal(0.0, 0.3, 8))) for value in values]
            for k, values in enumerate(trained)
        }
        found = bounds(points, 0.8)["0"]
        inside += found.low <= truth[0] <= found.high
    assert 0.76 <= inside / rounds <= 0.88
