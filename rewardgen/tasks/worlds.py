"""A task in the worlds of a simulator: control steps with time limits, ends and fresh starts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rewardgen.errors import SimulationFailed
from rewardgen.records import State
from rewardgen.sim import Simulator
from rewardgen.tasks.base import Task
from rewardgen.tasks.random import WorldRandom


class Step(NamedTuple):
    """What one control step led to, before any world began anew.

    ``next_matrix`` is ``(n, width)`` float32, ``terminated`` and ``truncated`` are ``(n,)`` bools, never both True.
    """

    next_matrix: Tensor
    terminated: Tensor
    truncated: Tensor


class Worlds:
    """``n`` worlds of ``task`` that begin a new episode whenever one ends.

    Args:
        task: what is simulated.
        sim: a simulator of ``task.model``; its worlds belong to this object from now on.
        streams: ``(n,)`` int64; a world's start states follow from its stream alone, whatever the other worlds do.

    A tensor that this class has handed out is never written to again.
    """

    def __init__(self, task: Task, sim: Simulator, streams: Tensor) -> None:
        if streams.shape != (sim.num_worlds,):
            raise ValueError(f"{sim.num_worlds} worlds need as many streams, not a tensor of {tuple(streams.shape)}")
        self.task = task
        self.sim = sim
        self.streams = streams
        self.episode = torch.zeros_like(streams)
        """``(n,)`` int64: how many episodes each world has begun before the present one."""
        self.age = torch.zeros_like(streams)
        """``(n,)`` int64: control steps taken in the present episode."""
        self.matrix = torch.zeros(sim.num_worlds, task.layout.width)
        """``(n, width)`` float32: the present state of each world, a fresh start where an episode has just ended."""

    @property
    def state(self) -> State:
        """The present state of all worlds, by field."""
        return State(self.task.layout, self.matrix)

    def start(self) -> Tensor:
        """Begin an episode in every world and return ``matrix``."""
        ids = torch.arange(self.sim.num_worlds)
        self.episode.zero_()
        # A simulator computes the derived fields that somebody has asked for: ask before the first of them is needed.
        self.task.state(self.sim)
        self._begin(ids)
        self.matrix = self._read()
        self._check_start(ids)
        return self.matrix

    def step(self, action: Tensor) -> Step:
        """Take one control step in every world, with ``action`` ``(n, action_size)`` clipped to its range.

        A world whose numbers became NaN or huge counts as terminated, in the last state that was still sound.

        Raises:
            SimulationFailed: MuJoCo reported an error.
        """
        task, before = self.task, self.matrix
        task.advance(self.sim, task.clip(action))
        reached = self._read()
        terminated = task.terminated(State(task.layout, reached))
        diverged = self.sim.diverged() | ~reached.isfinite().all(-1)
        if diverged.any():
            reached = torch.where(diverged[:, None], before, reached)
            terminated = terminated | diverged
        self.age += 1
        truncated = (self.age >= task.horizon) & ~terminated
        ended = (terminated | truncated).nonzero().squeeze(-1)
        self.matrix = reached
        if len(ended):
            self.episode[ended] += 1
            self._begin(ended)
            self.matrix = reached.clone()
            self.matrix[ended] = self._read()[ended]
            self._check_start(ended)
        return Step(reached, terminated, truncated)

    def keep(self, ids: Tensor) -> bool:
        """Go on with the worlds ``ids`` ``(k,)`` alone, each exactly as it would have; False: the simulator cannot."""
        sim = self.sim.keep(ids)
        if sim is None:
            return False
        self.sim = sim
        self.streams, self.episode, self.age = self.streams[ids], self.episode[ids], self.age[ids]
        self.matrix = self.matrix[ids]
        return True

    def _begin(self, ids: Tensor) -> None:
        """Put the worlds ``ids`` at the start of an episode."""
        self.sim.reset(ids)
        self.task.reset(self.sim, ids, WorldRandom(self.streams[ids], self.episode[ids]))
        self.sim.forward(ids)
        self.age[ids] = 0

    def _read(self) -> Tensor:
        """The state of all worlds, ``(n, width)`` float32, in memory of its own."""
        layout = self.task.layout
        return layout.pack(self.task.state(self.sim), torch.empty(self.sim.num_worlds, layout.width))

    def _check_start(self, ids: Tensor) -> None:
        if not self.matrix[ids].isfinite().all():
            raise SimulationFailed(f"an episode of {self.task.name} began in a state that is not finite")
