"""Bootstrap intervals: coverage on distributions whose mean is known, and what they do with odd input."""

from __future__ import annotations

import math

import pytest
import torch

from rewardgen.evaluation.interval import interval


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("seeds", "episodes", "between", "within"),
    [(3, 8, 1.0, 1.0), (3, 8, 1.0, 0.0), (5, 4, 1.0, 3.0), (10, 4, 0.5, 1.0), (1, 12, 0.0, 1.0)],
)
def test_coverage_for_normal_data(seeds: int, episodes: int, between: float, within: float) -> None:
    drawn, trials, covered = generator(seeds), 400, 0
    for trial in range(trials):
        means = between * torch.randn(seeds, 1, generator=drawn, dtype=torch.float64)
        values = 2.0 + means + within * torch.randn(seeds, episodes, generator=drawn, dtype=torch.float64)
        low, high = interval(values.tolist(), 0.95, 300, generator(trial))
        assert low <= values.mean() <= high
        covered += low <= 2.0 <= high
    # 400 trials of a 95 % interval: within 0.92 to 0.98 nearly always; resampling both levels errs on the wide side
    assert covered / trials >= 0.915


def test_it_is_not_needlessly_wide() -> None:
    drawn, covered = generator(0), 0
    for trial in range(400):
        values = torch.randn(12, 1, generator=drawn, dtype=torch.float64) + torch.zeros(12, 6, dtype=torch.float64)
        low, high = interval(values.tolist(), 0.5, 300, generator(trial))
        covered += low <= 0.0 <= high
    assert 0.42 <= covered / 400 <= 0.58


def test_higher_confidence_is_wider() -> None:
    values = torch.randn(4, 8, generator=generator(1)).tolist()
    narrow, wide = (interval(values, confidence, 500, generator(2)) for confidence in (0.8, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_what_does_not_vary_has_no_width() -> None:
    assert interval([[2.0] * 4] * 3, 0.95, 200, generator(0)) == (2.0, 2.0)
    assert interval([[2.0]], 0.95, 200, generator(0)) == (2.0, 2.0)


@pytest.mark.parametrize("fitness", [[], [[]], [[1.0], []], [[1.0, math.nan], [2.0, 3.0]], [[1.0], [math.inf]]])
def test_what_is_missing_or_not_finite_gives_nan(fitness: list[list[float]]) -> None:
    assert all(math.isnan(bound) for bound in interval(fitness, 0.95, 200, generator(0)))


def test_seeds_may_have_different_numbers_of_episodes() -> None:
    low, high = interval([[1.0, 1.0, 1.0, 1.0], [3.0]], 0.95, 500, generator(0))
    assert low < 2.0 < high
    assert low + high == pytest.approx(4.0, abs=1e-9)


def test_it_draws_from_its_generator_alone() -> None:
    values = torch.randn(3, 8, generator=generator(1)).tolist()
    state = torch.random.get_rng_state()
    assert interval(values, 0.9, 300, generator(5)) == interval(values, 0.9, 300, generator(5))
    assert interval(values, 0.9, 300, generator(5)) != interval(values, 0.9, 300, generator(6))
    assert torch.equal(torch.random.get_rng_state(), state)
