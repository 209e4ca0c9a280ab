"""A population of ``K`` policies that act as one batch: in rollouts, at checkpoints and from weights files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.saved import Saved, section, tensor
from rewardgen.tasks import Task, one_hot
from rewardgen.training import weights
from rewardgen.training.networks import Head, Parameters, Shape, initialise, zeros
from rewardgen.training.normalise import ObservationScale


class Population:
    """The stacked networks of ``members`` policies for one task, each with its own observation statistics.

    A policy's raw output ``u`` stands for the actuator command ``centre + half_range · u``, clipped to the actuator's
    range. For discrete actions ``u`` are logits, and the command is the most likely option of each component, one-hot.

    Raises:
        UsageError: ``hidden`` is empty.
    """

    def __init__(self, task: Task, members: int, hidden: tuple[int, ...], device: torch.device | str = "cpu") -> None:
        if not hidden:
            raise UsageError("training.hidden must name at least one hidden layer, such as [64, 64]")
        self.task = task
        self.shape = Shape(task.observation_size, task.action_size, tuple(hidden), task.action_choices)
        self.parameters = zeros(self.shape, members, device)
        self.scale = ObservationScale(members, self.shape.observation, device)
        self._low, self._high = task.action_low.to(device), task.action_high.to(device)
        self._centre = (self._high + self._low) / 2.0
        self._half_range = (self._high - self._low) / 2.0
        self._heads: dict[tuple[str, int], Head] = {}

    @classmethod
    def fresh(
        cls,
        task: Task,
        config: TrainingConfig,
        generators: Sequence[Generator],
        device: torch.device | str = "cpu",
    ) -> Population:
        """Return untrained policies on ``device``, each initialised from its own generator (on the CPU)."""
        population = cls(task, len(generators), config.hidden, device)
        initialise(population.parameters, generators, config.initial_std)
        return population

    @classmethod
    def from_weights(
        cls,
        blobs: Sequence[bytes],
        task: Task,
        config: TrainingConfig | None = None,
        device: torch.device | str = "cpu",
    ) -> Population:
        """Return policies on ``device`` from the contents of weights files, one per member.

        Args:
            config: if given, its ``hidden`` is required; otherwise that of the first file.

        Raises:
            UsageError: there are no files, or a file is not a policy or does not have the sizes of the task and of the
                other files.
        """
        files = [weights.parse(blob) for blob in blobs]
        if not files:
            raise UsageError("a population needs at least one weights file")
        population = cls(task, len(files), config.hidden if config else files[0].shape.hidden, device)
        for member, file in enumerate(files):
            if file.shape != population.shape:
                raise UsageError(
                    f"weights file {member} has {file.shape.observation} observations, {file.shape.action} actions and "
                    f"hidden layers {file.shape.hidden}, but {task.name} with these settings has "
                    f"{population.shape.observation}, {population.shape.action} and {population.shape.hidden}"
                )
            for name, values in population.parameters.named(member).items():
                values.copy_(file.tensors[name])
            population.scale.load(member, file.tensors["observation.mean"], file.tensors["observation.variance"])
        return population

    @property
    def members(self) -> int:
        """Number of policies, ``K``."""
        return self.parameters.members

    def save(self) -> dict[str, Any]:
        return {"parameters": self.parameters.flat, "observations": self.scale.save()}

    def restore(self, saved: Saved) -> None:
        """Load what ``save`` returned; raise ValueError if it does not fit."""
        self.parameters.flat.copy_(tensor(saved, "parameters", self.parameters.flat))
        self.scale.restore(section(saved, "observations"))

    def keep(self, members: Sequence[int]) -> None:
        """Drop all members but ``members``; ``parameters`` is replaced by new tensors."""
        self.parameters = Parameters(self.shape, self.parameters.flat[:, list(members)].contiguous())
        self.scale.keep(members)
        self._heads.clear()  # they hold views of the former parameters

    def head(self, net: str, rows: int) -> Head:
        """Return the ``"policy"`` or ``"value"`` networks for ``rows`` observations of each member, cached by size."""
        if (net, rows) not in self._heads:
            self._heads[net, rows] = Head(self.parameters, net, rows)
        return self._heads[net, rows]

    @torch.no_grad()
    def act(self, observation: Tensor) -> Tensor:
        """Return the deterministic actions, ``(K, n, A)`` or ``(K · n, A)``, in actuator units and within their range.

        Args:
            observation: ``(K, n, O)``, or ``(K · n, O)`` with each member's rows together, on any device; the actions
                are returned on the same device.
        """
        stacked = observation.view(self.members, -1, self.shape.observation).to(self.parameters.flat.device)
        mean = self.head("policy", stacked.shape[1])(self.scale(stacked)).transpose(1, 2)
        return self.command(mean).reshape(*observation.shape[:-1], self.shape.action).to(observation.device)

    def command(self, raw: Tensor, out: Tensor | None = None) -> Tensor:
        """Convert raw actions ``(..., A)`` to actuator commands, clipped to the actuators' range."""
        if self.shape.choices:
            return one_hot(raw, self.shape.choices, out=out)
        command = torch.addcmul(self._centre, self._half_range, raw, out=out)
        return torch.clamp(command, self._low, self._high, out=command)

    def weights(self, member: int) -> bytes:
        """Return one member's policy as the bytes of a weights file."""
        tensors = self.parameters.named(member)
        tensors["observation.mean"] = self.scale.moments.mean[member]
        tensors["observation.variance"] = self.scale.moments.variance[member]
        tensors["action.centre"] = self._centre
        tensors["action.half_range"] = self._half_range
        if self.shape.choices:
            tensors["action.choices"] = torch.tensor(self.shape.choices, dtype=torch.float32)
        return weights.dump(self.shape, tensors, self.task.name)
