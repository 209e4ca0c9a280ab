"""Each world's random numbers: of the right distribution, its own, and the same in whatever company."""

from __future__ import annotations

import math

import pytest
import torch

from rewardgen.tasks import WorldRandom

COUNT = 200_000


def world_random(streams: torch.Tensor, episode: int = 0) -> WorldRandom:
    return WorldRandom(streams, torch.full_like(streams, episode))


@pytest.mark.parametrize("along", ["worlds", "draws", "episodes"])
def test_uniform_moments(along: str) -> None:
    if along == "worlds":
        drawn = world_random(torch.arange(COUNT)).uniform(-1.0, 3.0)
    elif along == "draws":
        drawn = world_random(torch.tensor([5])).uniform(-1.0, 3.0, COUNT)[0]
    else:
        drawn = WorldRandom(torch.full((COUNT,), 5), torch.arange(COUNT)).uniform(-1.0, 3.0)
    assert drawn.dtype == torch.float64
    assert drawn.min() >= -1.0
    assert drawn.max() < 3.0
    error = 5 / math.sqrt(COUNT)
    assert drawn.mean().item() == pytest.approx(1.0, abs=4 / math.sqrt(12) * error)
    assert drawn.var().item() == pytest.approx(16 / 12, rel=2 * error)
    # Evenly spread over 64 bins: chi-square with 63 degrees of freedom.
    counts = torch.histc(drawn, bins=64, min=-1.0, max=3.0)
    chi_square = ((counts - COUNT / 64) ** 2 / (COUNT / 64)).sum().item()
    assert chi_square < 63 + 5 * math.sqrt(2 * 63)


def test_normal_moments() -> None:
    drawn = world_random(torch.arange(COUNT)).normal(2)
    assert drawn.shape == (COUNT, 2)
    error = 5 / math.sqrt(COUNT)
    for column in drawn.T:
        assert column.mean().item() == pytest.approx(0.0, abs=error)
        assert column.var().item() == pytest.approx(1.0, abs=math.sqrt(2) * error)
        assert (column**3).mean().item() == pytest.approx(0.0, abs=math.sqrt(15) * error)
        assert (column**4).mean().item() == pytest.approx(3.0, abs=math.sqrt(96) * error)
    assert drawn.isfinite().all()


def test_draws_streams_and_episodes_are_uncorrelated() -> None:
    streams = torch.arange(20_000)
    first, second = world_random(streams, 0), world_random(streams, 1)
    columns = torch.cat([first.uniform(0, 1, 4), first.normal(2), second.uniform(0, 1, 4)], dim=1)
    neighbours = torch.cat([columns[:-1], columns[1:]], dim=1)
    correlation = torch.corrcoef(neighbours.T) - torch.eye(neighbours.shape[1], dtype=torch.float64)
    assert correlation.abs().max() < 5 / math.sqrt(len(streams))


def test_a_world_draws_the_same_in_any_company() -> None:
    streams, episodes = torch.tensor([3, 99, 2**40, 7]), torch.tensor([0, 4, 1, 2])
    everyone = WorldRandom(streams, episodes)
    expected = everyone.uniform(-1, 1, 3), everyone.normal(2, 2), everyone.uniform(0, 1)
    for chosen in ([2], [3, 0], [1, 1, 0]):
        some = WorldRandom(streams[chosen], episodes[chosen])
        drawn = some.uniform(-1, 1, 3), some.normal(2, 2), some.uniform(0, 1)
        for ours, theirs in zip(drawn, expected, strict=True):
            assert torch.equal(ours, theirs[chosen])


def test_streams_and_episodes_are_not_interchangeable() -> None:
    pairs = [(stream, episode) for stream in range(60) for episode in range(60)]
    streams, episodes = torch.tensor(pairs).T
    drawn = WorldRandom(streams, episodes).uniform(0, 1)
    assert len(drawn.unique()) == len(pairs)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    world_random(torch.arange(5)).normal(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_draws_in_another_precision_are_the_same_rounded() -> None:
    streams = torch.arange(100)
    exact, rounded = (WorldRandom(streams, streams, dtype) for dtype in (torch.float64, torch.float32))
    for draw in (lambda random: random.uniform(-1.0, 3.0, 2), lambda random: random.normal(3)):
        drawn = draw(rounded)
        assert drawn.dtype == torch.float32
        assert torch.equal(drawn, draw(exact).float())
