"""The statistics against rliable's own values, textbook formulas, and simulated experiments whose truth is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from rewardgen.sweep import statistics
from rewardgen.sweep.statistics import Bootstrap, estimate, probability_of_improvement, small_sample_mean

REFERENCE = json.loads((Path(__file__).parent / "rliable.json").read_text(encoding="utf-8"))
"""What rliable 1.2.0 gives; made by ``rliable_reference.py``."""
BOOTSTRAP = Bootstrap(confidence=0.95, resamples=20_000, seed=3)


def strata(name: str) -> list[np.ndarray]:
    return [np.array(task) for task in REFERENCE[name]]


@pytest.mark.parametrize("name", ["x", "y", "z"])
@pytest.mark.parametrize("statistic", ["iqm", "mean", "median"])
def test_aggregates_and_their_intervals_are_rliables(statistic: str, name: str) -> None:
    found = estimate(getattr(statistics, statistic), strata(name), BOOTSTRAP)
    value, low, high = REFERENCE[statistic][name]
    assert found.value == pytest.approx(value, abs=1e-12)
    # both are bootstraps with draws of their own: they agree to a few percent of the width
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.04 * (high - low))


def test_probability_of_improvement_is_rliables() -> None:
    found = probability_of_improvement(strata("x"), strata("y"), BOOTSTRAP)
    value, low, high = REFERENCE["improvement"]
    assert found.value == pytest.approx(value, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))


@pytest.mark.parametrize("name", ["x", "z"])
def test_performance_profiles_are_rliables(name: str) -> None:
    shares, low, high = statistics.performance_profile(strata(name), np.array(REFERENCE["taus"]), BOOTSTRAP)
    reference = REFERENCE["profile"][name]
    np.testing.assert_allclose(shares, reference[0], atol=1e-12)
    # a percentile of shares moves in steps of one score
    step = 1.01 / sum(len(task) for task in strata(name))
    np.testing.assert_allclose(low, reference[1], atol=step)
    np.testing.assert_allclose(high, reference[2], atol=step)


def test_values_by_hand() -> None:
    uneven = [np.array([1.0, 2.0, 3.0, 100.0]), np.array([4.0, 5.0]), np.array([6.0, 0.0])]
    assert float(statistics.iqm(uneven)) == pytest.approx((2 + 3 + 4 + 5) / 4)  # eight scores: two go at each end
    assert float(statistics.mean(uneven)) == pytest.approx((26.5 + 4.5 + 3.0) / 3)
    assert float(statistics.median(uneven)) == pytest.approx(4.5)
    # 1 beats 0; 2 beats 0 and ties with 2: 2.5 of 4 pairs; on the other task always worse
    ours, theirs = [np.array([1.0, 2.0]), np.array([0.0])], [np.array([0.0, 2.0]), np.array([5.0, 6.0, 7.0])]
    assert probability_of_improvement(ours, theirs, BOOTSTRAP).value == pytest.approx((2.5 / 4 + 0) / 2)


def test_a_small_sample_mean_on_one_task_is_the_paired_t_interval() -> None:
    generator = np.random.default_rng(5)
    differences = generator.normal(0.3, 1.0, 12)
    found = small_sample_mean([differences], BOOTSTRAP)
    textbook = stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert found.value == pytest.approx(differences.mean())
    width = textbook.high - textbook.low
    assert (found.low, found.high) == pytest.approx((textbook.low, textbook.high), abs=0.08 * width)


@pytest.mark.parametrize("counts", [(3,), (3, 3, 3), (2, 3, 5)])
def test_paired_intervals_hold_the_truth_as_often_as_they_say(counts: tuple[int, ...]) -> None:
    generator = np.random.default_rng(11)
    truths = [0.5, -0.2, 1.0]
    experiments = 500
    held = 0
    for number in range(experiments):
        drawn = [generator.normal(truth, 0.4, count) for truth, count in zip(truths, counts, strict=False)]
        found = small_sample_mean(drawn, Bootstrap(resamples=400, seed=number))
        held += not found.excludes(float(np.mean(truths[: len(counts)])))
    assert 0.92 <= held / experiments <= 0.995


def test_a_single_seed_gives_a_value_and_no_interval() -> None:
    alone = [np.array([0.7]), np.array([0.2, 0.4])]
    for found in (
        estimate(statistics.iqm, alone, BOOTSTRAP),
        small_sample_mean(alone, BOOTSTRAP),
        probability_of_improvement(alone, alone, BOOTSTRAP),
    ):
        assert math.isfinite(found.value) and not found.bounded and not found.excludes(123.0)
    _, low, high = statistics.performance_profile(alone, np.array([0.0, 1.0]), BOOTSTRAP)
    assert np.isnan(low).all() and np.isnan(high).all()


def test_nothing_gives_nothing() -> None:
    empty: list[np.ndarray] = []
    for found in (
        estimate(statistics.iqm, empty, BOOTSTRAP),
        estimate(statistics.mean, [np.array([1.0, 2.0]), np.array([])], BOOTSTRAP),
        small_sample_mean(empty, BOOTSTRAP),
        probability_of_improvement(empty, empty, BOOTSTRAP),
    ):
        assert math.isnan(found.value) and not found.bounded


def test_the_same_seed_draws_the_same() -> None:
    first, again = (estimate(statistics.iqm, strata("x"), Bootstrap(seed=9)) for _ in range(2))
    other = estimate(statistics.iqm, strata("x"), Bootstrap(seed=10))
    assert first == again and first != other
