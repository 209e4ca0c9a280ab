"""Generalised advantage estimation against values worked out by hand (γ = 0.5, λ = 0.5)."""

from __future__ import annotations

import pytest
import torch

from rewardgen.training.advantages import advantages, standardise

REWARDS = [1.0, 1.0, 1.0, 1.0]
VALUES = [2.0, 4.0, 6.0, 8.0]
FOLLOWING = [4.0, 6.0, 8.0, 10.0]


def gae(following: list[float], terminated: list[int], truncated: list[int]) -> list[float]:
    def row(values: list[float] | list[int]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32).view(1, 4, 1)

    failed, cut = row(terminated).bool(), row(truncated).bool()
    out = advantages(row(REWARDS), row(VALUES), row(following), failed, failed | cut, 0.5, 0.5)
    return out.flatten().tolist()


def test_within_one_episode() -> None:
    # δ = 1 + 2 − 2, 1 + 3 − 4, 1 + 4 − 6, 1 + 5 − 8 = 1, 0, −1, −2, and A = δ + 0.25 A'
    assert gae(FOLLOWING, [0, 0, 0, 0], [0, 0, 0, 0]) == pytest.approx([0.90625, -0.375, -1.5, -2.0])


def test_a_termination_is_worth_its_reward_alone() -> None:
    # δ₁ = 1 − 4, and nothing of the next episode reaches it
    assert gae(FOLLOWING, [0, 1, 0, 0], [0, 0, 0, 0]) == pytest.approx([0.25, -3.0, -1.5, -2.0])


def test_a_truncation_is_bootstrapped_with_the_state_it_truly_led_to() -> None:
    # δ₁ = 1 + 0.5 · 20 − 4
    assert gae([4.0, 20.0, 8.0, 10.0], [0, 0, 0, 0], [0, 1, 0, 0]) == pytest.approx([2.75, 7.0, -1.5, -2.0])


def test_ends_at_the_last_step() -> None:
    assert gae(FOLLOWING, [0, 0, 0, 1], [0, 0, 0, 0])[-1] == pytest.approx(-7.0)
    assert gae(FOLLOWING, [0, 0, 0, 0], [0, 0, 0, 1])[-1] == pytest.approx(-2.0)


def test_worlds_and_members_do_not_mix() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values, following = (torch.randn(3, 6, 4, generator=generator) for _ in range(3))
    terminated, truncated = (torch.rand(3, 6, 4, generator=generator) < 0.2 for _ in range(2))
    ended = terminated | truncated
    together = advantages(rewards, values, following, terminated, ended, 0.9, 0.8)
    for k in range(3):
        for w in range(4):
            one = (slice(k, k + 1), slice(None), slice(w, w + 1))
            alone = advantages(rewards[one], values[one], following[one], terminated[one], ended[one], 0.9, 0.8)
            torch.testing.assert_close(together[one], alone, rtol=0, atol=0)


def test_standardised_per_member() -> None:
    values = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 100.0]).view(2, 1, 1)
    for mine in standardise(values):
        assert mine.mean().item() == pytest.approx(0.0, abs=1e-6)
        assert mine.std().item() == pytest.approx(1.0, abs=1e-5)


def test_a_single_step_has_no_advantage() -> None:
    assert standardise(torch.full((2, 1, 1), 3.0)).tolist() == [[[0.0]], [[0.0]]]
