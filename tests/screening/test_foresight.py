"""Trying rewards on stored episodes: what shaping cannot hide, and how returns order episodes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import Tensor

from rewardgen.config import load
from rewardgen.errors import RewardFailed
from rewardgen.program import check
from rewardgen.records import RewardProgram, State
from rewardgen.sandbox import Sandbox
from rewardgen.screening.episodes import Archive, random_play
from rewardgen.screening.foresight import Foresight, agreement, distance, draw_probes
from rewardgen.sim import MujocoSim
from rewardgen.store import Store
from rewardgen.tasks import Task, load_task, play_episodes
from rewardgen.training.episodes import Collector, Trajectory, dump, parse, spread

GAMMA = 0.97
Function = Callable[[Tensor, Tensor, Tensor], Tensor]


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("cartpole/swingup")


@pytest.fixture(scope="module")
def episodes(task: Task) -> list[Trajectory]:
    return random_play(task, 8, 3, 1)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(level="basic") as made:
        yield made


def base(states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
    return torch.tanh(next_states[:, 1]) - 0.1 * actions.square().sum(-1) + 0.2 * states[:, 0] * next_states[:, 2]


def potential(states: Tensor) -> Tensor:
    return 3.0 * torch.sin(states[:, 0]) + states[:, 1].abs() * states[:, 2] + 5.0


def shaped(function: Function, scale: float) -> Function:
    def reward(states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
        change = GAMMA * potential(next_states) - potential(states)
        return scale * function(states, actions, next_states) + change + 0.7

    return reward


def apart(episodes: list[Trajectory], one: Function, other: Function) -> float:
    probes = draw_probes(episodes, GAMMA, 0)
    first, second = (probes.canonical(function(*probes.rows())) for function in (one, other))
    assert first is not None and second is not None
    return distance(first, second)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_scale_shaping_and_a_constant_change_nothing(episodes: list[Trajectory], scale: float) -> None:
    assert apart(episodes, base, shaped(base, scale)) < 0.003


def test_what_pays_for_something_else_is_far(episodes: list[Trajectory]) -> None:
    def effort(states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
        return -actions.square().sum(-1)

    assert apart(episodes, base, lambda *given: -base(*given)) == pytest.approx(1.0)
    assert apart(episodes, effort, shaped(base, 1.0)) > 0.2

    # with another discount, what was shaping is none any more
    def undiscounted(states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
        return base(states, actions, next_states) + potential(next_states) - potential(states)

    assert apart(episodes, base, undiscounted) > 0.02
    # more of another term is further away
    distances = [apart(episodes, base, lambda *g, w=w: base(*g) + w * effort(*g)) for w in (0.001, 0.01, 0.1, 1.0)]  # type: ignore[misc]
    assert distances == sorted(distances) and distances[0] < 0.01 < distances[-1]


def test_the_canonical_form_by_the_definition(episodes: list[Trajectory]) -> None:
    """EPIC's formula written out with loops, on three transitions."""
    probes = draw_probes(episodes, GAMMA, 1)
    canonical = probes.canonical(base(*probes.rows()))
    assert canonical is not None

    def one(s: Tensor, a: Tensor, s2: Tensor) -> float:
        return float(base(s[None], a[None], s2[None]))

    raw = []
    drawn = list(zip(probes.drawn_actions, probes.drawn_states, strict=True))
    for s, a, s2 in itertools.islice(zip(probes.states, probes.actions, probes.next_states, strict=True), 3):
        after = sum(one(s2, act, end) for act, end in drawn) / len(drawn)
        before = sum(one(s, act, end) for act, end in drawn) / len(drawn)
        raw.append(one(s, a, s2) + GAMMA * after - before)
    ratio = (raw[0] - raw[1]) / (raw[1] - raw[2])  # an unknown scale and constant drop out
    assert float((canonical[0] - canonical[1]) / (canonical[1] - canonical[2])) == pytest.approx(ratio, rel=1e-3)
    assert float(canonical.mean()) == pytest.approx(0.0, abs=1e-12) and float(canonical.norm()) == pytest.approx(1.0)


