"""Label whole rollouts with rewards, in this process or in sandbox workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import RewardFailed
from rewardgen.records import Labels, Layout, State
from rewardgen.tasks import Task
from rewardgen.training.credit import MakeCredit
from rewardgen.training.devices import HostCopies


class Reward(Protocol):
    """Labels transitions, possibly in another process: ``submit`` starts a call, ``result`` waits for it."""

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
        """Start to label ``B`` transitions.

        Args:
            states: ``(B, width)``.
            actions: ``(B, A)``, in actuator units.
            next_states: ``(B, width)``, before any reset.

        Raises:
            RewardFailed: the reward accepts no more calls.
        """

    def result(self) -> Labels:
        """Return the labels of the transitions submitted last.

        Raises:
            RewardFailed: the reward crashed, ran out of time or returned something that is not a reward.
        """


class TaskReward:
    """A task's own reward (expert or sparse), which is trusted and runs in this process.

    Args:
        function: ``function(state, action, next_state) -> (total (B,), {name: (B,)})``.
        layout: the columns of the state matrices.
    """

    def __init__(
        self, function: Callable[[State, Tensor, State], tuple[Tensor, dict[str, Tensor]]], layout: Layout
    ) -> None:
        self._function, self._layout = function, layout
        self._labels: Labels | None = None

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
        total, terms = self._function(State(self._layout, states), actions, State(self._layout, next_states))
        parts = [term.float().reshape(-1) for term in terms.values()]
        components = torch.stack(parts, 1) if parts else total.new_empty(len(states), 0, dtype=torch.float32)
        self._labels = Labels(total.float(), components, tuple(terms))

    def result(self) -> Labels:
        assert self._labels is not None, "nothing was submitted"
        return self._labels


def task_rewards(task: Task) -> dict[str, TaskReward]:
    """Return the hand-written rewards of ``task`` by name: "expert" and "sparse"."""
    return {
        "expert": TaskReward(task.expert_reward, task.layout),
        "sparse": TaskReward(task.sparse_reward, task.layout),
    }


@dataclass(frozen=True)
class Member:
    """One training: the ``key`` of its reward, its ``seed``, and the ``reward``, which several members may share.

    The optional ``credit`` makes the object that converts the reward's components into the training reward; without it,
    the reward's total is the training reward.
    """

    key: str
    seed: int
    reward: Reward
    credit: MakeCredit | None = None


def label_rows(config: TrainingConfig, sharing: int = 1) -> int:
    """Return the maximum number of transitions in one call of a reward that ``sharing`` members share."""
    return config.worlds * config.rollout * sharing


class Labelling:
    """Labels the rollouts of a population.

    Members that share a reward are labelled in one call. All rewards are submitted before any result is awaited, so
    that the sandbox workers run in parallel. Only a ``TaskReward`` receives GPU tensors; sandbox workers have no access
    to the GPU and receive copies in host memory.

    Args:
        rows: transitions of each member in a rollout.
        device: device of the rollouts' transitions.
    """

    def __init__(self, members: Sequence[Member], rows: int, device: torch.device | str = "cpu") -> None:
        self._rows = rows
        self._copies = HostCopies(torch.device(device))
        self._waiting: list[tuple[Reward, list[int]]] = []
        # Group the members by reward object
        self._groups: list[tuple[Reward, list[int]]] = []
        for k, member in enumerate(members):
            for reward, indices in self._groups:
                if reward is member.reward:
                    indices.append(k)
                    break
            else:
                self._groups.append((member.reward, [k]))
        self._pending: list[tuple[Reward, list[int], int]] = []
        self._failures: dict[int, str] = {}
        self.components: dict[int, tuple[Tensor, tuple[str, ...]]] = {}
        """Member → the components ``(N, C)`` of its last rollout (valid until the next one) and their names."""

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor, alive: Sequence[bool]) -> None:
        """Start to label a rollout of ``N`` transitions per member.

        If the transitions are on a GPU, this starts copies to host memory, and ``collect`` passes them to the rewards;
        other work can overlap with the copies. The tensors must not change before ``collect``.

        Args:
            states: ``(K, N, width)``.
            actions: ``(K, N, A)``, in actuator units.
            next_states: ``(K, N, width)``, before any reset.
            alive: per member; a reward whose members are all dead is not called.
        """
        self._pending, self._failures = [], {}
        # Divide the rewards into those that take the tensors as they are and those that need host copies
        groups = [(reward, indices) for reward, indices in self._groups if any(alive[k] for k in indices)]
        at_once = [group for group in groups if self._copies.immediate or isinstance(group[0], TaskReward)]
        self._waiting = [] if len(at_once) == len(groups) else [group for group in groups if group not in at_once]
        for reward, indices in at_once:
            self._hand_over(reward, indices, states, actions, next_states)
        if self._waiting:
            self._copies.start(states, actions, next_states)

    def _hand_over(
        self, reward: Reward, indices: list[int], states: Tensor, actions: Tensor, next_states: Tensor
    ) -> None:
        """Submit the transitions of the members ``indices`` to their reward."""
        parts = [_select(values, indices) for values in (states, actions, next_states)]
        try:
            reward.submit(parts[0], parts[1], parts[2])
        except RewardFailed as error:
            self._failures.update(dict.fromkeys(indices, str(error)))
        else:
            self._pending.append((reward, indices, states.shape[1]))

    def collect(self, rewards: Tensor) -> dict[int, str]:
        """Wait for the labels and write them into ``rewards`` ``(K, N)``, zero for members without labels.

        Returns:
            Failed member → the message.
        """
        rewards.zero_()
        self.components = {}
        # Submit what had to wait for its copies
        if self._waiting:
            states, actions, next_states = self._copies.finish()
            for reward, indices in self._waiting:
                self._hand_over(reward, indices, states, actions, next_states)
            self._waiting = []
        # Wait for each reward and divide its labels among its members
        for reward, indices, count in self._pending:
            try:
                labels = reward.result()
            except RewardFailed as error:
                self._failures.update(dict.fromkeys(indices, str(error)))
                continue
            theirs = labels.reward.view(len(indices), count)
            parts = labels.components.view(len(indices), count, len(labels.names))
            # Only the members with a NaN or infinity fail, not all that share the reward
            finite = torch.isfinite(theirs).all(1).tolist()
            for k, mine, part, sound in zip(indices, theirs, parts, finite, strict=True):
                if sound:
                    rewards[k] = mine
                    self.components[k] = part, labels.names
                else:
                    self._failures[k] = "the reward is NaN or infinite for some transitions"
        self._pending = []
        return self._failures

    def label(self, reward: Reward, states: Tensor, actions: Tensor, next_states: Tensor) -> Labels:
        """Return the labels of ``B`` transitions, in calls no larger than a rollout of one member.

        Args:
            states: ``(B, width)``.
            actions: ``(B, A)``, in actuator units.
            next_states: ``(B, width)``, before any reset.

        Raises:
            RewardFailed: the reward failed, returned a NaN or infinity, or changed the names of its components.
        """
        parts: list[Labels] = []
        for start in range(0, len(states), self._rows):
            window = slice(start, start + self._rows)
            reward.submit(states[window], actions[window], next_states[window])
            labels = reward.result()
            if not (torch.isfinite(labels.reward).all() and torch.isfinite(labels.components).all()):
                raise RewardFailed("output", "the reward is NaN or infinite for some transitions")
            # Clone: the next call may reuse the buffers of this one
            parts.append(Labels(labels.reward.clone(), labels.components.clone(), labels.names))
        if any(part.names != parts[0].names for part in parts):
            raise RewardFailed("output", "the reward's components have other names from one call to the next")
        return Labels(torch.cat([p.reward for p in parts]), torch.cat([p.components for p in parts]), parts[0].names)


def _select(values: Tensor, indices: list[int]) -> Tensor:
    """Return the members ``indices`` of ``(K, N, width)`` as ``(len · N, width)``; a view if they are adjacent."""
    first, last = indices[0], indices[-1]
    mine = values[first : last + 1] if last - first + 1 == len(indices) else values[indices]
    return mine.reshape(-1, values.shape[-1])
