"""What every registered task must keep, and a user's own as well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from rewardgen.records import Episodes, State
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds, load_task, play_episodes, task_names

EXAMPLE = Path(__file__).parents[1] / "tasks" / "example"
WORLDS = 6
STEPS = 150


@pytest.fixture(params=task_names([EXAMPLE]))
def task(request: pytest.FixtureRequest) -> Task:
    return load_task(request.param, [EXAMPLE])


def random_actions(task: Task, steps: int, worlds: int, seed: int = 0) -> Tensor:
    """Over all of the action range, each held for five steps."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(steps // 5 + 1, worlds, task.action_size, generator=generator).repeat_interleave(5, dim=0)
    return task.action_low + unit[:steps] * (task.action_high - task.action_low)


def roll(task: Task, streams: Tensor, actions: Tensor, threads: int = 1) -> dict[str, Tensor]:
    """Everything that a rollout shows, stacked over time."""
    worlds = Worlds(task, MujocoSim(task.model, len(streams), threads), streams)
    states, nexts, terminated, truncated = [worlds.start()], [], [], []
    for action in actions:
        step = worlds.step(action)
        nexts.append(step.next_matrix)
        terminated.append(step.terminated)
        truncated.append(step.truncated)
        states.append(worlds.matrix)
    return {
        "states": torch.stack(states),
        "nexts": torch.stack(nexts),
        "terminated": torch.stack(terminated),
        "truncated": torch.stack(truncated),
    }


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_all_is_finite_and_no_observation_is_constant(task: Task) -> None:
    rolled = roll(task, torch.arange(WORLDS), random_actions(task, STEPS, WORLDS))
    state = State(task.layout, rolled["states"].flatten(0, 1))
    observation = task.observation(state)
    assert observation.dtype == torch.float32
    assert observation.shape == (len(state), task.observation_size)
    assert observation.isfinite().all()
    varying = observation.std(0) > 0
    if task.name == "ant/run":  # the ground seldom touches all of its thirteen bodies, and then with clipped forces
        varying = varying[:27]
    if task.name == "double_pendulum/balance":  # it falls before the cart meets the ends of the rail
        varying = varying[:-1]
    assert varying.all(), f"constant: {(~varying).nonzero().flatten().tolist()}"


def test_the_same_streams_give_the_same_worlds(task: Task) -> None:
    streams, actions = torch.arange(WORLDS) + 40, random_actions(task, STEPS, WORLDS)
    assert_same(roll(task, streams, actions, threads=1), roll(task, streams, actions, threads=2))


def test_worlds_are_independent_of_each_other(task: Task) -> None:
    """Alone, in another order, and beside worlds with other actions: each world does the same."""
    streams, actions = torch.arange(WORLDS), random_actions(task, STEPS, WORLDS)
    together = roll(task, streams, actions)
    order = torch.tensor([4, 1, 0])
    apart = roll(task, streams[order], actions[:, order])
    assert_same({name: value[:, order] for name, value in together.items()}, apart)


def test_start_states_vary_over_worlds_and_episodes(task: Task) -> None:
    sim = MujocoSim(task.model, WORLDS, 1)
    worlds = Worlds(task, sim, torch.arange(WORLDS))
    first = worlds.start()
    worlds.episode += 1
    worlds._begin(torch.arange(WORLDS))
    second = worlds._read()
    everything = torch.cat([first, second])
    assert len({tuple(row.tolist()) for row in everything}) == 2 * WORLDS
    assert torch.equal(Worlds(task, sim, torch.arange(WORLDS)).start(), first)


def test_no_start_state_has_ended(task: Task) -> None:
    worlds = Worlds(task, MujocoSim(task.model, 200, 1), torch.arange(200))
    worlds.start()
    assert not task.terminated(worlds.state).any()


def test_rewards_are_a_total_and_terms_that_add_up(task: Task) -> None:
    actions = random_actions(task, 40, WORLDS)
    rolled = roll(task, torch.arange(WORLDS), actions)
    before = State(task.layout, rolled["states"][:-1].flatten(0, 1))
    after = State(task.layout, rolled["nexts"].flatten(0, 1))
    taken = actions.flatten(0, 1)
    for reward in (task.expert_reward, task.sparse_reward):
        total, terms = reward(before, taken, after)
        assert total.shape == (len(before),)
        assert total.isfinite().all()
        assert terms
        for term in terms.values():
            assert term.shape == (len(before),)
        torch.testing.assert_close(sum(terms.values()), total)
        part = torch.tensor([3, 17, 60])
        alone, _ = reward(
            State(task.layout, before._matrix[part]), taken[part], State(task.layout, after._matrix[part])
        )
        torch.testing.assert_close(alone, total[part])
    sparse, _ = task.sparse_reward(before, taken, after)
    assert set(sparse.unique().tolist()) <= {0.0, 1.0}


def test_fitness_is_one_finite_number_per_episode_and_knows_no_other(task: Task) -> None:
    generator = torch.Generator().manual_seed(1)
    span = task.action_high - task.action_low

    def act(observation: Tensor) -> Tensor:
        return task.action_low + span * torch.rand(len(observation), task.action_size, generator=generator)

    episodes = play_episodes(task, MujocoSim(task.model, WORLDS, 2), act, torch.arange(WORLDS))
    fitness = task.fitness(episodes)
    assert fitness.shape == (WORLDS,)
    assert fitness.isfinite().all()
    one = Episodes(
        layout=episodes.layout,
        states=episodes.states[:, 2:3],
        actions=episodes.actions[:, 2:3],
        length=episodes.length[2:3],
        terminated=episodes.terminated[2:3],
        control_step=episodes.control_step,
    )
    torch.testing.assert_close(task.fitness(one), fitness[2:3])
    assert (fitness < task.success_threshold).all()  # random actions solve nothing


def test_descriptions_are_for_people(task: Task) -> None:
    assert task.description.endswith(".")
    assert task.expert_source
    assert all(field.unit and field.meaning for field in task.fields)
    for name in ("expert", "sparse", "fitness", "reward"):
        assert name not in task.description.lower()
