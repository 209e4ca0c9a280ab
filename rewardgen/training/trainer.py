"""Train a population with PPO: all members simulate, are labelled and learn in one batch, with independent results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import OutOfMemory, RewardFailed, SimulationFailed, UsageError
from rewardgen.records import TrainingResult
from rewardgen.saved import Saved, generator_states, numbered, restore_generators, section, tensor, value
from rewardgen.sim import Arrangement, available_threads, torch_threads
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.tasks import Task, Worlds
from rewardgen.training import devices
from rewardgen.training.checkpoints import Examiner
from rewardgen.training.credit import Credit, Rows
from rewardgen.training.labelling import Labelling, Member
from rewardgen.training.memory import MemoryPlan, halves, plan
from rewardgen.training.normalise import RewardScale
from rewardgen.training.population import Population
from rewardgen.training.ppo import Learner
from rewardgen.training.record import Record
from rewardgen.training.rollout import Rollout
from rewardgen.training.saves import SavedTraining, Saves
from rewardgen.training.schedule import checkpoint_updates, rollout_lengths
from rewardgen.training.scoring import score
from rewardgen.training.seeds import first_ages, generator, streams
from rewardgen.training.timings import Timings
from rewardgen.training.watcher import PartWatcher, Watcher

MemoryAvailable = Callable[[torch.device], int | None]


@torch.no_grad()
def train(
    task: Task,
    members: Sequence[Member],
    config: TrainingConfig,
    *,
    threads: int = 0,
    arrangement: Arrangement = ON_CPU,
    watcher: Watcher | None = None,
    timings: Timings | None = None,
    saves: Saves | None = None,
    memory_available: MemoryAvailable = devices.memory_available,
) -> list[TrainingResult]:
    """Train one policy per member with PPO, all of them in one batch of worlds.

    On the CPU, a member's result depends only on its reward, its seed and ``config``, not on the other members of the
    batch. On a GPU this holds only as far as the GPU's arithmetic is reproducible. A member whose reward fails ends as
    "failed" and keeps its curve so far. A member that ``watcher`` stops leaves the batch as "stopped"; the other
    members' results do not change.

    Members that do not fit into the GPU's memory together train in groups, one group after another. A group that runs
    out of memory anyway is split in half and both halves start over. A race compares all members at the same number of
    steps, so it is disabled when there are several groups.

    Rollouts have equal lengths (within one control step) of at most ``config.rollout``. A control step advances all
    worlds, so a training takes up to ``config.worlds - 1`` steps more than ``config.steps``.

    Args:
        members: members with the same ``reward`` object are labelled in one call.
        threads: CPU threads for physics and learning; 0 uses all of them.
        arrangement: the devices for physics and learning.
        watcher: receives progress and may stop members early (see ``Watcher``).
        timings: accumulates the wall-clock time of each phase.
        saves: saves the training's state after each checkpoint. An interrupted training resumes from it with the same
            results as without the interruption; ``watcher`` then receives the existing points of the curve and the
            steps already taken again, but not the episodes. The caller deletes the files. Nothing is saved if the
            simulator cannot save its state.
        memory_available: device → its free memory in bytes, or None for no limit.

    Returns:
        One result per member, in the order of ``members``. ``seconds`` is the member's share of the wall-clock time, in
        proportion to its steps.

    Raises:
        UsageError: ``members`` is empty.
        SimulationFailed: MuJoCo reported an error.
        OutOfMemory: not even one member fits into the device's memory.
    """
    if not members:
        raise UsageError("there is nothing to train: no members were given")
    timings = timings or Timings()
    timings.device = arrangement.device
    watcher = watcher or Watcher()
    setting = Shared(task, config, threads or available_threads(), arrangement, timings, saves)
    planned = plan(task, members, config, arrangement, memory_available(arrangement.device))
    if planned.message:
        watcher.note(planned.message)
    # Limit torch to one thread: its idle threads spin and would take CPU time from physics. Physics and the learner
    # use their own threads.
    with torch_threads(1):
        return _in_groups(setting, members, planned, watcher)


@dataclass(frozen=True)
class Shared:
    """Arguments of ``train`` that all groups share."""

    task: Task
    config: TrainingConfig
    threads: int
    arrangement: Arrangement
    timings: Timings
    saves: Saves | None


def _in_groups(
    setting: Shared, members: Sequence[Member], planned: MemoryPlan, watcher: Watcher
) -> list[TrainingResult]:
    """Train the groups of ``planned`` one after another; split a group that runs out of memory and retry its halves."""
    results: dict[int, TrainingResult] = {}
    waiting = [list(group) for group in planned.groups]
    while waiting:
        group = waiting.pop(0)
        alone = len(group) == len(members)
        if watcher.races and not alone and not results:
            watcher.note("a race needs all of its trainings at once, so all of these go on to the end")
        done = sum(result.steps for result in results.values())
        trained = _train_group(setting, [members[k] for k in group], watcher if alone else PartWatcher(watcher, done))
        if trained is None:
            # Out of memory: put both halves at the front of the queue
            first, second = halves([members[k].key for k in group])
            watcher.note(
                f"the memory of {setting.arrangement.device} ran out with {len(group)} trainings together; "
                f"they begin again as {len(first)} and {len(second)}, one after the other"
            )
            waiting[:0] = [[group[i] for i in half] for half in (first, second)]
        else:
            results.update(zip(group, trained, strict=True))
    return [results[k] for k in range(len(members))]


def _train_group(setting: Shared, members: Sequence[Member], watcher: Watcher) -> list[TrainingResult] | None:
    """Train ``members`` as one batch; return None if memory ran out and a smaller batch might fit.

    Raises:
        OutOfMemory: memory ran out with a single member.
    """
    began = time.perf_counter()
    file = None
    if setting.saves is not None:
        file = setting.saves.file(setting.task, members, setting.config, setting.arrangement, watcher.note)
    records: Sequence[Record] | None = None
    try:
        records = _run(setting, members, watcher, file)
    except (RuntimeError, MemoryError, SimulationFailed) as error:
        if not devices.out_of_memory(error):
            raise
        if len(members) == 1:
            raise OutOfMemory(
                f"the memory of {setting.arrangement.device} does not hold one training of {setting.config.worlds:,} "
                f"worlds ({error}); lower training.worlds or training.rollout"
            ) from error
    if records is None:
        # Release outside of the except block: until then the traceback keeps the tensors alive
        devices.release_memory(setting.arrangement.device)
        return None
    # Divide the wall-clock time in proportion to the members' steps, including time before an interruption
    seconds = time.perf_counter() - began + (file.seconds if file is not None else 0.0)
    taken = sum(record.steps for record in records)
    return [record.result(seconds * (record.steps / taken if taken else 1 / len(records))) for record in records]


def _run(setting: Shared, members: Sequence[Member], watcher: Watcher, file: SavedTraining | None) -> Sequence[Record]:
    """Run a training to its end, from the state in ``file`` if that is valid.

    Only this function refers to the training, so that the caller can release its memory when it has run out.
    """
    training = file.read(lambda saved: _Training.restored(setting, members, saved)) if file is not None else None
    if training is None:
        training = _Training(setting, members)
    else:
        watcher.resumed(training.steps)
    with closing(training):
        return training.run(watcher, file)


class _Training:
    """One group of members in training.

    ``_records`` has one record per member, by its ``index``; ``_batch`` has the records of the members still in the
    batch, in the order of the first (``K``) dimension of all tensors. ``k`` always counts along that dimension.
    """

    def __init__(self, setting: Shared, members: Sequence[Member], batch: Sequence[int] | None = None) -> None:
        """Start with all ``members``, or only with those whose indices are in ``batch`` if the others have stopped."""
        self._setting = setting
        task, config, device = setting.task, setting.config, setting.arrangement.device
        self._config, self._timings, self._device = config, setting.timings, device
        self._records = tuple(Record(member, _credit(member, task, config), keep=config.keep) for member in members)
        self._batch = list(self._records) if batch is None else [self._records[index] for index in batch]
        self._updates = self._done = 0

        # Every random stream derives from one member's seed and a name, so results do not depend on the batch
        seeds = [record.member.seed for record in self._batch]
        count = len(self._batch)
        self._population = Population.fresh(task, config, [generator("weights", seed) for seed in seeds], device)
        sim = setting.arrangement.simulator(task.model, count * config.worlds, setting.threads)
        self._worlds = Worlds(task, sim, torch.cat([streams(config.worlds, "worlds", seed) for seed in seeds]))
        self._noise = [generator("actions", seed, device=device) for seed in seeds]
        order = [generator("minibatches", seed, device=device) for seed in seeds]
        self._learner = Learner(self._population.parameters, config, order, setting.threads)
        self._reward_scale = RewardScale(count, config.worlds, config.gamma, device)

        # Transitions since the last checkpoint, and how many of them the sparse reward paid for
        self._explored = 0
        self._goals = torch.zeros(count, dtype=torch.int64, device=device)
        self._prepare()

    def _prepare(self) -> None:
        """Create the rollout buffers, the labelling and the examiner for the present batch."""
        setting, members = self._setting, [record.member for record in self._batch]
        self._rollout = Rollout(self._population, self._worlds, self._config, self._noise)
        self._labelling = Labelling(members, self._config.worlds * self._config.rollout, self._worlds.sim.device)
        self._examiner = Examiner(
            setting.task,
            members,
            self._labelling,
            self._config.checkpoint_episodes,
            setting.threads,
            setting.arrangement,
            [record.credit for record in self._batch],
        )

    @classmethod
    def restored(cls, setting: Shared, members: Sequence[Member], saved: Saved) -> _Training:
        """Rebuild the saved training of ``members``.

        Raises:
            ValueError: ``saved`` does not match the members or the settings.
        """
        batch = value(saved, "batch", list)
        if not batch or sorted(set(batch) & set(range(len(members)))) != sorted(batch):
            raise ValueError("the saved batch is not one of these members")
        training = cls(setting, members, batch)
        try:
            training._restore(saved)
        except BaseException:
            training.close()
            raise
        return training

    def save(self) -> dict[str, Any] | None:
        """Return the state to resume from, beyond the arguments of ``__init__``; None if the simulator cannot save."""
        worlds = self._worlds.save()
        if worlds is None:
            return None
        return {
            "updates": self._updates,
            "batch": [i for i, record in enumerate(self._records) if any(record is each for each in self._batch)],
            "records": numbered(record.save() for record in self._records),
            "credits": {
                str(k): record.credit.save() for k, record in enumerate(self._batch) if record.credit is not None
            },
            "worlds": worlds,
            "population": self._population.save(),
            "learner": self._learner.save(),
            "reward_scale": self._reward_scale.save(),
            "noise": generator_states(self._noise),
            "goals": self._goals,
            "explored": self._explored,
        }

    def _restore(self, saved: Saved) -> None:
        """Load what ``save`` returned; raise ValueError if it does not fit."""
        # Position in the schedule
        self._updates = value(saved, "updates", int)
        lengths = rollout_lengths(self._config)
        if not 0 < self._updates <= len(lengths):
            raise ValueError(f"the saved updates are {self._updates} of {len(lengths)}")
        self._done = sum(lengths[: self._updates]) * self._config.worlds
        # Curves and weights of all members, credit state of those in the batch
        for index, record in enumerate(self._records):
            record.restore(section(section(saved, "records"), str(index)))
        for k, record in enumerate(self._batch):
            if record.credit is not None:
                record.credit.restore(section(section(saved, "credits"), str(k)))
        # Simulator, networks, optimiser and statistics
        self._worlds.restore(section(saved, "worlds"))
        self._population.restore(section(saved, "population"))
        self._learner.restore(self._population.parameters, section(saved, "learner"))
        self._reward_scale.restore(section(saved, "reward_scale"))
        restore_generators(self._noise, saved, "noise")
        self._goals = tensor(saved, "goals", self._goals)
        self._explored = value(saved, "explored", int)

    @property
    def steps(self) -> int:
        """Environment steps of all members together, for progress: a failed member counts as if it had gone on."""
        return sum(record.steps if record.stopped else self._done for record in self._records)

    def run(self, watcher: Watcher, file: SavedTraining | None = None) -> Sequence[Record]:
        """Train until the last update, or until no member is left; then score the kept policies."""
        config = self._config
        lengths = rollout_lengths(config)
        due = checkpoint_updates(lengths, config.checkpoints)

        # Reset the worlds, or report the checkpoints of the resumed training
        if self._updates == 0:
            # All members start at the same episode ages
            self._worlds.start(first_ages(config.worlds, self._setting.task.horizon).repeat(len(self._batch)))
        else:
            self._tell_again(watcher)

        for update, length in list(enumerate(lengths))[self._updates :]:
            # Roll out, label and update
            rewards, values, following = self._simulate(length)
            self._learn(rewards, values, following, remaining=1.0 - update / len(lengths))
            self._updates = update + 1
            self._done += length * config.worlds
            for record, alive in zip(self._batch, self._alive, strict=True):
                record.steps = self._done if alive else record.steps
            if not any(self._alive):
                break

            # Checkpoint, stop members that lost a race, save
            if update in due:
                self._examine(self._done, watcher)
                if watcher.races and update < len(lengths) - 1:
                    self._stop(watcher.stop(self._done, [record.result(0.0) for record in self._records]))
                    if not any(self._alive):
                        break
                self._write(file)
            watcher.progress(self.steps)

        # Measure the kept policies on fresh episodes
        with self._timings.measure("checkpoints"):
            score(self._setting.task, self._records, config, self._setting.threads, self._setting.arrangement)
        return self._records

    def _tell_again(self, watcher: Watcher) -> None:
        """Report the restored checkpoints and steps to ``watcher`` again, in their original order."""
        # The first checkpoint of all members, then their second and so on; none of them was marked as chosen then
        for points in zip_longest(*(record.curve for record in self._records)):
            for record, point in zip(self._records, points, strict=True):
                if point is not None:
                    watcher.checkpoint(record.member.key, record.member.seed, replace(point, chosen=False))
        watcher.progress(self.steps)

    def _write(self, file: SavedTraining | None) -> None:
        """Write the training's state to ``file``, if there is one and the simulator can save its part."""
        if file is None:
            return
        with self._timings.measure("checkpoints"):
            state = self.save()
            if state is not None:
                file.write(state)

    def close(self) -> None:
        self._learner.close()

    def _simulate(self, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Collect a rollout and have it labelled; members whose rewards fail are marked as failed.

        Returns:
            Rewards, values of the states, and values of the next states, each ``(K, T, W)``.
        """
        rollout = self._rollout
        # Roll out
        with self._timings.measure("rollout"):
            rollout.collect(length)
        # Start labelling
        with self._timings.measure("labels"):
            self._labelling.submit(*rollout.transitions, self._alive)
        # Value the states while the sandbox computes the rewards
        with self._timings.measure("learning"):
            values, following = rollout.values()
            self._goals += rollout.goal_reached()
            self._explored += length * self._config.worlds
        # Collect the rewards and pass the components of programs with a credit to it
        rewards = torch.empty(rollout.ended.shape, device=self._device)
        with self._timings.measure("labels"):
            failures = self._labelling.collect(rewards.view(len(self._batch), -1))
            failures = {**failures, **self._pay(rewards)}
        for k, message in failures.items():
            self._fail(k, message)
        return rewards, values, following

    def _pay(self, rewards: Tensor) -> dict[int, str]:
        """Overwrite ``rewards`` ``(K, T, W)`` of members that have a credit; return failed members → the message.

        A credit turns a program's components into the reward that PPO trains on, for methods that need one.
        """
        rollout, failures = self._rollout, {}
        for k, (components, names) in self._labelling.components.items():
            credit = self._batch[k].credit
            if credit is None:
                continue
            parts = (rollout.states, rollout.commands, rollout.next_states, rollout.terminated, rollout.ended)
            shape = rewards.shape[1:]
            try:
                rows = Rows(components.view(*shape, -1), names, *(part[k].cpu() for part in parts))
                rewards[k] = credit.pay(rows)
            except RewardFailed as error:
                rewards[k] = 0.0
                failures[k] = str(error)
        return failures

    def _learn(self, rewards: Tensor, values: Tensor, following: Tensor, remaining: float) -> None:
        """Update networks and observation statistics on the result of ``_simulate``; fail members that diverged."""
        with self._timings.measure("learning"):
            # Compute advantages and update the networks
            rows = self._rollout.finish(rewards, self._reward_scale, values, following)
            finite = self._learner.update(rows, remaining)
            # Update the normalisation only now: the rows and their log-probabilities used the previous one
            self._population.scale.update(self._rollout.observe())
            for k in (~finite).nonzero().squeeze(1).tolist():
                self._fail(k, "training diverged: a gradient was NaN or infinite; the reward's values may be too large")

    def _examine(self, steps: int, watcher: Watcher) -> None:
        """Add a checkpoint to the curve of every member that is alive and report it to ``watcher``."""
        with self._timings.measure("checkpoints"):
            reached = (self._goals / self._explored).tolist()
            points = self._examiner.examine(self._population.act, steps, reached, self._alive)
        self._goals.zero_()
        self._explored = 0
        for k, point in points.items():
            if isinstance(point, RewardFailed):
                self._fail(k, str(point))
                continue
            record = self._batch[k]
            record.add(point, lambda k=k: self._population.weights(k))  # type: ignore[misc]
            watcher.checkpoint(record.member.key, record.member.seed, point)
            watcher.episodes(record.member.key, record.member.seed, *self._examiner.episodes(k))

    def _stop(self, reasons: Mapping[int, str]) -> None:
        """Stop the members in ``reasons`` (index → reason) and shrink the batch to the members that are left."""
        for index, reason in reasons.items():
            record = self._records[index]
            record.stopped = record.stopped or reason
        staying = [k for k, alive in enumerate(self._alive) if alive]
        if not reasons or not staying:
            return
        # Shrink the simulation
        worlds = torch.arange(len(self._batch) * self._config.worlds).view(len(self._batch), -1)[staying].flatten()
        if not self._worlds.keep(worlds):
            # The simulator cannot drop worlds: keep stopped members in the batch with zeroed policies
            for k in set(range(len(self._batch))) - set(staying):
                self._forget(k)
            return

        # Shrink networks, optimiser state and statistics
        self._population.keep(staying)
        self._learner.keep(self._population.parameters, staying)
        self._reward_scale.keep(staying)
        self._batch, self._noise = [self._batch[k] for k in staying], [self._noise[k] for k in staying]
        self._goals = self._goals[staying]
        self._prepare()

    @property
    def _alive(self) -> list[bool]:
        """Whether each member of the batch has neither failed nor stopped, ``K`` bools."""
        return [not (record.failure or record.stopped) for record in self._batch]

    def _fail(self, k: int, message: str) -> None:
        """Fail member ``k``; its worlds keep running with a zeroed policy, so that tensors keep their shape."""
        record = self._batch[k]
        if not record.stopped:
            record.failure = record.failure or message
        self._forget(k)

    def _forget(self, k: int) -> None:
        """Zero a member's policy, optimiser state and statistics, so that no NaN or infinity stays in the batch."""
        self._learner.forget(k)
        self._reward_scale.forget(k)


def _credit(member: Member, task: Task, config: TrainingConfig) -> Credit | None:
    return None if member.credit is None else member.credit(task, member.seed, config.worlds)
