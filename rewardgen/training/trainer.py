"""PPO over a population: all members simulate, are labelled and learn together; each is as if it were alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import RewardFailed, UsageError
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.sim import MujocoSim, available_threads, torch_threads
from rewardgen.tasks import Task, Worlds
from rewardgen.training.checkpoints import Examiner
from rewardgen.training.labelling import Labelling, Member
from rewardgen.training.normalise import RewardScale
from rewardgen.training.population import Population
from rewardgen.training.ppo import Learner
from rewardgen.training.rollout import Rollout
from rewardgen.training.seeds import generator, streams

OnProgress = Callable[[int], None]
OnCheckpoint = Callable[[str, int, Checkpoint], None]


@dataclass
class Timings:
    """Seconds of wall clock by what took them: ``rollout``, ``labels`` (waiting), ``learning``, ``checkpoints``."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] = self.seconds.get(what, 0.0) + time.perf_counter() - began

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


@dataclass
class Record:
    """What one member has come to so far."""

    member: Member
    failure: str = ""
    curve: list[Checkpoint] = field(default_factory=list)
    weights: bytes | None = None
    steps: int = 0

    def add(self, point: Checkpoint, weights: Callable[[], bytes]) -> None:
        """Append a point of the curve; ``weights()`` are kept when it is the best so far."""
        self.curve.append(point)
        if self.result(0.0).best is point:
            self.weights = weights()

    def result(self, seconds: float) -> TrainingResult:
        status = "failed" if self.failure else "done"
        return TrainingResult(
            key=self.member.key,
            seed=self.member.seed,
            status=status,  # type: ignore[arg-type]
            message=self.failure,
            curve=tuple(self.curve),
            weights=self.weights,
            steps=self.steps,
            seconds=seconds,
        )


@torch.no_grad()
def train(
    task: Task,
    members: Sequence[Member],
    config: TrainingConfig,
    *,
    threads: int = 0,
    on_progress: OnProgress | None = None,
    on_checkpoint: OnCheckpoint | None = None,
    timings: Timings | None = None,
) -> list[TrainingResult]:
    """Train one policy for each member, all of them in one batch of worlds.

    A member's result depends on its reward, its seed and ``config`` alone, not on what it is trained with. One whose
    reward fails ends there as "failed", with the curve that it has so far.

    The steps are taken in rollouts of equal length (within one control step, none longer than ``config.rollout``) in
    whole control steps of all worlds: a training takes at most ``config.worlds - 1`` steps more than ``config.steps``.
    Checkpoints come after the first updates that pass even shares of the steps, so there are never more than updates.

    Args:
        members: those that name the same ``reward`` object are labelled in one call.
        threads: processor threads for physics and learning; 0 is all.
        on_progress: called after each update with the environment steps of all members together.
        on_checkpoint: called with key, seed and point for each point of a curve.
        timings: is told where the time goes.

    Returns:
        One result for each member, in their order. ``seconds`` is a member's share of the wall clock.

    Raises:
        UsageError: there are no members.
        SimulationFailed: MuJoCo reported an error.
    """
    if not members:
        raise UsageError("there is nothing to train: no members were given")
    began = time.perf_counter()
    threads = threads or available_threads()
    # Torch gets one: its idle threads spin for a while, on the very processors that physics is waiting for. Physics and
    # the learner have threads of their own.
    with torch_threads(1), closing(_Training(task, members, config, threads, timings or Timings())) as training:
        records = training.run(on_progress, on_checkpoint)
    share = (time.perf_counter() - began) / len(members)
    return [record.result(share) for record in records]


