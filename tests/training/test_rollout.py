"""What a rollout keeps, against simulating and valuing the same transitions one by one."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from rewardgen.config import TrainingConfig
from rewardgen.records import State
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds
from rewardgen.training.normalise import RewardScale
from rewardgen.training.population import Population
from rewardgen.training.ppo import Columns
from rewardgen.training.rollout import Rollout
from rewardgen.training.schedule import checkpoint_updates, rollout_lengths

MEMBERS = 2


@pytest.fixture
def population(task: Task, config: TrainingConfig) -> Population:
    made = Population.fresh(task, config, [torch.Generator().manual_seed(k) for k in range(MEMBERS)])
    made.parameters.value_bias += 3.0
    made.parameters.mean_weight.mul_(50.0)
    made.scale.update(torch.randn(MEMBERS, 30, 2, generator=torch.Generator().manual_seed(8)))
    return made


@pytest.fixture
def rollout(task: Task, config: TrainingConfig, population: Population) -> Rollout:
    """30 steps of episodes of at most 20: terminations and truncations fall in the middle."""
    config = config.model_copy(update={"rollout": 40})
    worlds = Worlds(task, MujocoSim(task.model, MEMBERS * config.worlds, 1), torch.arange(MEMBERS * config.worlds))
    worlds.start()
    made = Rollout(population, worlds, config, [torch.Generator().manual_seed(50 + k) for k in range(MEMBERS)])
    made.collect(30)
    return made


def test_transitions_follow_from_each_other(rollout: Rollout) -> None:
    going_on = ~rollout.ended[:, :-1]
    assert rollout.states.shape == (MEMBERS, 30, 16, 2)
    torch.testing.assert_close(rollout.states[:, 1:][going_on], rollout.next_states[:, :-1][going_on], rtol=0, atol=0)
    assert (rollout.terminated & ~(rollout.next_states[..., 0].abs() > 1.5)).sum() == 0
    assert rollout.terminated.any()
    assert (rollout.ended & ~rollout.terminated).any()


def test_commands_are_applied_within_range_and_the_raw_actions_are_kept(task: Task, rollout: Rollout) -> None:
    raw = rollout.rows[..., Columns(rollout._population.shape).action]
    torch.testing.assert_close(rollout.commands, (1.0 + 2.0 * raw).clamp(-1.0, 3.0))
    assert (raw.abs() > 1.0).any()


def test_log_probabilities_are_those_of_the_policies(task: Task, population: Population, rollout: Rollout) -> None:
    columns = Columns(population.shape)
    rows = rollout.rows.flatten(1, 2)
    observed = task.observation(State(task.layout, rollout.states.reshape(-1, 2))).view(MEMBERS, -1, 2)
    torch.testing.assert_close(rows[..., columns.observation], population.scale(observed), rtol=1e-6, atol=1e-6)
    mean = population.head("policy", rows.shape[1])(population.scale(observed)).transpose(1, 2)
    expected = (
        Normal(mean, population.parameters.log_std.exp().transpose(1, 2)).log_prob(rows[..., columns.action]).sum(-1)
    )
    torch.testing.assert_close(rows[..., columns.log_prob].squeeze(-1), expected, rtol=1e-4, atol=1e-4)


def test_every_step_is_bootstrapped_with_the_state_that_it_led_to(
    task: Task, population: Population, rollout: Rollout
) -> None:
    _, following = rollout.values()
    led_to = task.observation(State(task.layout, rollout.next_states.reshape(-1, 2))).view(MEMBERS, -1, 2)
    expected = population.head("value", led_to.shape[1])(population.scale(led_to)).view(following.shape)
    counts = ~rollout.terminated  # a terminated step's next value is never used
    torch.testing.assert_close(following[counts], expected[counts], rtol=1e-5, atol=1e-5)


def test_finished_rows_hold_returns_and_standardised_advantages(config: TrainingConfig, rollout: Rollout) -> None:
    values, following = rollout.values()
    rewards = -rollout.next_states[..., 0].abs()
    columns = Columns(rollout._population.shape)
    rows = rollout.finish(rewards, RewardScale(MEMBERS, config.worlds, config.gamma), values, following)
    advantage = rows[..., columns.advantage].squeeze(-1)
    gained = rows[..., columns.target].squeeze(-1) - values.flatten(1)
    for k in range(MEMBERS):
        assert torch.corrcoef(torch.stack([advantage[k], gained[k]]))[0, 1].item() == pytest.approx(1.0, abs=1e-5)


def test_goals_are_counted_by_the_sparse_reward(rollout: Rollout) -> None:
    expected = (rollout.next_states[..., 0].abs() < 0.1).sum((1, 2))
    assert expected.sum() > 0
    assert rollout.goal_reached().tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("steps", "worlds", "rollout"), [(1_000_000, 64, 32), (1, 64, 32), (2049, 64, 32), (4096, 64, 32)]
)
def test_rollouts_are_of_equal_length(steps: int, worlds: int, rollout: int) -> None:
    lengths = rollout_lengths(TrainingConfig(steps=steps, worlds=worlds, rollout=rollout))
    assert steps <= sum(lengths) * worlds < steps + worlds
    assert max(lengths) <= rollout
    assert max(lengths) - min(lengths) <= 1
    assert len(lengths) == -(-steps // (worlds * rollout))


@pytest.mark.parametrize(
    ("lengths", "checkpoints", "due"),
    [([4] * 10, 5, {1, 3, 5, 7, 9}), ([4] * 3, 10, {0, 1, 2}), ([4] * 10, 1, {9}), ([4] * 10, 3, {3, 6, 9})],
)
def test_checkpoints_are_evenly_spaced_and_the_last_is_at_the_end(
    lengths: list[int], checkpoints: int, due: set[int]
) -> None:
    assert checkpoint_updates(lengths, checkpoints) == due
