"""What every registered task must keep, and a user's own as well.

A rollout costs up to a second for the largest models, so the tests of one task share theirs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rewardgen.program import check
from rewardgen.records import Episodes, State
from rewardgen.sandbox import Sandbox, SandboxLimits, smoke_test
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds, load_task, play_episodes
from rewardgen.training.normalise import RunningMoments
from tests import ours
from tests.envs.solvers import NONE_HERE, SCRIPTED, solver
from tests.envs.source import program
from tests.sampling import few

EXAMPLE = Path(__file__).parents[1] / "tasks" / "example"
TASKS = [*ours.TASKS, "slider/park"]
GROUPS = {"gymnasium", "text2reward", "dmc", "robotics", "eureka", "own"}
UNIT = re.compile(r"(m|rad|s|kg|N|J|W|Hz|1)( (m|s|rad|kg))*(/(s|m|rad|kg))?(\^?[23²³])?")
WORLDS = 6
STEPS = 100
SOLVED_EPISODES = 4

RARE = {
    "adroit/door": {"door_angle": "it seldom opens so far that the observation says so"},
    "adroit/hammer": {
        "nail_depth": "nothing strikes the nail",
        "nail_velocity": "nothing strikes the nail",
        "nail_impact": "nothing strikes the nail",
        "nail_position": "only its height differs from episode to episode",
    },
    "fetch/push": {"goal_position": "all goals are at the height of the table"},
    "fetch/slide": {"goal_position": "all goals are at the height of the table"},
    "ant": {"contact_forces": "the ground seldom touches all thirteen bodies"},
    "dmc_manipulator": {"touch": "the hand seldom meets the ball"},
    "double_pendulum": {"rail_force": "the poles fall before the cart meets the ends of the rail"},
    "humanoid": {
        "body_inertias": "Gymnasium shows the bodies' masses among them",
        "contact_forces": "the ground does not touch all thirteen bodies",
    },
    "humanoid/standup": {"body_inertias": "Gymnasium shows the bodies' masses among them"},
    "shadow_hand/pen_reorient": {"goals_reached": "a pen seldom comes to point at a random goal by luck"},
    "pusher": {
        "cylinder_position": "it slides on the table",
        "goal_position": "Gymnasium's goal is always in the same place",
    },
}
"""By task or by domain: fields that random actions may leave constant, wholly or in some of their columns, and why."""


def rare(task: Task) -> dict[str, str]:
    named = RARE.get(task.name) or RARE.get(task.name.split("/")[0], {})
    return {field: why for field, why in named.items() if field in task.layout.columns}


SPARSE_EXPERTS = {
    "dmc_ball_in_cup/catch",
    "dmc_cartpole/swingup_sparse",
    "dmc_finger/spin",
    "dmc_finger/turn_easy",
    "dmc_finger/turn_hard",
    "dmc_manipulator/bring_ball",
    "dmc_pendulum/swingup",
    "dmc_reacher/easy",
    "dmc_reacher/hard",
}
"""Tasks whose expert reward, as the suite has it, pays at the goal alone, where random actions may never come. Their
fitness is that reward's sum: a policy that succeeds, where there is one, shows that it pays."""

Rollout = dict[str, Tensor]


def loaded(name: str) -> Task:
    return _example() if name == "slider/park" else ours.loaded(name)


@cache
def _example() -> Task:
    return load_task("slider/park", [EXAMPLE])


@pytest.fixture(scope="module", params=few(TASKS))  # by module: the tests of one task follow each other
def task(request: pytest.FixtureRequest) -> Task:
    return loaded(request.param)


