"""Whose transitions go to which reward, in what order, and what becomes of failures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import RewardFailed
from rewardgen.records import Labels
from rewardgen.tasks import Task
from rewardgen.training import Member, TaskReward, label_rows
from rewardgen.training.labelling import Labelling


class Logged:
    """Rewards a transition with ``factor`` times its state's first column, and says when it is called."""

    def __init__(self, name: str, log: list[str], factor: float = 1.0) -> None:
        self._name, self._log, self._factor = name, log, factor
        self._states = torch.zeros(0)

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
        self._log.append(f"submit {self._name} {len(states)}")
        self._states = states

    def result(self) -> Labels:
        self._log.append(f"result {self._name}")
        value = self._factor * self._states[:, 0]
        return Labels(value, value[:, None], ("it",))


def transitions(members: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    states = torch.arange(members * count, dtype=torch.float32).view(members, count, 1)
    return states, torch.zeros(members, count, 1), states + 0.5


def test_all_are_submitted_before_any_is_awaited_and_shared_rewards_once() -> None:
    log: list[str] = []
    a, b = Logged("a", log), Logged("b", log, 10.0)
    labelling = Labelling([Member("a", 0, a), Member("b", 0, b), Member("a", 1, a), Member("b", 1, b)], 100)
    labelling.submit(*transitions(4, 3), [True] * 4)
    rewards = torch.full((4, 3), 7.0)
    assert labelling.collect(rewards) == {}
    assert log == ["submit a 6", "submit b 6", "result a", "result b"]
    assert rewards.tolist() == [[0, 1, 2], [30, 40, 50], [6, 7, 8], [90, 100, 110]]


def test_a_reward_without_living_members_is_left_alone() -> None:
    log: list[str] = []
    labelling = Labelling([Member("a", 0, Logged("a", log)), Member("b", 0, Logged("b", log))], 100)
    labelling.submit(*transitions(2, 3), [False, True])
    rewards = torch.full((2, 3), 7.0)
    assert labelling.collect(rewards) == {}
    assert log == ["submit b 3", "result b"]
    assert rewards.tolist() == [[0, 0, 0], [3, 4, 5]]


@pytest.mark.parametrize("where", ["submit", "result"])
def test_a_failure_is_its_members_alone(where: str) -> None:
    class Broken(Logged):
        def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
            if where == "submit":
                raise RewardFailed("crash", "it crashed")

        def result(self) -> Labels:
            raise RewardFailed("timeout", "it crashed")

    broken = Broken("x", [])
    labelling = Labelling([Member("x", 0, broken), Member("a", 0, Logged("a", [])), Member("x", 1, broken)], 100)
    labelling.submit(*transitions(3, 2), [True] * 3)
    rewards = torch.full((3, 2), 7.0)
    assert labelling.collect(rewards) == {0: "it crashed", 2: "it crashed"}
    assert rewards.tolist() == [[0, 0], [2, 3], [0, 0]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_fails_the_member_that_it_came_from(value: float) -> None:
    class Sometimes(Logged):
        def result(self) -> Labels:
            labels = super().result()
            labels.reward[self._states[:, 0] >= 3] = value
            return labels

    shared = Sometimes("s", [])
    labelling = Labelling([Member("s", 0, shared), Member("s", 1, shared)], 100)
    labelling.submit(*transitions(2, 3), [True, True])
    rewards = torch.full((2, 3), 7.0)
    failures = labelling.collect(rewards)
    assert list(failures) == [1]
    assert "NaN or infinite" in failures[1]
    assert rewards.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_episodes_are_labelled_in_calls_no_larger_than_a_rollout() -> None:
    log: list[str] = []
    reward = Logged("a", log)
    labels = Labelling([Member("a", 0, reward)], 4).label(reward, *(part[0] for part in transitions(1, 10)))
    assert [line for line in log if line.startswith("submit")] == ["submit a 4", "submit a 4", "submit a 2"]
    assert labels.reward.tolist() == list(range(10))
    assert labels.components.shape == (10, 1)


def test_the_announced_number_of_rows_is_kept(
    task: Task, config: TrainingConfig, counted_reward: Callable[[], object]
) -> None:
    from rewardgen.training import train

    reward = counted_reward()
    train(task, [Member("a", seed, reward) for seed in range(2)], config)  # type: ignore[arg-type]
    assert max(reward.calls) <= label_rows(config, 2)  # type: ignore[attr-defined]


def test_a_tasks_own_reward(task: Task) -> None:
    reward = TaskReward(task.expert_reward, task.layout)
    states, actions = torch.zeros(3, 2), torch.ones(3, 1)
    reward.submit(states, actions, torch.tensor([[0.5, 0.0], [1.0, 0.0], [-1.0, 0.0]]))
    labels = reward.result()
    assert labels.names == ("near", "effort")
    torch.testing.assert_close(labels.reward, torch.tensor([0.49, -0.01, -0.01]))
    torch.testing.assert_close(labels.components.sum(1), labels.reward)
