"""Trainings that a device's memory does not hold together: the same results, in groups or after it ran out."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rewardgen.config import TrainingConfig
from rewardgen.errors import OutOfMemory
from rewardgen.records import TrainingResult
from rewardgen.sim import Arrangement, MujocoSim, Simulator
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.tasks import Task
from rewardgen.training import Member, TaskReward, devices, train
from rewardgen.training.memory import halves, learning_bytes, plan
from tests.training.watchers import Written

GIGABYTE = 10**9


@pytest.fixture
def members(task: Task) -> list[Member]:
    """Two rewards with three seeds each."""
    rewards = {
        "expert": TaskReward(task.expert_reward, task.layout),
        "sparse": TaskReward(task.sparse_reward, task.layout),
    }
    return [Member(key, seed, reward) for key, reward in rewards.items() for seed in range(3)]


def same(results: Sequence[TrainingResult], expected: Sequence[TrainingResult]) -> bool:
    return [(r.key, r.seed, r.weights, r.curve) for r in results] == [
        (r.key, r.seed, r.weights, r.curve) for r in expected
    ]


# ---- planning


def test_groups_are_as_few_as_fit_and_keep_keys_together(
    task: Task, config: TrainingConfig, members: list[Member]
) -> None:
    each = learning_bytes(task, config)
    room = {6: ((0, 1, 2, 3, 4, 5),), 5: ((0, 1, 2), (3, 4, 5)), 3: ((0, 1, 2), (3, 4, 5))}
    room |= {2: ((0, 1), (2,), (3, 4), (5,)), 1: tuple((k,) for k in range(6))}
    for count, groups in room.items():
        planned = plan(task, members, config, ON_CPU, int(count * each / 0.9) + count)
        assert planned.groups == groups
        assert f"{config.worlds} worlds" in planned.message
        assert ("one after another" in planned.message) == (count < 6)


def test_what_does_not_fit_at_all_is_refused_with_the_sizes(
    task: Task, config: TrainingConfig, members: list[Member]
) -> None:
    with pytest.raises(OutOfMemory, match=r"1e-06 GB free.*lower training\.worlds"):
        plan(task, members, config, ON_CPU, 1000)


def test_where_memory_is_no_matter_nothing_is_said(task: Task, config: TrainingConfig, members: list[Member]) -> None:
    planned = plan(task, members, config, ON_CPU, None)
    assert (planned.groups, planned.message) == (((0, 1, 2, 3, 4, 5),), "")


@pytest.mark.parametrize(
    ("keys", "first"), [("aabb", 2), ("aaab", 3), ("abbb", 1), ("aaaa", 2), ("aaa", 1), ("aabbcc", 2), ("ab", 1)]
)
def test_halves_part_between_keys(keys: str, first: int) -> None:
    assert halves(list(keys)) == (list(range(first)), list(range(first, len(keys))))


class Allocated(TorchDispatchMode):
    """Counts the bytes of all storages that torch operations make, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage.data_ptr(), storage.nbytes()
        if place in self._known or not size:
            return
        self._known.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)

        def gone() -> None:
            self._known.discard(place)
            self.now -= size

        weakref.finalize(storage, gone)


@pytest.mark.parametrize(
    "sizes",
    [
        {"worlds": 64, "rollout": 16, "hidden": (64, 64), "minibatches": 4},
        {"worlds": 512, "rollout": 4, "hidden": (8,), "minibatches": 8},
        {"worlds": 16, "rollout": 8, "hidden": (256,), "minibatches": 1},
    ],
    ids=["usual", "many worlds", "large networks"],
)
def test_the_estimate_holds_what_a_training_takes_and_not_much_more(
    task: Task, sizes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainingConfig(
        steps=2 * sizes["worlds"] * sizes["rollout"],
        epochs=1,
        checkpoints=1,
        checkpoint_episodes=4,
        score_episodes=4,
        **sizes,
    )
    monkeypatch.setattr(devices, "on_card", lambda device: True)  # the operations that a card gets
    reward = TaskReward(task.expert_reward, task.layout)
    with Allocated() as allocated:
        train(task, [Member("expert", seed, reward) for seed in range(4)], config, threads=1)
    estimate = 4 * learning_bytes(task, config)
    assert 0.5 * estimate < allocated.peak < estimate


# ---- training


def test_groups_come_to_what_all_together_come_to(task: Task, config: TrainingConfig, members: list[Member]) -> None:
    together = train(task, members, config)
    room = int(2 * learning_bytes(task, config) / 0.9) + 2
    told = Written()
    grouped = train(task, members, config, watcher=told, memory_available=lambda device: room)
    assert same(grouped, together)
    assert len(told.notes) == 1 and "4 groups (2, 1, 2, 1), one after another" in told.notes[0]
    assert told.steps == sorted(told.steps) and told.steps[-1] == sum(result.steps for result in grouped) == 6 * 1024


def test_no_race_is_run_between_groups(task: Task, config: TrainingConfig, members: list[Member]) -> None:
    def judge(steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        return {0: "asked"}

    told = Written(judge)
    room = int(3 * learning_bytes(task, config) / 0.9) + 3
    results = train(task, members, config, watcher=told, memory_available=lambda device: room)
    assert {result.status for result in results} == {"done"}
    assert any("race" in note for note in told.notes)
    assert train(task, members, config, watcher=Written(judge))[0].status == "stopped"


class LimitedSim(MujocoSim):
    """Runs out of memory in its ``last`` step."""

    last = 20

    def step(self, ctrl: Tensor, nstep: int) -> None:
        self.last -= 1
        if self.last == 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        super().step(ctrl, nstep)


@dataclass(frozen=True)
class Limited(Arrangement):
    """Holds ``most`` worlds: more cannot be made, or last only for a while."""

    most: int = 0
    lasting: bool = False

    def simulator(self, model: mujoco.MjModel, num_worlds: int, threads: int = 0) -> Simulator:
        if num_worlds <= self.most:
            return super().simulator(model, num_worlds, threads)
        if self.lasting:
            return LimitedSim(model, num_worlds, threads)
        raise RuntimeError(f"Failed to allocate {num_worlds} bytes on device 'cuda:0'")


@pytest.mark.parametrize("lasting", [False, True], ids=["at once", "in the second rollout"])
def test_when_memory_runs_out_the_halves_go_on(
    task: Task, config: TrainingConfig, members: list[Member], lasting: bool
) -> None:
    together = train(task, members, config)
    # 16 worlds for each member: three fit; then two, after the halves were parted again
    for most, parts in ((3, ["3 and 3"]), (2, ["3 and 3", "1 and 2", "1 and 2"])):
        told = Written()
        arrangement = Limited(most=most * config.worlds, lasting=lasting)
        split = train(task, members, config, arrangement=arrangement, watcher=told)
        assert same(split, together)
        assert [note.split("as ")[1].split(",")[0] for note in told.notes] == parts


def test_a_single_training_that_does_not_fit_is_told_of(
    task: Task, config: TrainingConfig, members: list[Member]
) -> None:
    with pytest.raises(OutOfMemory, match=r"does not hold one training of 16 worlds .*Failed to allocate"):
        train(task, members, config, arrangement=Limited(most=3))


def test_other_errors_of_the_runtime_pass_through(
    task: Task, config: TrainingConfig, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: MujocoSim, ctrl: Tensor, nstep: int) -> None:
        raise RuntimeError("a shape is wrong")

    monkeypatch.setattr(MujocoSim, "step", broken)
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        train(task, members, config)