def random_actions(task: Task, steps: int, worlds: int, seed: int = 0) -> Tensor:
    """Over all of the action range, each held for five steps."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(steps // 5 + 1, worlds, task.action_size, generator=generator).repeat_interleave(5, dim=0)
    return task.action_low + unit[:steps] * (task.action_high - task.action_low)


def roll(task: Task, streams: Tensor, actions: Tensor, threads: int = 1) -> Rollout:
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
        "actions": actions,
        "terminated": torch.stack(terminated),
        "truncated": torch.stack(truncated),
    }


@lru_cache(maxsize=4)
def shared(name: str) -> Rollout:
    """The rollout that most tests of a task look at; nobody writes to it."""
    task = loaded(name)
    return roll(task, torch.arange(WORLDS), random_actions(task, STEPS, WORLDS))


def transitions(task: Task) -> tuple[State, Tensor, State]:
    rolled = shared(task.name)
    before = State(task.layout, rolled["states"][:-1].flatten(0, 1))
    return before, rolled["actions"].flatten(0, 1), State(task.layout, rolled["nexts"].flatten(0, 1))


def assert_same(ours: Rollout, theirs: Rollout) -> None:
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


# ---- what it declares


def test_it_says_what_it_is(task: Task) -> None:
    assert task.group in GROUPS
    assert task.description.endswith(".")
    assert task.expert_source
    for word in ("expert", "sparse", "fitness", "reward"):
        assert word not in task.description.lower()
    low, high = task.fitness_range
    assert low <= task.success_threshold <= high


def test_its_fields_have_units_and_meanings(task: Task) -> None:
    for field in task.fields:
        assert all(UNIT.fullmatch(unit) for unit in field.unit.split(", ")), f"{field.name} has the unit {field.unit}"
        assert len(field.meaning.split()) > 1


# ---- what its worlds show


def test_what_comes_out_is_what_it_declares(task: Task) -> None:
    sim = MujocoSim(task.model, WORLDS, 1)
    task.state(sim)
    sim.forward(torch.arange(WORLDS))
    given = task.state(sim)
    assert set(given) == {field.name for field in task.fields}
    for field in task.fields:
        assert given[field.name].shape == (WORLDS, *field.shape), field.name
    rolled = shared(task.name)
    for name, value in rolled.items():
        assert value.isfinite().all(), name
    for field in task.fields:
        values = task.layout.read(rolled["states"], field.name)
        changes = bool((values != values[0, 0]).any())
        assert changes or field.name in rare(task), f"{field.name} is constant"


def test_what_may_stay_constant_does(task: Task) -> None:
    """``RARE`` names nothing without need: a column of each of its fields, or of what shows it, is constant."""
    constant = constant_observations(task, ())
    for name in rare(task):
        values = task.layout.read(shared(task.name)["states"], name)
        values = values.reshape(*values.shape[:2], -1)
        observed = constant & ~constant_observations(task, (name,))
        assert (values == values[0, 0]).all(0).all(0).any() or observed.any(), f"all of {name} changes"


def test_observations_are_finite_and_not_constant(task: Task) -> None:
    state = State(task.layout, shared(task.name)["states"].flatten(0, 1))
    observation = task.observation(state)
    assert observation.dtype == torch.float32
    assert observation.shape == (len(state), task.observation_size)
    assert observation.isfinite().all()
    constant = constant_observations(task, rare(task))
    assert not constant.any(), f"constant: {constant.nonzero().flatten().tolist()}"


def constant_observations(task: Task, stirred: Iterable[str]) -> Tensor:
    """Which of the observation's entries ``(O,)`` never change under random actions, even if some fields do."""
    state = State(task.layout, shared(task.name)["states"].flatten(0, 1).clone())
    for name in stirred:
        part = task.layout.read(state._matrix, name)
        part += 2.0 * torch.rand(part.shape, generator=torch.Generator().manual_seed(0))
    observation = task.observation(state)
    return (observation == observation[0]).all(0)


def test_observations_are_bounded_after_normalisation(task: Task) -> None:
    """What training cuts off at ten standard deviations is rare in worlds that the statistics have not seen."""
    seen = task.observation(State(task.layout, shared(task.name)["states"].flatten(0, 1)))
    half = len(seen) // 2
    worlds = seen.view(STEPS + 1, WORLDS, -1).transpose(0, 1).flatten(0, 1)  # each world's steps together
    moments = RunningMoments(1, worlds.shape[1])
    moments.update(worlds[None, :half])
    normalised = (worlds[half:] - moments.mean[0]) / (moments.variance[0] + 1e-8).sqrt()
    # What stays the same over an episode, such as a goal, has been drawn too few times here to have statistics.
    normalised = normalised[:, seen.view(STEPS + 1, WORLDS, -1).std(0).amax(0) > 0]
    # The things that these robots handle are touched in some worlds alone: in so few it may be new in the second half.
    limit = 0.03 if task.group == "robotics" else 0.01
    assert (normalised.abs() > 10.0).double().mean() < limit


def test_the_same_streams_give_the_same_worlds(task: Task) -> None:
    rolled = shared(task.name)
    assert_same(rolled, roll(task, torch.arange(WORLDS), rolled["actions"], threads=2))


def test_worlds_are_independent_of_each_other(task: Task) -> None:
    """Alone, in another order, and beside worlds with other actions: each world does the same."""
    together = shared(task.name)
    order = torch.tensor([4, 1, 0])
    apart = roll(task, order, together["actions"][:, order])
    assert_same({name: value[:, order] for name, value in together.items()}, apart)


