"""Trainings as a whole: they learn, members do not disturb each other, failures end where they happen."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import RewardFailed, UsageError
from rewardgen.records import Checkpoint, Labels
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, load_task, play_episodes
from rewardgen.training import Member, Population, Reward, TaskReward, Timings, Watcher, train
from rewardgen.training.record import Record
from rewardgen.training.seeds import streams
from tests.training.watchers import Written


@pytest.mark.slow
def test_it_learns_with_every_seed(task: Task, config: TrainingConfig, member: Callable[[int], Member]) -> None:
    config = config.model_copy(
        update={"steps": 16_000, "epochs": 5, "checkpoints": 4, "checkpoint_episodes": 16, "score_episodes": 0}
    )
    results = train(task, [member(seed) for seed in range(4)], config)
    for result in results:
        assert result.status == "done"
        # doing nothing scores about -0.5, and good policies about -0.15
        assert result.score > -0.3, [point.fitness for point in result.curve]


@pytest.mark.slow
def test_a_member_alone_is_the_same_as_in_a_population_of_eight() -> None:
    task = load_task("cartpole/swingup")
    config = TrainingConfig(
        steps=64 * 40, worlds=64, rollout=16, epochs=2, checkpoints=2, checkpoint_episodes=2, score_episodes=2
    )
    reward = TaskReward(task.expert_reward, task.layout)
    together = train(task, [Member("expert", seed, reward) for seed in range(8)], config, threads=2)
    for seed in (0, 5, 7):
        for threads in (1, 2):
            (alone,) = train(task, [Member("expert", seed, reward)], config, threads=threads)
            assert alone.weights == together[seed].weights
            assert alone.curve == together[seed].curve
    assert together[0].weights != together[1].weights


def test_a_repeated_training_is_the_same(task: Task, config: TrainingConfig, member: Callable[[int], Member]) -> None:
    first, second = (train(task, [member(3)], config)[0] for _ in range(2))
    assert first.weights == second.weights
    assert first.curve == second.curve


def _raise() -> Labels:
    raise RewardFailed("crash", "it crashed", line=3)


def _nan() -> Labels:
    return Labels(torch.full((256,), math.nan), torch.zeros(256, 1), ("near",))


@pytest.mark.parametrize(
    ("failure", "said"), [(_raise, "it crashed"), (_nan, "NaN or infinite")], ids=["raises", "nan"]
)
def test_a_failure_leaves_the_others_as_they_were(
    task: Task,
    config: TrainingConfig,
    member: Callable[[int], Member],
    counted_reward: Callable[..., Reward],
    failure: Callable[[], Labels],
    said: str,
) -> None:
    undisturbed = train(task, [member(0), member(1), member(2)], config)
    bad = Member("bad", 1, counted_reward(1, failure))
    results = train(task, [member(0), bad, member(2)], config)
    assert results[1].status == "failed"
    assert said in results[1].message
    assert results[1].steps == 256
    assert results[1].curve == ()
    assert math.isnan(results[1].score)
    for k in (0, 2):
        assert results[k].status == "done"
        assert results[k].weights == undisturbed[k].weights
        assert results[k].curve == undisturbed[k].curve


def test_a_failure_at_a_checkpoint(
    task: Task, config: TrainingConfig, member: Callable[[int], Member], counted_reward: Callable[..., Reward]
) -> None:
    # rollouts 1 and 2, then the episodes of the first checkpoint
    results = train(task, [Member("bad", 0, counted_reward(2, _raise)), member(1)], config)
    assert (results[0].status, results[0].message) == ("failed", "it crashed")
    assert results[0].curve == ()
    assert results[1].status == "done"


def test_when_all_have_failed_it_stops(
    task: Task, config: TrainingConfig, counted_reward: Callable[..., Reward]
) -> None:
    told = Written()
    results = train(task, [Member("bad", 0, counted_reward(0, _raise))], config, watcher=told)
    assert results[0].status == "failed"
    assert told.steps == []


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e30])
def test_rewards_of_any_size_train(task: Task, config: TrainingConfig, size: float) -> None:
    class Sized:
        def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
            self._value = size * next_states[:, 0]

        def result(self) -> Labels:
            return Labels(self._value, self._value[:, None], ("value",))

    (result,) = train(task, [Member("sized", 0, Sized())], config)
    assert result.status == "done"
    assert all(math.isfinite(point.fitness) for point in result.curve)


def test_checkpoints_say_what_replaying_the_episodes_says(
    task: Task, config: TrainingConfig, member: Callable[[int], Member]
) -> None:
    told = Written()
    (result,) = train(task, [member(4)], config, watcher=told)
    assert [point for _, _, point in told.points] == list(result.curve)
    assert {(key, seed) for key, seed, _ in told.points} == {("expert", 4)}
    assert [point.steps for point in result.curve] == [512, 1024]
    assert result.weights is not None
    best = result.best
    assert best is not None
    policy = Population.from_weights([result.weights], task, config)
    played = play_episodes(task, MujocoSim(task.model, 4, 1), policy.act, streams(4, "checkpoint", 4))
    fitness = task.fitness(played)
    assert best.fitness == pytest.approx(fitness.mean().item(), abs=1e-3)
    assert best.success_rate == pytest.approx((fitness >= -0.3).float().mean().item())
    sums = torch.zeros(4, 2)
    for world in range(4):
        for t in range(int(played.length[world])):
            near = 1.0 - played.states[t + 1, world, 0].abs()
            effort = -0.01 * played.actions[t, world].square().sum()
            sums[world] += torch.stack([near, effort])
    taken = int(played.length.sum())
    assert best.own_return == pytest.approx(sums.sum(1).mean().item(), rel=1e-2)
    assert best.components["near"] == pytest.approx(sums[:, 0].sum().item() / taken, rel=1e-2)
    assert best.components["effort"] == pytest.approx(sums[:, 1].sum().item() / taken, rel=1e-2)
    assert best.episode_length == pytest.approx(played.length.float().mean().item())
    together = torch.corrcoef(torch.stack([sums[:, 0], fitness]))[0, 1].item()
    assert best.correlations["near"] == pytest.approx(together, abs=1e-2)
    assert sum(best.causes.values()) == pytest.approx(1.0)
    assert best.episodes == 4
    assert 0.0 < best.goal_reached < 1.0


def test_a_component_that_does_not_vary_has_no_correlation(task: Task, config: TrainingConfig) -> None:
    class Constant:
        def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
            self._rows = len(states)

        def result(self) -> Labels:
            return Labels(torch.zeros(self._rows), torch.zeros(self._rows, 1), ("nothing",))

    (result,) = train(task, [Member("constant", 0, Constant())], config)
    assert all(math.isnan(point.correlations["nothing"]) for point in result.curve)


def test_progress_counts_the_steps_of_all_members(
    task: Task, config: TrainingConfig, member: Callable[[int], Member]
) -> None:
    told = Written()
    timings = Timings()
    results = train(task, [member(0), member(1)], config, watcher=told, timings=timings)
    assert told.steps == [512, 1024, 1536, 2048]
    assert [result.steps for result in results] == [1024, 1024]
    assert set(timings.seconds) == {"rollout", "labels", "learning", "checkpoints"}
    assert sum(result.seconds for result in results) >= timings.total


def test_an_interruption_passes_through_and_leaves_torch_as_it_was(
    task: Task, config: TrainingConfig, member: Callable[[int], Member]
) -> None:
    class Interrupting(Watcher):
        def progress(self, steps: int) -> None:
            raise KeyboardInterrupt

    threads, drawn = torch.get_num_threads(), torch.random.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        train(task, [member(0), member(1)], config, threads=2, watcher=Interrupting())
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), drawn)


def test_nothing_to_train(task: Task, config: TrainingConfig) -> None:
    with pytest.raises(UsageError, match="no members"):
        train(task, [], config)


def test_the_smallest_training_there_is(task: Task, member: Callable[[int], Member]) -> None:
    config = TrainingConfig(
        steps=1, worlds=1, rollout=1, checkpoints=1, checkpoint_episodes=1, score_episodes=1, hidden=(4,)
    )
    (result,) = train(task, [member(0)], config)
    assert (result.status, result.steps, len(result.curve)) == ("done", 1, 1)


@pytest.mark.parametrize(
    ("keep", "score", "kept"),
    [("best", 3.0, b"1"), ("own", 1.0, b"0"), ("last", 2.0, b"2")],
)
def test_a_training_is_scored_by_the_policy_that_it_keeps(
    task: Task, member: Callable[[int], Member], keep: str, score: float, kept: bytes
) -> None:
    record = Record(member(0), keep=keep)  # type: ignore[arg-type]
    for number, (fitness, own) in enumerate([(1.0, 9.0), (3.0, 5.0), (2.0, 7.0)]):
        point = Checkpoint(100 * number, fitness, 0.0, 0.0, own, {}, {}, 50.0, {}, 0.0, 8)
        record.add(point, lambda number=number: str(number).encode())  # type: ignore[misc]
    result = record.result(1.0)
    assert (result.score, result.weights) == (score, kept)
