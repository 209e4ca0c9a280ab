"""Categorical policies against torch.distributions, autograd and Gymnasium's own spaces."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.distributions import Categorical

from rewardgen.config import TrainingConfig
from rewardgen.errors import TaskError, UsageError
from rewardgen.sim import EnvironmentSpec, GymnasiumSim
from rewardgen.tasks import load_task, one_hot
from rewardgen.training import Member, TaskReward, categorical, train, train_sb3
from rewardgen.training.networks import Body, Head, Shape, initialise, zeros
from rewardgen.training.population import Population
from rewardgen.training.ppo import Columns, divergence, loss_gradient

CHOICES = (3, 2)
SHAPE = Shape(4, 5, (8,), CHOICES)


def rows_and_parameters(members: int = 2, count: int = 6):  # type: ignore[no-untyped-def]
    """Random policies and rows of one-hot actions with old log-probabilities, advantages and targets."""
    generator = torch.Generator().manual_seed(0)
    parameters = zeros(SHAPE, members)
    initialise(parameters, [torch.Generator().manual_seed(k) for k in range(members)], 1.0)
    parameters.mean_weight.normal_(generator=generator)
    columns = Columns(SHAPE)
    rows = torch.randn(members, count, columns.width, generator=generator)
    rows[..., columns.action] = one_hot(rows[..., columns.action], CHOICES)
    rows[..., columns.log_prob] = math.log(1 / 6) + 0.1 * rows[..., columns.log_prob]
    return parameters, rows, columns


def policies(logits: torch.Tensor) -> list[Categorical]:
    """One distribution for each component, of logits ``(..., A)``."""
    return [Categorical(logits=part) for part in logits.split(list(CHOICES), -1)]


def log_prob(logits: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    parts = action.split(list(CHOICES), -1)
    terms = [each.log_prob(part.argmax(-1)) for each, part in zip(policies(logits), parts, strict=True)]
    return torch.stack(terms).sum(0)


@pytest.mark.parametrize("entropy", [0.0, 0.05])
def test_the_gradient_is_that_of_autograd(entropy: float) -> None:
    parameters, rows, columns = rows_and_parameters()
    config = TrainingConfig(entropy=entropy, clip_range=0.2)
    gradient = zeros(SHAPE, 2)
    loss_gradient(Body(parameters, rows.shape[1]), parameters, gradient, rows, config)

    flat = parameters.flat.clone().requires_grad_()
    copy = type(parameters)(SHAPE, flat)
    hidden = torch.tanh(rows[..., columns.observation].repeat(2, 1, 1) @ copy.weights[0] + copy.biases[0])
    logits = (copy.mean_weight @ hidden[:2].transpose(1, 2) + copy.mean_bias).transpose(1, 2)
    value = (copy.value_weight @ hidden[2:].transpose(1, 2) + copy.value_bias)[:, 0]
    ratio = (log_prob(logits, rows[..., columns.action]) - rows[..., columns.log_prob][..., 0]).exp()
    advantage = rows[..., columns.advantage][..., 0]
    clipped = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    spread = torch.stack([each.entropy() for each in policies(logits)]).sum(0)
    error = (value - rows[..., columns.target][..., 0]).square()
    loss = (-clipped + config.value_weight * error - entropy * spread).mean(1).sum()
    (wanted,) = torch.autograd.grad(loss, flat)
    torch.testing.assert_close(gradient.flat, wanted, rtol=1e-4, atol=1e-6)


def test_log_probabilities_and_samples_follow_the_distributions() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, 0.5, -0.5])
    noise = torch.empty(40_000, 5)
    categorical.gumbel_(noise, torch.Generator().manual_seed(1))
    drawn = one_hot(logits + noise, CHOICES)
    assert bool(((drawn == 0) | (drawn == 1)).all())
    wanted = torch.cat([torch.softmax(logits[:3], 0), torch.softmax(logits[3:], 0)])
    # the standard error of a share of 40,000 draws is at most 0.0025
    torch.testing.assert_close(drawn.mean(0), wanted, rtol=0, atol=0.01)
    stacked = logits.expand(1, 7, 5).transpose(1, 2)
    own = categorical.log_prob(categorical.log_softmax(stacked, CHOICES), drawn[None, :7].transpose(1, 2))
    torch.testing.assert_close(own[0, 0], log_prob(logits, drawn[:7]))


def test_the_divergence_of_unchanged_policies_is_zero() -> None:
    parameters, rows, columns = rows_and_parameters()
    head = Head(parameters, "policy", rows.shape[1])
    logits = head(rows[..., columns.observation]).transpose(1, 2).clone()
    rows[..., columns.log_prob] = log_prob(logits, rows[..., columns.action])[..., None]
    torch.testing.assert_close(divergence(parameters, head, rows), torch.zeros(2), rtol=0, atol=1e-6)
    parameters.mean_bias[0, 0] += 1.0
    moved = divergence(parameters, head, rows)
    assert moved[0] > 0.01 and abs(moved[1]) < 1e-6


SPACES = """
import gymnasium, numpy as np
from gymnasium import spaces

