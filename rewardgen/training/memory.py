"""Estimate the device memory of a training, and divide members into groups if they do not all fit at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from rewardgen.config import TrainingConfig
from rewardgen.errors import OutOfMemory
from rewardgen.sim import Arrangement
from rewardgen.tasks import Task
from rewardgen.training.labelling import Member
from rewardgen.training.networks import Shape
from rewardgen.training.ppo import Columns

_FLOAT, _INDEX = 4, 8  # bytes
_USABLE = 0.9  # share of the free memory to use: allocators round up and fragment
_SCRATCH = 12  # (T, W) tensors of a member alive at once: rewards, values, advantages and temporaries
_FRESH_START = 96  # numbers per world alive during a reset: ages, random streams, draws and temporaries
_PROBE = 64  # worlds of the smaller of two probe simulations


@dataclass(frozen=True)
class MemoryPlan:
    """Indices of the members in ``groups``, which train one after another, and a ``message`` on the sizes or ""."""

    groups: tuple[tuple[int, ...], ...]
    message: str = ""


def plan(
    task: Task, members: Sequence[Member], config: TrainingConfig, arrangement: Arrangement, available: int | None
) -> MemoryPlan:
    """Divide the members into as few groups as fit into memory; members of one key stay together if possible.

    Args:
        available: free device memory in bytes; None for no limit, which gives one group.

    Raises:
        OutOfMemory: not even one member fits.
    """
    everyone = tuple(range(len(members)))
    if available is None:
        return MemoryPlan((everyone,))

    # Estimate one member's memory: learning, and physics of training and checkpoint worlds
    learning = learning_bytes(task, config)
    played = config.checkpoint_episodes + config.score_episodes
    physics = (config.worlds + played) * world_bytes(task, arrangement)
    each, usable = learning + physics, int(_USABLE * available)
    sizes = (
        f"{arrangement.device} has {_gigabytes(available)} GB free; a training of {config.worlds:,} worlds takes "
        f"{_gigabytes(each)} GB ({_gigabytes(physics)} physics, {_gigabytes(learning)} learning)"
    )

    # Compare with what is free
    most = usable // each
    if most < 1:
        raise OutOfMemory(f"{sizes}, which does not fit; lower training.worlds or training.rollout")
    if most >= len(members):
        together = f"all {len(members)} train together" if len(members) > 1 else "it fits"
        return MemoryPlan((everyone,), f"{sizes}: {together}")
    groups = _deal([member.key for member in members], most)
    counts = ", ".join(str(len(group)) for group in groups)
    return MemoryPlan(
        groups, f"{sizes}: {len(members)} of them train in {len(groups)} groups ({counts}), one after another"
    )


def halves(keys: Sequence[str]) -> tuple[list[int], list[int]]:
    """Split the indices of ``keys`` into two halves of about equal size, between two different keys if possible."""
    borders = [i for i in range(1, len(keys)) if keys[i] != keys[i - 1]] or [len(keys) // 2]
    middle = min(borders, key=lambda i: abs(i - len(keys) / 2))
    return list(range(middle)), list(range(middle, len(keys)))


def _deal(keys: Sequence[str], most: int) -> tuple[tuple[int, ...], ...]:
    """Divide the indices of ``keys`` into groups of at most ``most``, in order.

    Adjacent equal keys stay in one group unless they are more than ``most``.
    """
    groups: list[list[int]] = [[]]
    aim = ceil(len(keys) / ceil(len(keys) / most))  # target size: groups of about equal size
    for _, run in groupby(range(len(keys)), keys.__getitem__):
        places = list(run)
        for start in range(0, len(places), most):
            part = places[start : start + most]
            if groups[-1] and (len(groups[-1]) + len(part) > most or len(groups[-1]) >= aim):
                groups.append([])
            groups[-1] += part
    return tuple(tuple(group) for group in groups)


def world_bytes(task: Task, arrangement: Arrangement) -> int:
    """Measure the device memory per world, in bytes, from the difference of two small simulations."""
    if arrangement.sim != "warp":
        return 0  # physics runs in host memory
    small, large = (arrangement.simulator(task.model, count).device_bytes for count in (_PROBE, 2 * _PROBE))
    return ceil((large - small) / _PROBE)


def learning_bytes(task: Task, config: TrainingConfig) -> int:
    """Estimate the peak memory, in bytes, of one member's networks and rollouts on the learning device."""
    shape = Shape(task.observation_size, task.action_size, config.hidden)
    width, row = task.layout.width, Columns(shape).width
    hidden, action, observation = sum(shape.hidden), shape.action, shape.observation
    steps = config.worlds * config.rollout
    minibatch = steps // min(config.minibatches, steps)

    # Networks: weights twice, gradient, two moments, Adam's step, a temporary of the clipping
    networks = 2 * shape.parameters * 7
    # Rollout buffers: transitions, noise and rows
    kept = steps * (2 * width + 2 * action + row)
    # Cached layers of the value function and of the policy (for the KL divergence), for a whole rollout
    valuing = steps * (hidden + 1)
    diverging = steps * (hidden + action) if config.desired_kl > 0.0 else 0
    # Layers and their gradients for a minibatch, and those for one control step
    body = minibatch * (4 * hidden + 8 * action + 8)
    acting = config.worlds * (hidden + 4 * (observation + action + width) + _FRESH_START)
    # Temporaries: values need the observations twice; an epoch needs its shuffled rows and their order
    looking = steps * (2 * width + 3 * observation)
    epoch = steps * (2 * row + 4 * _INDEX // _FLOAT)
    passing = max(looking, epoch) + _SCRATCH * steps
    # Trajectories of the checkpoint episodes
    playing = (task.horizon + 1) * max(config.checkpoint_episodes, config.score_episodes) * (2 * width + action)
    return _FLOAT * (networks + kept + valuing + diverging + body + acting + passing + playing)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.3g}"
