"""The intraclass correlation against published values, values by hand and simulated data with known components."""

from __future__ import annotations

import numpy as np
import pytest

from rewardgen.evaluation import intraclass, reliability, seeds_needed, without_seed_means

SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
"""Shrout & Fleiss (1979), table 2: six targets, four judges."""


def test_shrout_and_fleiss_worked_example() -> None:
    found = intraclass([SHROUT_FLEISS])
    assert found is not None
    # table 4 of the paper; the interval is what R's psych::ICC prints for the same data (95 %)
    assert round(found.icc, 2) == 0.17
    assert (round(found.low, 3), round(found.high, 3)) == (-0.133, 0.723)
    assert (found.between_df, found.within_df, found.groups, found.scores) == (5, 18, 6, 24)
    # the paper's mean squares: 11.24 between and 6.26 within targets
    assert found.within == pytest.approx(6.26, abs=0.005)
    assert found.between == pytest.approx((11.24 - 6.26) / 4, abs=0.005)


def test_consistency_over_shared_seeds_is_shrout_and_fleiss_third_case() -> None:
    groups, spent = without_seed_means([dict(enumerate(row)) for row in SHROUT_FLEISS])
    found = intraclass([groups], spent=spent)
    assert found is not None
    # ICC(3, 1) in table 4 of the paper; the residual mean square, 1.02, in table 3; interval by R's psych::ICC
    assert round(found.icc, 2) == 0.71 and round(found.within, 2) == 1.02 and found.within_df == 15
    assert (round(found.low, 2), round(found.high, 2)) == (0.34, 0.95)


def test_only_shared_seeds_lose_their_means() -> None:
    # seeds 1 and 2 are shared with means 2 and 4; seed 3 is one group's own
    groups, spent = without_seed_means([{1: 1.0, 2: 4.0, 3: 9.0}, {2: 4.0, 1: 3.0}])
    assert (groups, spent) == ([[2.0, 3.0, 9.0], [3.0, 4.0]], 1)
    assert without_seed_means([{1: 1.0, 2: 3.0}]) == ([[1.0, 3.0]], 0)  # nobody to share with
    assert without_seed_means([{1: 1.0}, {1: 2.0, 5: 4.0}]) == ([[1.0], [2.0, 4.0]], 0)
    assert without_seed_means([]) == ([], 0)


def test_values_by_hand() -> None:
    # means 1, 3, 8; within: sums of squares 2, 2, 2 with 3 degrees; variance of means 13
    found = intraclass([[[0, 2], [2, 4], [7, 9]]])
    assert found is not None
    assert (found.within, found.between) == (pytest.approx(2.0), pytest.approx(13.0 - 1.0))
    assert found.icc == pytest.approx(12.0 / 14.0)


def test_strata_are_compared_by_themselves() -> None:
    """A generation that is better as a whole does not make its rewards differ."""
    near, far = [[0, 2], [2, 4], [7, 9]], [[100, 102], [102, 104], [107, 109]]
    one, both = intraclass([near]), intraclass([near, far])
    assert one is not None and both is not None
    assert both.icc == pytest.approx(one.icc) and both.between_df == 4 and both.within_df == 6
    assert one.low < both.low < both.icc < both.high < one.high


def test_single_scores_add_to_the_variance_between() -> None:
    # means 0, 4, 8 → variance 16; within 2 with 1 degree of freedom; mean of 1/n is (1/2 + 1 + 1) / 3
    found = intraclass([[[-1, 1], [4], [8]]])
    assert found is not None
    assert found.between == pytest.approx(16.0 - 2.0 * 2.5 / 3.0)
    assert found.icc == pytest.approx(found.between / (found.between + 2.0))


def test_what_cannot_be_estimated() -> None:
    assert intraclass([[[1], [2], [3]]]) is None  # no second seed
    assert intraclass([[[1, 2]], [[3, 4]]]) is None  # nothing to compare with
    assert intraclass([[[1, 1], [1, 1]]]) is None
    assert intraclass([]) is None
    certain = intraclass([[[1, 1], [2, 2]]])
    assert certain is not None and (certain.icc, certain.low, certain.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("sizes", [[4] * 12, [2] * 8, [1, 1, 1, 2, 2, 2, 3, 4]])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_simulated_components_are_found_and_covered(sizes: list[int], share: float) -> None:
    generator = np.random.default_rng(7)
    covered, between, within = 0, [], []
    trials = 600
    for _ in range(trials):
        means = generator.normal(0.0, share**0.5, len(sizes))
        groups = [
            generator.normal(mean, (1.0 - share) ** 0.5, n).tolist() for mean, n in zip(means, sizes, strict=True)
        ]
        found = intraclass([groups], confidence=0.9)
        assert found is not None
        covered += found.low <= share <= found.high
        between.append(found.between)
        within.append(found.within)
    assert covered / trials == pytest.approx(0.9, abs=0.04)
    assert np.mean(within) == pytest.approx(1.0 - share, abs=0.06)
    if share > 0.5:  # elsewhere estimates below 0 are cut off
        assert np.mean(between) == pytest.approx(share, abs=0.08)


def test_spearman_brown() -> None:
    assert reliability(0.3, 1) == pytest.approx(0.3)
    assert reliability(0.5, 2) == pytest.approx(2.0 / 3.0)
    assert reliability(-0.2, 3) == 0.0
    assert seeds_needed(0.3) == 4  # 3 seeds: 0.5625, 4: 0.632
    assert seeds_needed(0.6) == 1 and seeds_needed(0.599) == 2
    assert seeds_needed(0.0) is None and seeds_needed(-0.1) is None
    for icc in (0.05, 0.21, 0.44, 0.9):
        seeds = seeds_needed(icc)
        assert seeds is not None and reliability(icc, seeds) >= 0.6
        assert seeds == 1 or reliability(icc, seeds - 1) < 0.6
