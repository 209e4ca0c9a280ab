"""Simulating without rewards: what a rollout keeps of every transition so that rewards can be asked for afterwards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from rewardgen.config import TrainingConfig
from rewardgen.records import State
from rewardgen.tasks import Worlds, one_hot
from rewardgen.training import categorical, devices
from rewardgen.training.advantages import advantages, standardise
from rewardgen.training.normalise import RewardScale
from rewardgen.training.population import Population
from rewardgen.training.ppo import Columns, log_prob


class Rollout:
    """The transitions of ``K`` members × ``T`` control steps × ``W`` worlds, in buffers that every rollout reuses.

    ``states`` and ``next_states`` are ``(K, T, W, width)``, the latter before any reset; ``commands`` ``(K, T, W, A)``
    the actions as applied, in actuator units; ``terminated`` and ``ended`` ``(K, T, W)`` bools. ``rows``
    ``(K, T, W, ·)`` are the training rows, laid out by ``Columns``. All of them are where the policies learn.

    ``transitions``, the states, commands and next states as ``(K, T · W, ·)``, are where the worlds are simulated.
    Where that is another device, observations and commands cross over at every step, and the rest after the last.
    """

    def __init__(
        self, population: Population, worlds: Worlds, config: TrainingConfig, generators: Sequence[Generator]
    ) -> None:
        self._population, self._worlds, self._config, self._generators = population, worlds, config, generators
        self._columns = Columns(population.shape)
        shape, width = population.shape, worlds.task.layout.width
        size = (population.members, config.rollout, config.worlds)
        simulated, learnt = worlds.sim.device, population.parameters.flat.device
        self._device = learnt
        self._to_policies, self._to_worlds = devices.Crossing(simulated, learnt), devices.Crossing(learnt, simulated)
        self._states = devices.host_empty(size, width, simulated, learnt)
        self._next_states = devices.host_empty(size, width, simulated, learnt)
        self._commands = devices.host_empty(size, shape.action, simulated, learnt)
        self._terminated = torch.empty(size, dtype=torch.bool, device=simulated)
        self._ended = torch.empty(size, dtype=torch.bool, device=simulated)
        self._rows = torch.empty(*size, self._columns.width, device=learnt)
        self._noise = torch.empty(*size, shape.action, device=learnt)

    def collect(self, length: int) -> None:
        """Take ``length`` control steps in every world with actions drawn from the present policies."""
        population, worlds, columns = self._population, self._worlds, self._columns
        self.rows = self._rows[:, :length]
        choices = population.shape.choices
        for noise, own in zip(self._noise, self._generators, strict=True):
            if choices:
                categorical.gumbel_(noise[:length], own)
            else:
                noise[:length].normal_(generator=own)
        members, per_member = population.members, self._config.worlds
        stacked = (members, per_member, -1)
        task = worlds.task
        policy = population.head("policy", per_member)
        log_std = population.parameters.log_std
        std = log_std.exp().transpose(1, 2)
        observation = torch.empty(members, per_member, population.shape.observation, device=self._device)
        action = torch.empty(members, per_member, population.shape.action, device=self._device)
        command = torch.empty_like(action)
        for t in range(length):
            seen = self._to_policies(task.observation(worlds.state)).view(stacked)
            population.scale(seen, out=observation)
            out = policy(observation).transpose(1, 2)
            if choices:
                one_hot(out + self._noise[:, t], choices, out=action)
                log_policy = categorical.log_softmax(out.transpose(1, 2), choices)
                logged = categorical.log_prob(log_policy, action.transpose(1, 2))
                self._rows[:, t, :, columns.log_prob] = logged.transpose(1, 2)
                command.copy_(action)
            else:
                torch.addcmul(out, std, self._noise[:, t], out=action)
                population.command(action, out=command)
            self._states[:, t] = worlds.matrix.view(stacked)
            applied = self._to_worlds(command)
            step = worlds.step(applied.view(members * per_member, -1))
            self._next_states[:, t] = step.next_matrix.view(stacked)
            self._commands[:, t] = applied
            self._rows[:, t, :, columns.observation] = observation
            self._rows[:, t, :, columns.action] = action
            self._terminated[:, t] = step.terminated.view(members, -1)
            torch.logical_or(step.terminated.view(members, -1), step.truncated.view(members, -1), out=self._ended[:, t])
        if not choices:
            standard = self._noise[:, :length].flatten(1, 2).transpose(1, 2)
            self.rows[..., columns.log_prob] = log_prob(standard, log_std).view(members, length, per_member, 1)
        parts = (self._states, self._next_states, self._commands, self._terminated, self._ended)
        self.states, self.next_states, self.commands, self.terminated, self.ended = (
            part[:, :length].to(self._device, non_blocking=True) for part in parts
        )

    @property
    def transitions(self) -> tuple[Tensor, Tensor, Tensor]:
        length = self.rows.shape[1]
        parts = (self._states, self._commands, self._next_states)
        states, commands, next_states = (part[:, :length].flatten(1, 2) for part in parts)
        return states, commands, next_states

    def values(self) -> tuple[Tensor, Tensor]:
        """The values of the states that the steps began in and of those they led to, ``(K, T, W)`` each."""
        population = self._population
        members, length, worlds = self.ended.shape
        seen = self.rows[..., self._columns.observation].reshape(members, length * worlds, -1)
        values = population.head("value", length * worlds)(seen).view(members, length, worlds).clone()
        following = torch.empty_like(values)
        following[:, :-1] = values[:, 1:]
        # Where an episode was truncated, and at the rollout's end, the next row holds no state that this step led to.
        truncated = self.ended & ~self.terminated
        if devices.on_card(self._device):  # valuing all of them costs less there than asking which it is
            truncated[:, -1] = True
            seen = population.scale(self._observe(self.next_states).view(members, length * worlds, -1))
            beyond = population.head("value", length * worlds)(seen).view(members, length, worlds)
            following[:, -1] = 0.0
            return values, torch.where(truncated, beyond, following)
        # one control step at a time: a member's numbers must not depend on when the others' episodes end
        at = truncated.any(2).any(0)
        at[-1] = True
        for t in at.nonzero().squeeze(1).tolist():
            seen = population.scale(self._observe(self.next_states[:, t]))
            beyond = population.head("value", worlds)(seen).squeeze(1)
            following[:, t] = torch.where(truncated[:, t], beyond, following[:, t]) if t < length - 1 else beyond
        return values, following

    def finish(self, rewards: Tensor, scale: RewardScale, values: Tensor, following: Tensor) -> Tensor:
        """Turn rewards ``(K, T, W)`` into advantages and value targets; the finished rows, ``(K, T · W, ·)``."""
        config, columns = self._config, self._columns
        scaled = scale(rewards, self.ended)
        gained = advantages(scaled, values, following, self.terminated, self.ended, config.gamma, config.gae_lambda)
        self.rows[..., columns.target] = (gained + values).unsqueeze(-1)
        self.rows[..., columns.advantage] = standardise(gained).unsqueeze(-1)
        return self.rows.flatten(1, 2)

    def observe(self) -> Tensor:
        """The observations of all steps before normalisation, ``(K, T · W, O)``."""
        return self._observe(self.states).flatten(1, 2)

    def goal_reached(self) -> Tensor:
        """How many of each member's transitions the task's sparse reward pays for, ``(K,)``."""
        task, width = self._worlds.task, self._states.shape[-1]
        before = State(task.layout, self.states.reshape(-1, width))
        after = State(task.layout, self.next_states.reshape(-1, width))
        paid, _ = task.sparse_reward(before, self.commands.reshape(-1, self._commands.shape[-1]), after)
        return (paid > 0).view(self.states.shape[0], -1).sum(1)

    def _observe(self, states: Tensor) -> Tensor:
        task = self._worlds.task
        flat = task.observation(State(task.layout, states.reshape(-1, states.shape[-1])))
        return flat.view(*states.shape[:-1], -1)