class Telling(gymnasium.Env):
    observation_space = spaces.Box(-9, 9, (4,), np.float32)
    def __init__(self, kind):
        self.action_space = {
            "discrete": spaces.Discrete(3, start=-1),
            "multi": spaces.MultiDiscrete([3, 2]),
            "grid": spaces.MultiDiscrete([[2, 3], [2, 2]]),
            "binary": spaces.MultiBinary(2),
            "matrix": spaces.Box(-2, 2, (2, 2), np.float32),
        }[kind]
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(4, np.float32), {}
    def step(self, action):
        assert self.action_space.contains(action), action
        told = np.zeros(4, np.float32)
        flat = np.asarray(action, np.float32).reshape(-1)
        told[: len(flat)] = flat
        return told, 0.0, False, False, {}

gymnasium.register("Telling-v0", entry_point=Telling)
"""


@pytest.mark.parametrize(
    ("kind", "columns", "told"),
    [
        ("discrete", [0.0, 1.0, 0.0], [0]),
        ("discrete", [0.2, 0.1, 0.9], [1]),
        ("multi", [0.0, 0.0, 1.0, 0.0, 1.0], [2, 1]),
        ("grid", [0, 1, 0, 0, 1, 1, 0, 0, 1], [1, 2, 0, 1]),
        ("binary", [1, 0, 0, 1], [0, 1]),
        ("matrix", [1, -5, 0.5, 2], [1, -2, 0.5, 2]),
    ],
)
def test_environments_get_actions_of_their_own_space(
    tmp_path: Path, kind: str, columns: list[float], told: list[float]
) -> None:
    (tmp_path / "telling.py").write_text(SPACES)
    sim = GymnasiumSim(EnvironmentSpec("Telling-v0", {"kind": kind}, ("telling",), folder=str(tmp_path)), 1)
    try:
        sim.begin(torch.arange(1), torch.arange(1))
        sim.step(torch.tensor([columns], dtype=torch.float32), 1)
        assert sim.field("observation")[0, : len(told)].tolist() == told
    finally:
        sim.close()


CARTPOLE = """
task: classic/cartpole
description: Keep the pole upright.
environment: {id: CartPole-v1}
fields: [{name: pole_angle, from: "observation[2]", unit: rad, meaning: angle of the pole from upright}]
success: {from: reward}
fitness: {from: reward, over: sum, unit: steps, meaning: steps until the pole falls, range: [0, 500], threshold: 475}
horizon: 500
training: {worlds: 8, rollout: 32, steps: 3000, epochs: 4, minibatches: 4, checkpoints: 1, checkpoint_episodes: 8}
"""


@pytest.fixture
def cartpole(tmp_path: Path) -> Path:
    (tmp_path / "cartpole.yaml").write_text(CARTPOLE)
    return tmp_path


@pytest.mark.slow
def test_cartpole_is_learned_and_its_policy_comes_back_from_its_weights(cartpole: Path) -> None:
    task = load_task("classic/cartpole", [cartpole])
    assert task.action_choices == (2,) and task.action_names == ("option 0", "option 1")
    config = TrainingConfig(**task.training)
    (result,) = train(task, [Member("expert", 0, TaskReward(task.expert_reward, task.layout))], config, threads=1)
    # random actions keep the pole up for 22 steps on average (Gymnasium's documentation of CartPole)
    assert result.curve[-1].fitness > 60
    population = Population.from_weights([result.weights], task, config)
    observation = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0))
    actions = population.act(observation)
    assert actions.shape == (1, 5, 2) and bool((actions.sum(-1) == 1).all())
    again = Population.from_weights([population.weights(0)], task, config)
    assert torch.equal(again.act(observation), actions)


def test_what_discrete_actions_do_not_go_with(cartpole: Path) -> None:
    task = load_task("classic/cartpole", [cartpole])
    with pytest.raises(UsageError, match="discrete actions"):
        train_sb3(
            task, Member("expert", 0, TaskReward(task.expert_reward, task.layout)), TrainingConfig(**task.training)
        )
    text = CARTPOLE.replace('from: "observation[2]"', "from: reward")
    (cartpole / "cartpole.yaml").write_text(text)
    with pytest.raises(TaskError, match="no reward program may read the environment's own reward"):
        load_task("classic/cartpole", [cartpole])