def test_nothing_but_shaping_is_compared_with_nothing(episodes: list[Trajectory]) -> None:
    probes = draw_probes(episodes, GAMMA, 0)
    rows = probes.rows()
    assert probes.canonical(GAMMA * potential(rows[2]) - potential(rows[0])) is None
    assert probes.canonical(torch.full((len(rows[0]),), 2.0)) is None


def test_agreement_is_kendalls_share_of_pairs() -> None:
    generator = torch.Generator().manual_seed(4)
    fitness = torch.randperm(20, generator=generator).double()
    returns = fitness + 6.0 * torch.randn(20, generator=generator, dtype=torch.float64)
    share, pairs = agreement(returns.tolist(), fitness.tolist())
    tau = stats.kendalltau(returns.numpy(), fitness.numpy()).statistic
    assert pairs == 190 and share == pytest.approx((1 + tau) / 2)
    assert agreement(fitness.tolist(), fitness.tolist())[0] == 1.0
    assert agreement((-fitness).tolist(), fitness.tolist())[0] == 0.0
    assert agreement([1.0] * 20, fitness.tolist())[0] == 0.5
    # pairs that hardly differ tell nothing: 5 against 5 is left of these
    assert agreement(list(range(10)), [0.0, 0.001, 0.002, 0.003, 0.004, 1.0, 1.001, 1.002, 1.003, 1.004])[1] == 25
    assert agreement([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == (None, 3)
    assert agreement([1.0] * 9, [2.0] * 9) == (None, 0)


# ---- through the sandbox

SPEED = """
def compute_reward(state, action, next_state):
    speed = torch.tanh(next_state.cart_velocity)
    effort = -0.1 * action.square().sum(-1)
    return speed + effort, {"speed": speed, "effort": effort}
"""
COPY = """
def compute_reward(state, action, next_state):
    speed = 4.0 * torch.tanh(next_state.cart_velocity)
    effort = -0.4 * action.square().sum(-1)
    progress = 0.97 * next_state.cart_position.square() - state.cart_position.square()
    return speed + effort + progress, {"speed": speed, "effort": effort, "progress": progress}
"""
OTHER = """
def compute_reward(state, action, next_state):
    middle = torch.exp(-next_state.cart_position.square())
    return middle, {"middle": middle}
"""
NEVER_APART = """
def compute_reward(state, action, next_state):
    near = 1.0 / (1.0 - ((next_state.cart_position - state.cart_position).abs() > 1.0).float())
    return near * next_state.cart_velocity, {"near": near}
"""
LATE = """
def compute_reward(state, action, next_state):
    value = torch.log(1e-9 - next_state.cart_position.abs() + 1e-2)
    return value, {"value": value}
"""


def program(source: str, task: Task) -> RewardProgram:
    return check(source, task.layout)


def test_a_program_is_told_from_its_copy(task: Task, episodes: list[Trajectory], sandbox: Sandbox) -> None:
    foresight = Foresight(sandbox, task, episodes, GAMMA, 0)
    others = {"speed": program(SPEED, task), "other": program(OTHER, task)}
    copy = foresight.forecast(program(COPY, task), others)
    assert copy.nearest == "speed" and copy.distance is not None and copy.distance < 0.005
    alone = foresight.forecast(program(SPEED, task), {})
    assert (alone.nearest, alone.distance) == (None, None)
    new = foresight.forecast(program(OTHER, task), {"speed": program(SPEED, task)})
    assert new.nearest == "speed" and new.distance is not None and new.distance > 0.1
    # the agreement is that of returns worked out here
    returns = []
    for item in episodes:
        after = State(task.layout, item.states[1:])
        returns.append(float(torch.exp(-after.cart_position.square()).sum()))
    assert (new.agreement, new.pairs) == agreement(returns, [item.fitness for item in episodes])
    assert new.episodes == len(episodes)


def test_what_fails_on_real_episodes_is_said_and_what_fails_elsewhere_is_not(
    task: Task, episodes: list[Trajectory], sandbox: Sandbox
) -> None:
    foresight = Foresight(sandbox, task, episodes, GAMMA, 0)
    with pytest.raises(RewardFailed, match=r"NaN|infinite"):
        foresight.forecast(program(LATE, task), {})
    apart_ = foresight.forecast(program(NEVER_APART, task), {"speed": program(SPEED, task)})
    assert apart_.nearest is None and apart_.distance is None  # no one ever asked it about such jumps
    assert foresight.forecast(program(SPEED, task), {"never": program(NEVER_APART, task)}).nearest is None


# ---- stored episodes


def test_random_play_is_repeatable_and_its_fitness_is_the_tasks(task: Task, episodes: list[Trajectory]) -> None:
    again = random_play(task, 8, 3, 2)
    for one, other in zip(episodes, again, strict=True):
        assert torch.equal(one.states, other.states) and torch.equal(one.actions, other.actions)
        assert one.fitness == other.fitness and len(one.states) == len(one.actions) + 1
    held = [item.actions for item in episodes]
    assert len(held[2].unique(dim=0)) == 1  # the third kind holds one action, the first never holds any
    assert len(held[0].unique(dim=0)) == len(held[0])
    steps = torch.zeros(1, dtype=torch.int64)

    def replay(observation: Tensor) -> Tensor:
        step = int(steps)
        steps.add_(1)
        return held[3][step : step + 1]

    stream = torch.tensor([3]) + 3 * 8
    played = play_episodes(task, MujocoSim(task.model, 1, 1), replay, stream)
    assert torch.equal(played.states[:, 0], episodes[3].states)
    assert float(task.fitness(played)) == pytest.approx(episodes[3].fitness)


def made(fitness: float, length: int = 3) -> Trajectory:
    return Trajectory(torch.full((length + 1, 2), fitness), torch.zeros(length, 1), fitness)


def test_the_spread_keeps_all_degrees_of_fitness() -> None:
    values = [5.0, 1.0, math.nan, 3.0, 2.0, 4.0, 0.0]
    assert [item.fitness for item in spread([made(value) for value in values], 4)] == [0.0, 2.0, 3.0, 5.0]
    assert [item.fitness for item in spread([made(value) for value in values], 9)] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert spread([], 3) == []


def test_episodes_survive_the_store(tmp_path: Path, task: Task, episodes: list[Trajectory]) -> None:
    settings = load(overrides={"task": "cartpole/swingup", "search.screening.episodes": 4, "threads": 1})
    with Store(tmp_path, new=True) as store:
        archive = Archive(task, settings, store)
        store.add_trainings([], ("r0g0", dump([made(100.0 + k) for k in range(4)])))
        store.add_trainings([], ("r1g0", dump([made(900.0)])))  # restarts know nothing of each other
        first, second = archive.of([]), archive.of(["r0g0"])
    assert len(first) == len(second) == 4
    assert max(item.fitness for item in first) < 100.0
    assert second[-1].fitness == 103.0 and second[0].fitness == first[0].fitness
    assert parse(dump([])) == []
    for one, other in zip(parse(dump(episodes)), episodes, strict=True):
        assert torch.equal(one.states, other.states) and torch.equal(one.actions, other.actions)
        assert one.fitness == other.fitness


def test_a_collector_is_bounded(task: Task) -> None:
    collector = Collector("r0g0", 4)
    sim = MujocoSim(task.model, 2, 1)
    played = play_episodes(task, sim, lambda seen: torch.zeros(2, task.action_size), torch.arange(2))
    for k in range(100):
        collector.take("key", 0, played, torch.tensor([float(k), float(k)]))
        assert len(collector._kept) < 16
    kept = parse(collector.content())
    assert len(kept) == 4 and kept[-1].fitness == 99.0 and kept[0].fitness == 0.0
    assert torch.equal(kept[0].states, played.states[:, 0])
