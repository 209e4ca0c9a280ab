"""Running statistics against numpy on all the data at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rewardgen.training.normalise import ObservationScale, RewardScale, RunningMoments

CHUNKS = (1, 2, 40, 7)


def data(members: int, *shape: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [3.0 + 5.0 * torch.randn(members, size, *shape, generator=generator) for size in CHUNKS]


def test_merged_moments_are_those_of_all_rows() -> None:
    moments, chunks = RunningMoments(2, 3), data(2, 3)
    for chunk in chunks:
        moments.update(chunk)
    everything = np.concatenate([chunk.numpy().astype(np.float64) for chunk in chunks], axis=1)
    np.testing.assert_allclose(moments.mean.numpy(), everything.mean(1), rtol=1e-12)
    np.testing.assert_allclose(moments.variance.numpy(), everything.var(1), rtol=1e-12)


def test_moments_survive_large_offsets() -> None:
    moments = RunningMoments(1)
    rows = 1e6 + torch.arange(1000, dtype=torch.float64).view(10, 1, 100)
    for chunk in rows:
        moments.update(chunk)
    assert moments.variance.item() == pytest.approx(np.arange(1000).var(), rel=1e-9)


def test_observations_are_standardised_per_member_and_cut_off() -> None:
    scale, chunks = ObservationScale(2, 3), data(2, 3)
    raw = chunks[2]
    torch.testing.assert_close(scale(raw), raw.clamp(-10, 10))  # nothing is known yet
    for chunk in chunks:
        scale.update(chunk)
    everything = torch.cat(chunks, 1)
    mean, std = everything.mean(1, keepdim=True), everything.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(scale(raw), ((raw - mean) / std).clamp(-10, 10), rtol=1e-5, atol=1e-5)
    assert scale(torch.full((2, 1, 3), 1e9)).tolist() == [[[10.0] * 3]] * 2


def test_rewards_are_divided_by_the_spread_of_the_discounted_return() -> None:
    generator = torch.Generator().manual_seed(2)
    members, steps, worlds, gamma = 2, 9, 4, 0.9
    scale = RewardScale(members, worlds, gamma)
    returns, flow = [], np.zeros((members, worlds))
    for _ in range(3):
        rewards = torch.randn(members, steps, worlds, generator=generator)
        ended = torch.rand(members, steps, worlds, generator=generator) < 0.2
        scaled = scale(rewards, ended)
        for t in range(steps):
            flow = flow * gamma + rewards[:, t].numpy()
            returns.append(flow.copy())
            flow[ended[:, t].numpy()] = 0.0
        spread = np.stack(returns, 1).reshape(members, -1).std(1)
        np.testing.assert_allclose(scaled.numpy(), rewards.numpy() / spread[:, None, None], rtol=1e-4)


def test_a_reward_that_never_varies_does_no_harm() -> None:
    scaled = RewardScale(1, 2, 0.9)(torch.zeros(1, 3, 2), torch.zeros(1, 3, 2, dtype=torch.bool))
    assert scaled.tolist() == torch.zeros(1, 3, 2).tolist()
