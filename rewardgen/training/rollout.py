"""Collect rollouts: simulate without rewards and store every transition, so that it can be labelled afterwards."""

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
    """Transitions of ``K`` members × ``T`` control steps × ``W`` worlds, in buffers that are reused by every rollout.

    ``states`` and ``next_states`` are ``(K, T, W, width)``, the latter before any reset; ``commands`` ``(K, T, W, A)``
    are the applied actions in actuator units; ``terminated`` and ``ended`` are ``(K, T, W)`` bools; ``rows``
    ``(K, T, W, ·)`` are the training rows with the columns of ``Columns``. All of these are on the learning device.

    ``transitions`` (states, commands and next states as ``(K, T · W, ·)``) are on the simulation's device. If that is
    another one, observations and commands are copied at every control step, and the rest after the last step.

    Args:
        generators: one per member, for the noise of its actions, on the learning device.
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
        """Take ``length`` control steps in every world, with actions sampled from the present policies."""
        population, worlds, columns = self._population, self._worlds, self._columns
        self.rows = self._rows[:, :length]
        choices = population.shape.choices

        # Draw all noise in advance, each member's from its own generator: one call per member instead of one per step
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
            # Normalise the observations
            seen = self._to_policies(task.observation(worlds.state)).view(stacked)
            population.scale(seen, out=observation)

            # Sample actions
            out = policy(observation).transpose(1, 2)
            if choices:
                # Gumbel-max trick: the largest of logits plus Gumbel noise is a sample of the distribution
                one_hot(out + self._noise[:, t], choices, out=action)
                log_policy = categorical.log_softmax(out.transpose(1, 2), choices)
                logged = categorical.log_prob(log_policy, action.transpose(1, 2))
                self._rows[:, t, :, columns.log_prob] = logged.transpose(1, 2)
                command.copy_(action)
            else:
                torch.addcmul(out, std, self._noise[:, t], out=action)
                population.command(action, out=command)

            # Step the worlds; the state is stored first, because the step overwrites it
            self._states[:, t] = worlds.matrix.view(stacked)
            applied = self._to_worlds(command)
            step = worlds.step(applied.view(members * per_member, -1))
            self._next_states[:, t] = step.next_matrix.view(stacked)
            self._commands[:, t] = applied

            # Store the training row
            self._rows[:, t, :, columns.observation] = observation
            self._rows[:, t, :, columns.action] = action
            self._terminated[:, t] = step.terminated.view(members, -1)
            torch.logical_or(step.terminated.view(members, -1), step.truncated.view(members, -1), out=self._ended[:, t])

        # Gaussian log-probabilities of all steps at once: the noise is the action's deviation from the mean
        if not choices:
            standard = self._noise[:, :length].flatten(1, 2).transpose(1, 2)
            self.rows[..., columns.log_prob] = log_prob(standard, log_std).view(members, length, per_member, 1)

        # Copy to the learning device (views if the simulation runs there)
        parts = (self._states, self._next_states, self._commands, self._terminated, self._ended)
        self.states, self.next_states, self.commands, self.terminated, self.ended = (
            part[:, :length].to(self._device, non_blocking=True) for part in parts
        )

    @property
    def transitions(self) -> tuple[Tensor, Tensor, Tensor]:
        """States ``(K, T · W, width)``, commands ``(K, T · W, A)`` and next states, on the simulation's device."""
        length = self.rows.shape[1]
        parts = (self._states, self._commands, self._next_states)
        states, commands, next_states = (part[:, :length].flatten(1, 2) for part in parts)
        return states, commands, next_states

    def values(self) -> tuple[Tensor, Tensor]:
        """Return the values of the states and of the next states (before any reset), each ``(K, T, W)``."""
        population = self._population
        members, length, worlds = self.ended.shape
        seen = self.rows[..., self._columns.observation].reshape(members, length * worlds, -1)

        # Values of all states; the next state of a step is the state of the following step, unless a reset is between
        values = population.head("value", length * worlds)(seen).view(members, length, worlds).clone()
        following = torch.empty_like(values)
        following[:, :-1] = values[:, 1:]

        # At a truncation and at the rollout's end the next state is not in the rows, so it is valued separately. (After
        # a termination the value is not used.)
        truncated = self.ended & ~self.terminated
        if devices.on_card(self._device):
            # Valuing all next states costs less on a GPU than waiting to learn which are needed
            truncated[:, -1] = True
            seen = population.scale(self._observe(self.next_states).view(members, length * worlds, -1))
            beyond = population.head("value", length * worlds)(seen).view(members, length, worlds)
            following[:, -1] = 0.0  # until here uninitialised memory
            return values, torch.where(truncated, beyond, following)
        # Value whole control steps of all members: with batches of only the truncated worlds, a member's rounding would
        # depend on where the other members' episodes end
        at = truncated.any(2).any(0)
        at[-1] = True
        for t in at.nonzero().squeeze(1).tolist():
            seen = population.scale(self._observe(self.next_states[:, t]))
            beyond = population.head("value", worlds)(seen).squeeze(1)
            following[:, t] = torch.where(truncated[:, t], beyond, following[:, t]) if t < length - 1 else beyond
        return values, following

    def finish(self, rewards: Tensor, scale: RewardScale, values: Tensor, following: Tensor) -> Tensor:
        """Compute advantages and value targets from rewards ``(K, T, W)`` and return the rows ``(K, T · W, ·)``.

        Args:
            scale: scales the rewards; its statistics are updated.
            values: ``(K, T, W)``, values of the states, as ``values`` returns them.
            following: ``(K, T, W)``, values of the next states.
        """
        config, columns = self._config, self._columns
        scaled = scale(rewards, self.ended)
        gained = advantages(scaled, values, following, self.terminated, self.ended, config.gamma, config.gae_lambda)
        self.rows[..., columns.target] = (gained + values).unsqueeze(-1)
        self.rows[..., columns.advantage] = standardise(gained).unsqueeze(-1)
        return self.rows.flatten(1, 2)

    def observe(self) -> Tensor:
        """Return the observations of all steps before normalisation, ``(K, T · W, O)``."""
        return self._observe(self.states).flatten(1, 2)

    def goal_reached(self) -> Tensor:
        """Return the number of each member's transitions with a positive sparse reward, ``(K,)``."""
        task, width = self._worlds.task, self._states.shape[-1]
        before = State(task.layout, self.states.reshape(-1, width))
        after = State(task.layout, self.next_states.reshape(-1, width))
        paid, _ = task.sparse_reward(before, self.commands.reshape(-1, self._commands.shape[-1]), after)
        return (paid > 0).view(self.states.shape[0], -1).sum(1)

    def _observe(self, states: Tensor) -> Tensor:
        """Return the observations ``(..., O)`` of states ``(..., width)``."""
        task = self._worlds.task
        flat = task.observation(State(task.layout, states.reshape(-1, states.shape[-1])))
        return flat.view(*states.shape[:-1], -1)
