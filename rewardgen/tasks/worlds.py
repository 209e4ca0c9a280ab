"""Step a task in the worlds of a simulator: control steps, time limits, terminations and resets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rewardgen.errors import SimulationFailed
from rewardgen.records import State
from rewardgen.saved import Saved, section, tensor
from rewardgen.sim import Simulator
from rewardgen.tasks.base import Task
from rewardgen.tasks.random import WorldRandom

CHECK_EVERY = 256
"""Control steps from one look at what only a wait for the device can tell to the next."""


class Step(NamedTuple):
    """Result of one control step, before any world was reset.

    ``next_matrix`` is ``(n, width)`` float32, ``terminated`` and ``truncated`` are ``(n,)`` bools, never both True.
    """

    next_matrix: Tensor
    terminated: Tensor
    truncated: Tensor


class Worlds:
    """Run ``n`` worlds of ``task`` that begin a new episode whenever one ends.

    Args:
        task: what is simulated.
        sim: a simulator of ``task.model``; its worlds belong to this object from now on.
        streams: ``(n,)`` int64; a world's start states follow from its stream alone, whatever the other worlds do.
        watch: called at the start and after every control step, before any world is reset: a replay shows what the
            simulator holds at that time.

    Everything is on ``sim.device``. Where ``sim.masked`` says so, no step waits for that device: fresh starts are
    computed for all worlds and taken where an episode has ended.

    A tensor that this class has handed out is never written to again.
    """

    def __init__(self, task: Task, sim: Simulator, streams: Tensor, watch: Callable[[], None] = lambda: None) -> None:
        if streams.shape != (sim.num_worlds,):
            raise ValueError(f"{sim.num_worlds} worlds need as many streams, not a tensor of {tuple(streams.shape)}")
        self.task = task
        self.sim = sim
        self.streams = streams.to(sim.device)
        self.episode = torch.zeros_like(self.streams)
        """``(n,)`` int64: how many episodes each world has begun before the present one."""
        self.age = torch.zeros_like(self.streams)
        """``(n,)`` int64: control steps taken in the present episode."""
        self.matrix = torch.zeros(sim.num_worlds, task.layout.width, device=sim.device)
        """``(n, width)`` float32: the present state of each world, a fresh start where an episode has just ended."""
        self._watch = watch
        self._unsound = torch.zeros((), dtype=torch.bool, device=sim.device)
        self._since_check = 0

    @property
    def state(self) -> State:
        """The present state of all worlds, by field."""
        return State(self.task.layout, self.matrix)

    def start(self, ages: Tensor | None = None) -> Tensor:
        """Begin an episode in every world and return ``matrix``.

        Args:
            ages: ``(n,)`` int64, each below the horizon: control steps by which the time limit cuts the first episode
                of each world short, as if it had been running for that long already. None: every first episode is
                whole.
        """
        ids = torch.arange(self.sim.num_worlds, device=self.sim.device)
        self.episode.zero_()
        # A simulator computes only derived fields that were requested: request them before the first is needed
        self.task.state(self.sim)
        self._begin(ids)
        if ages is not None:
            self.age.copy_(ages)
        self.matrix = self._read()
        self._check_start(self.matrix)
        self._watch()
        return self.matrix

    def step(self, action: Tensor) -> Step:
        """Take one control step in every world, with ``action`` ``(n, action_size)`` clipped to its range.

        A world whose numbers became NaN or huge counts as terminated, in the last state that was still sound.

        Raises:
            SimulationFailed: MuJoCo reported an error, or an episode began in a state that is not finite. From a
                simulator with ``masked``, up to 256 steps later.
        """
        task, before = self.task, self.matrix
        task.advance(self.sim, task.clip(action))
        self._watch()
        reached = self._read()
        # Termination in the reached state; a diverged world ends in its last finite state
        terminated = task.terminated(State(task.layout, reached))
        diverged = self.sim.diverged() | ~reached.isfinite().all(-1)
        if self.sim.masked or diverged.any():
            reached = torch.where(diverged[:, None], before, reached)
            terminated = terminated | diverged
        # A termination takes precedence over the time limit
        self.age += 1
        truncated = (self.age >= task.horizon) & ~terminated
        self.matrix = reached
        if self.sim.masked:
            self._restart(terminated | truncated)
        else:
            # On the CPU only the ended worlds are reset and read again
            ended = (terminated | truncated).nonzero().squeeze(-1)
            if len(ended):
                self.episode[ended] += 1
                self._begin(ended)
                # Clone: ``reached`` is returned and must keep the last states
                self.matrix = reached.clone()
                self.matrix[ended] = self._read()[ended]
                self._check_start(self.matrix[ended])
        return Step(reached, terminated, truncated)

    def keep(self, ids: Tensor) -> bool:
        """Continue with the worlds ``ids`` ``(k,)`` only, each as if nothing happened; False: the simulator cannot."""
        ids = ids.to(self.sim.device)
        sim = self.sim.keep(ids)
        if sim is None:
            return False
        self.sim = sim
        self.streams, self.episode, self.age = self.streams[ids], self.episode[ids], self.age[ids]
        self.matrix = self.matrix[ids]
        return True

    def save(self) -> dict[str, Any] | None:
        """Return all that the next steps depend on; None if the simulator does not support it."""
        sim = self.sim.save()
        return None if sim is None else {"sim": sim, "episode": self.episode, "age": self.age, "matrix": self.matrix}

    def restore(self, saved: Saved) -> None:
        """Continue exactly from what ``save`` gave for worlds with the same streams, instead of ``start``.

        Raises:
            ValueError: ``saved`` does not fit.
        """
        self.episode = tensor(saved, "episode", self.episode)
        self.age = tensor(saved, "age", self.age)
        self.matrix = tensor(saved, "matrix", self.matrix)
        self.sim.restore(section(saved, "sim"))

    def check(self) -> None:
        """Raise errors that steps did not wait for. Also called once in ``CHECK_EVERY`` steps.

        Raises:
            SimulationFailed: the results since the last check are invalid.
        """
        self._since_check = 0
        self.sim.check()
        if self._unsound:
            raise self._unsound_start()

    def _begin(self, ids: Tensor) -> None:
        """Put the worlds ``ids`` at the start of an episode."""
        self.sim.reset(ids)
        self.task.reset(self.sim, ids, WorldRandom(self.streams[ids], self.episode[ids], self.sim.dtype))
        self.sim.forward(ids)
        self.age[ids] = 0

    def _restart(self, ended: Tensor) -> None:
        """Reset the worlds where ``ended`` ``(n,)`` holds, without waiting for the device to know which."""
        task, sim = self.task, self.sim
        self.episode += ended
        self.age.masked_fill_(ended, 0)
        # Starts are drawn for all worlds and kept where an episode ended: indexing would wait for the device
        everyone = torch.arange(sim.num_worlds, device=sim.device)
        sim.restart(ended, lambda: task.reset(sim, everyone, WorldRandom(self.streams, self.episode, sim.dtype)))
        self.matrix = torch.where(ended[:, None], self._read(), self.matrix)
        self._unsound |= ~self.matrix.isfinite().all()
        self._since_check += 1
        if self._since_check >= CHECK_EVERY:
            self.check()

    def _read(self) -> Tensor:
        """The state of all worlds, ``(n, width)`` float32, in memory of its own."""
        layout, sim = self.task.layout, self.sim
        return layout.pack(self.task.state(sim), torch.empty(sim.num_worlds, layout.width, device=sim.device))

    def _check_start(self, matrix: Tensor) -> None:
        if not matrix.isfinite().all():
            raise self._unsound_start()

    def _unsound_start(self) -> SimulationFailed:
        return SimulationFailed(f"an episode of {self.task.name} began in a state that is not finite")
