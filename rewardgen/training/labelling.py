"""Asking rewards for the labels of a whole rollout."""

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
    """Something that labels transitions, perhaps in another process: ``submit`` starts it, ``result`` waits for it."""

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
        """Begin labelling ``states`` ``(B, width)``, ``actions`` ``(B, A)`` in actuator units, ``next_states``.

        Raises:
            RewardFailed: it cannot take any more.
        """

    def result(self) -> Labels:
        """The labels of the transitions last submitted.

        Raises:
            RewardFailed: it crashed, took too long or gave something that is no reward.
        """


class TaskReward:
    """A trusted reward, the expert's or the sparse one, in this process.

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
    """Return the rewards that people wrote for ``task`` by name: "expert" and "sparse"."""
    return {
        "expert": TaskReward(task.expert_reward, task.layout),
        "sparse": TaskReward(task.sparse_reward, task.layout),
    }


@dataclass(frozen=True)
class Member:
    """One training: the ``key`` of its reward, its ``seed``, and the ``reward``, which several members may share.

    Where the reward's total is not what is paid, ``credit`` makes what turns its components into that.
    """

    key: str
    seed: int
    reward: Reward
    credit: MakeCredit | None = None


def label_rows(config: TrainingConfig, sharing: int = 1) -> int:
    """The most transitions that ``train`` ever asks a reward for in one call, if ``sharing`` members share it."""
    return config.worlds * config.rollout * sharing


class Labelling:
    """The rewards of a population and which members each of them labels.

    Members that share a reward are asked for in one call; different rewards are submitted before any is awaited, so
    that their processes work at once. Only a ``TaskReward`` is given tensors of a card: all others may be programs in
    the sandbox, whose processes can hold no card, and get copies.

    Args:
        rows: transitions of each member in a rollout.
        device: where the rollouts' transitions are.
    """

    def __init__(self, members: Sequence[Member], rows: int, device: torch.device | str = "cpu") -> None:
        self._rows = rows
        self._copies = HostCopies(torch.device(device))
        self._waiting: list[tuple[Reward, list[int]]] = []
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
        """Member → its components ``(N, C)`` of the last rollout, valid until the next, and their names."""

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor, alive: Sequence[bool]) -> None:
        """Start labelling a rollout: ``(K, N, width)``, ``(K, N, A)`` and ``(K, N, width)``.

        From a card the rewards get their copies when ``collect`` is called; what is done before that is done beside
        the copying. The tensors must not change until then.
        """
        self._pending, self._failures = [], {}
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
        parts = [_select(values, indices) for values in (states, actions, next_states)]
        try:
            reward.submit(parts[0], parts[1], parts[2])
        except RewardFailed as error:
            self._failures.update(dict.fromkeys(indices, str(error)))
        else:
            self._pending.append((reward, indices, states.shape[1]))

    def collect(self, rewards: Tensor) -> dict[int, str]:
        """Write what ``submit`` started into ``rewards`` ``(K, N)``, zero where there is none.

        Returns:
            member → why it failed, for those that did.
        """
        rewards.zero_()
        self.components = {}
        if self._waiting:
            states, actions, next_states = self._copies.finish()
            for reward, indices in self._waiting:
                self._hand_over(reward, indices, states, actions, next_states)
            self._waiting = []
        for reward, indices, count in self._pending:
            try:
                labels = reward.result()
            except RewardFailed as error:
                self._failures.update(dict.fromkeys(indices, str(error)))
                continue
            theirs = labels.reward.view(len(indices), count)
            parts = labels.components.view(len(indices), count, len(labels.names))
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
        """The labels of ``(B, ·)`` transitions, asked for in calls no larger than the rollouts'.

        Raises:
            RewardFailed: as ``Reward`` does, and for a value that is not finite.
        """
        parts: list[Labels] = []
        for start in range(0, len(states), self._rows):
            window = slice(start, start + self._rows)
            reward.submit(states[window], actions[window], next_states[window])
            labels = reward.result()
            if not (torch.isfinite(labels.reward).all() and torch.isfinite(labels.components).all()):
                raise RewardFailed("output", "the reward is NaN or infinite for some transitions")
            # the next call may write over the buffers of this one
            parts.append(Labels(labels.reward.clone(), labels.components.clone(), labels.names))
        if any(part.names != parts[0].names for part in parts):
            raise RewardFailed("output", "the reward's components have other names from one call to the next")
        return Labels(torch.cat([p.reward for p in parts]), torch.cat([p.components for p in parts]), parts[0].names)


def _select(values: Tensor, indices: list[int]) -> Tensor:
    """The members ``indices`` of ``(K, N, width)`` as ``(len · N, width)``, without a copy where they adjoin."""
    first, last = indices[0], indices[-1]
    mine = values[first : last + 1] if last - first + 1 == len(indices) else values[indices]
    return mine.reshape(-1, values.shape[-1])