def test_no_two_worlds_share_memory(task: Task) -> None:
    """What is written into one world shows in no other, and what was handed out stays as it was."""
    sim = MujocoSim(task.model, WORLDS, 1)
    worlds = Worlds(task, sim, torch.arange(WORLDS))
    handed_out = worlds.start()
    kept = handed_out.clone()
    for name in ("qpos", "qvel"):
        field = sim.field(name)
        others = field[1:].clone()
        field[0] += 0.01
        assert torch.equal(field[1:], others)
    sim.forward(torch.arange(1))
    fresh = worlds._read()
    assert torch.equal(fresh[1:], kept[1:])
    assert not torch.equal(fresh[0], kept[0])
    worlds.step(task.clip(torch.ones(WORLDS, task.action_size)))
    assert torch.equal(handed_out, kept)
    fresh[0] += 1.0
    assert torch.equal(fresh[1:], kept[1:])


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
    worlds = Worlds(task, MujocoSim(task.model, 100, 1), torch.arange(100))
    worlds.start()
    assert not task.terminated(worlds.state).any()


# ---- its rewards


def test_rewards_are_a_total_and_terms_that_add_up(task: Task) -> None:
    before, taken, after = transitions(task)
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


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxLimits(call_seconds=10.0, program_seconds=60.0, memory_gb=2.0)) as opened:
        yield opened


def test_the_expert_reward_passes_as_a_candidate(task: Task, sandbox: Sandbox) -> None:
    """Written as a program it is accepted by the static check, runs in the sandbox, and says the same there."""
    candidate = check(program(task), task.layout)
    before, taken, after = transitions(task)
    worker = sandbox.open(candidate, task.layout, task.action_size, len(taken))
    try:
        problems = smoke_test(worker, task.layout, before._matrix, taken, after._matrix, call_seconds=5.0)
        if task.name in SPARSE_EXPERTS:
            problems = [problem for problem in problems if "the reward is 0 in all" not in problem.message]
        assert problems == []
        worker.submit(before._matrix, taken, after._matrix)
        labels = worker.result()
    finally:
        worker.close()
    total, terms = task.expert_reward(before, taken, after)
    torch.testing.assert_close(labels.reward, total.float(), rtol=1e-5, atol=1e-5)
    assert labels.names == tuple(terms)


# ---- its truth


@torch.no_grad()
def test_who_has_learned_nothing_fails(task: Task) -> None:
    """Random actions, anew in each step or held for a while, and none at all; and fitness is one number per episode."""
    generator = torch.Generator().manual_seed(1)
    low, high = task.action_low, task.action_high
    held = random_actions(task, task.horizon, 1, seed=2)
    age = 0

    def act(observation: Tensor) -> Tensor:
        nonlocal age
        action = low + (high - low) * torch.rand(len(observation), task.action_size, generator=generator)
        action[-2] = held[age, 0]
        action[-1] = task.clip(torch.zeros(task.action_size))
        age += 1
        return action

    episodes = play_episodes(task, MujocoSim(task.model, WORLDS, 2), act, torch.arange(WORLDS))
    fitness = task.fitness(episodes)
    assert fitness.shape == (WORLDS,)
    assert fitness.isfinite().all()
    assert_in_range(task, fitness)
    # Where a goal is drawn at random it is met now and then by luck.
    assert fitness.mean() < task.success_threshold
    assert (fitness >= task.success_threshold).double().mean() <= 1 / 3, fitness.tolist()
    one = Episodes(
        layout=episodes.layout,
        states=episodes.states[:, 2:3],
        actions=episodes.actions[:, 2:3],
        length=episodes.length[2:3],
        terminated=episodes.terminated[2:3],
        control_step=episodes.control_step,
    )
    torch.testing.assert_close(task.fitness(one), fitness[2:3])


@torch.no_grad()
def test_who_has_learned_it_succeeds(task: Task) -> None:
    act = solver(task)
    if act is None:
        pytest.skip(NONE_HERE.get(task.name, "a task of the user's own"))
    sim = MujocoSim(task.model, SOLVED_EPISODES, 2)
    fitness = task.fitness(play_episodes(task, sim, act, torch.arange(SOLVED_EPISODES)))
    assert_in_range(task, fitness)
    assert (fitness >= task.success_threshold).double().mean() >= 2 / 3, fitness.tolist()


@pytest.mark.slow
def test_each_task_has_a_solver_or_a_reason() -> None:
    own = ours.TASKS
    solved = {name for name in own if solver(loaded(name)) is not None}
    assert solved.isdisjoint(NONE_HERE)
    assert solved | set(NONE_HERE) == set(own)
    assert set(SCRIPTED) <= set(own)
    assert set(RARE) <= {name.split("/")[0] for name in own} | set(own)
    assert set(own) >= SPARSE_EXPERTS


def assert_in_range(task: Task, fitness: Tensor) -> None:
    low, high = task.fitness_range
    slack = 1e-5 * max([abs(bound) for bound in (low, high) if math.isfinite(bound)], default=0.0)
    assert fitness.min() >= low - slack
    assert fitness.max() <= high + slack
