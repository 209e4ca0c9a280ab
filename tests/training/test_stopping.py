"""Members that are stopped leave the batch, and the others never notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
import torch

from rewardgen.config import TrainingConfig
from rewardgen.errors import RewardFailed
from rewardgen.records import Labels, TrainingResult
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds, load_task
from rewardgen.training import Member, Reward, TaskReward, train
from rewardgen.training.rollout import Rollout
from tests.training.watchers import Written


def stop(plan: Mapping[int, Sequence[int]]) -> Written:
    """A race that stops the members ``plan[n]`` at the n-th checkpoint (from 1)."""

    def judge(steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        reached = max(len(result.curve) for result in results)
        return dict.fromkeys(plan.get(reached, ()), f"stopped at {steps}")

    return Written(judge)


# ant/run keeps one MjData for each world and computes contact forces after each step
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "worlds", "threads"),
    [("cartpole/swingup", 64, 1), ("cartpole/swingup", 64, 2), ("hopper/run", 8, 2), ("ant/run", 4, 1)],
    ids=["cartpole", "cartpole on two threads", "hopper", "ant"],
)
def test_the_survivors_are_those_of_an_undisturbed_training(
    name: str, worlds: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_task(name)
    monkeypatch.setattr(type(task), "horizon", 100)  # checkpoints play whole episodes
    config = TrainingConfig(
        steps=worlds * 16 * 6,
        worlds=worlds,
        rollout=16,
        epochs=2,
        checkpoints=3,
        checkpoint_episodes=1,
        score_episodes=0,
    )
    expert, sparse = (TaskReward(f, task.layout) for f in (task.expert_reward, task.sparse_reward))
    members = [Member("expert", 0, expert), Member("sparse", 0, sparse), Member("expert", 1, expert)]
    members += [Member("sparse", 1, sparse), Member("expert", 2, expert)]
    undisturbed = train(task, members, config, threads=threads)
    raced = train(task, members, config, threads=threads, watcher=stop({1: [0], 2: [2, 3]}))
    assert [result.status for result in raced] == ["stopped", "done", "stopped", "stopped", "done"]
    for k in (1, 4):
        assert raced[k].weights == undisturbed[k].weights
        assert raced[k].curve == undisturbed[k].curve
        assert raced[k].steps == undisturbed[k].steps
    for k, points in ((0, 1), (2, 2), (3, 2)):
        assert raced[k].curve == undisturbed[k].curve[:points]
        assert raced[k].steps == raced[k].curve[-1].steps
        assert raced[k].message == f"stopped at {raced[k].steps}"
        best = raced[k].best
        assert best is not None and raced[k].score == best.fitness


def test_stopped_members_cost_nothing_more(
    task: Task, config: TrainingConfig, counted_reward: Callable[..., Reward], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No label is asked for, no world is stepped for them."""
    simulated: list[int] = []
    collect = Rollout.collect

    def counting(self: Rollout, length: int) -> None:
        collect(self, length)
        simulated.append(self.ended.numel())

    monkeypatch.setattr(Rollout, "collect", counting)
    config = config.model_copy(update={"checkpoints": 4})  # one after each rollout
    rewards = [counted_reward(), counted_reward(), counted_reward()]
    told = stop({1: [1], 3: [0]})
    train(
        task,
        [Member(f"r{k}", k, reward) for k, reward in enumerate(rewards)],
        config,
        watcher=told,
    )
    assert simulated == [768, 512, 512, 256]
    assert told.steps == [768, 1280, 1792, 2048]
    asked = [sum(calls == 256 for calls in reward.calls) for reward in rewards]  # type: ignore[attr-defined]
    assert asked == [3, 1, 4]


def test_the_failed_leave_with_the_stopped(
    task: Task, config: TrainingConfig, member: Callable[[int], Member], counted_reward: Callable[..., Reward]
) -> None:
    def crash() -> Labels:
        raise RewardFailed("crash", "it crashed")

    config = config.model_copy(update={"checkpoints": 4})
    good = [member(0), member(1), member(2)]
    undisturbed = train(task, [Member("bad", 5, counted_reward(1, crash)), *good], config)
    raced = train(task, [Member("bad", 5, counted_reward(1, crash)), *good], config, watcher=stop({2: [1], 3: [3]}))
    assert [result.status for result in raced] == ["failed", "stopped", "done", "stopped"]
    assert raced[0] == replace(undisturbed[0], seconds=raced[0].seconds)
    assert (raced[2].weights, raced[2].curve) == (undisturbed[2].weights, undisturbed[2].curve)


def test_when_all_are_stopped_it_ends(task: Task, config: TrainingConfig, member: Callable[[int], Member]) -> None:
    results = train(task, [member(0), member(1)], config, watcher=stop({1: [0, 1]}))
    assert [(result.status, result.steps) for result in results] == [("stopped", 512), ("stopped", 512)]


def test_a_simulator_that_cannot_shrink_trains_the_survivors_the_same(
    task: Task, config: TrainingConfig, member: Callable[[int], Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config.model_copy(update={"checkpoints": 4})
    undisturbed = train(task, [member(0), member(1), member(2)], config)
    monkeypatch.setattr(MujocoSim, "keep", lambda self, ids: None)
    raced = train(task, [member(0), member(1), member(2)], config, watcher=stop({1: [0], 2: [2]}))
    assert [(result.status, result.steps) for result in raced] == [("stopped", 256), ("done", 1024), ("stopped", 512)]
    assert (raced[1].weights, raced[1].curve) == (undisturbed[1].weights, undisturbed[1].curve)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hopper/run", "ant/run", "reacher/reach"])
def test_kept_worlds_go_on_exactly(name: str) -> None:
    """Contacts, the constraint solver's warm start and the episodes' ages are carried over."""
    task = load_task(name)
    generator = torch.Generator().manual_seed(0)
    actions = [torch.rand(6, task.action_size, generator=generator) * 2 - 1 for _ in range(60)]
    whole, part = (Worlds(task, MujocoSim(task.model, 6, 1), torch.arange(6)) for _ in range(2))
    whole.start()
    part.start()
    ids = torch.tensor([1, 4, 5])
    for t, action in enumerate(actions):
        expected = whole.step(action)
        if t == 30:
            assert part.keep(ids)
        reached = part.step(action if t < 30 else action[ids])
        expected = type(expected)(*(values if t < 30 else values[ids] for values in expected))
        for mine, theirs in zip(reached, expected, strict=True):
            assert torch.equal(mine, theirs), t
    assert torch.equal(part.age, whole.age[ids])
    assert torch.equal(part.episode, whole.episode[ids])


def test_the_episodes_of_a_checkpoint_are_handed_on(
    task: Task, config: TrainingConfig, member: Callable[[int], Member]
) -> None:
    told = Written()
    results = train(task, [member(0), member(1)], config, watcher=told)
    assert [(key, seed) for key, seed, *_ in told.played] == [("expert", 0), ("expert", 1)] * 2
    for k in (0, 1):
        for point, (_, _, played, fitness) in zip(results[k].curve, told.played[k::2], strict=True):
            assert len(played) == point.episodes == 4
            assert torch.equal(task.fitness(played).double(), fitness)
            assert float(fitness.mean()) == point.fitness