class _Training:
    """One call of ``train``."""

    def __init__(
        self, task: Task, members: Sequence[Member], config: TrainingConfig, threads: int, timings: Timings
    ) -> None:
        self._config, self._timings = config, timings
        self._records = [Record(member) for member in members]
        seeds = [member.seed for member in members]
        count = len(members)
        self._population = Population.fresh(task, config, [generator("weights", seed) for seed in seeds])
        sim = MujocoSim(task.model, count * config.worlds, threads)
        self._worlds = Worlds(task, sim, torch.cat([streams(config.worlds, "worlds", seed) for seed in seeds]))
        noise = [generator("actions", seed) for seed in seeds]
        self._rollout = Rollout(self._population, self._worlds, config, noise)
        order = [generator("minibatches", seed) for seed in seeds]
        self._learner = Learner(self._population.parameters, config, order, threads)
        self._reward_scale = RewardScale(count, config.worlds, config.gamma)
        self._labelling = Labelling(members, config.worlds * config.rollout)
        self._examiner = Examiner(task, members, self._labelling, config, threads)
        self._explored = 0
        self._goals = torch.zeros(count, dtype=torch.int64)

    def run(self, on_progress: OnProgress | None, on_checkpoint: OnCheckpoint | None) -> list[Record]:
        config, count = self._config, len(self._records)
        lengths = rollout_lengths(config)
        due = checkpoint_updates(lengths, config.checkpoints)
        self._worlds.start()
        done = 0
        for update, length in enumerate(lengths):
            rewards, values, following = self._simulate(length)
            self._learn(rewards, values, following, remaining=1.0 - update / len(lengths))
            done += length * config.worlds
            for record in self._records:
                record.steps = record.steps if record.failure else done
            if not any(self._alive):
                break
            if update in due:
                self._examine(done, on_checkpoint)
            if on_progress is not None:
                on_progress(done * count)
        return self._records

    def close(self) -> None:
        self._learner.close()

    def _simulate(self, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """One rollout: its rewards, the values of its states and of the states they led to, ``(K, T, W)`` each."""
        rollout = self._rollout
        with self._timings.measure("rollout"):
            rollout.collect(length)
        with self._timings.measure("labels"):
            flat = (rollout.states.flatten(1, 2), rollout.commands.flatten(1, 2), rollout.next_states.flatten(1, 2))
            self._labelling.submit(*flat, self._alive)
        # what needs no rewards is done while the sandbox works
        with self._timings.measure("learning"):
            values, following = rollout.values()
            self._goals += rollout.goal_reached()
            self._explored += length * self._config.worlds
        rewards = torch.empty(rollout.ended.shape)
        with self._timings.measure("labels"):
            failures = self._labelling.collect(rewards.view(len(self._records), -1))
        for k, message in failures.items():
            self._fail(k, message)
        return rewards, values, following

    def _learn(self, rewards: Tensor, values: Tensor, following: Tensor, remaining: float) -> None:
        with self._timings.measure("learning"):
            rows = self._rollout.finish(rewards, self._reward_scale, values, following)
            finite = self._learner.update(rows, remaining)
            self._population.scale.update(self._rollout.observe())
            for k in (~finite).nonzero().squeeze(1).tolist():
                self._fail(k, "training diverged: a gradient was NaN or infinite; the reward's values may be too large")

    def _examine(self, steps: int, on_checkpoint: OnCheckpoint | None) -> None:
        with self._timings.measure("checkpoints"):
            reached = (self._goals / self._explored).tolist()
            points = self._examiner.examine(self._population.act, steps, reached, self._alive)
        self._goals.zero_()
        self._explored = 0
        for k, point in points.items():
            if isinstance(point, RewardFailed):
                self._fail(k, str(point))
                continue
            record = self._records[k]
            record.add(point, lambda k=k: self._population.weights(k))  # type: ignore[misc]
            if on_checkpoint is not None:
                on_checkpoint(record.member.key, record.member.seed, point)

    @property
    def _alive(self) -> list[bool]:
        return [not record.failure for record in self._records]

    def _fail(self, k: int, message: str) -> None:
        """End a member. Its worlds go on with an empty policy, so that the others' batches keep their shape."""
        self._records[k].failure = self._records[k].failure or message
        self._learner.forget(k)
        self._reward_scale.forget(k)


def rollout_lengths(config: TrainingConfig) -> list[int]:
    """Control steps of each rollout: as few rollouts as can be, of equal length within one."""
    total = -(-config.steps // config.worlds)
    count = -(-total // config.rollout)
    short, longer = divmod(total, count)
    return [short + 1] * longer + [short] * (count - longer)


def checkpoint_updates(lengths: Sequence[int], checkpoints: int) -> set[int]:
    """The updates after which a checkpoint is due: the first to pass each even share of the steps, and the last."""
    total, done, due = sum(lengths), 0, set()
    for update, length in enumerate(lengths):
        before, done = done, done + length
        if done * checkpoints // total > before * checkpoints // total:
            due.add(update)
    return due
