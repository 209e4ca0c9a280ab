"""The interface to training: specifications of trainings, and the protocol that all trainers implement.

``make_trainer`` in ``local`` chooses between the population, the reference and a remote trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rewardgen.config import Config
from rewardgen.records import Form, RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox
from rewardgen.sim import Arrangement
from rewardgen.tasks import Task
from rewardgen.training.episodes import Collector
from rewardgen.training.labelling import Member, Reward
from rewardgen.training.saves import Saves
from rewardgen.training.watcher import Watcher


@dataclass(frozen=True)
class TrainingSpec:
    """One training to run: the ``key`` of its candidate or baseline, its ``seed``, and its reward.

    For a task's own reward, the last part of the key after a slash is the reward's name, such as "final/expert".
    """

    key: str
    seed: int
    reward: RewardProgram | Reward


MakeSaves = Callable[[Sequence[Member], Mapping[str, str], Collector | None], Saves]
"""``make(members, sources, collector)`` returns the files for the state of a training in progress. ``sources`` maps a
key to the source of its program; ``collector`` is saved with the training. The caller of the training deletes the files
once the results are stored."""


@dataclass(frozen=True)
class TrainingSetup:
    """Settings that all trainings of a run or command share.

    Attributes:
        config: ``training``, ``credit``, ``sandbox`` and ``threads`` are used.
        arrangement: devices for physics and learning.
        sandbox: runs programs; None if only a task's own rewards are trained.
        form: what programs return.
        envs: further folders of task files, sent along to remote trainings.
        saves: makes the files for trainings in progress; None to save nothing, so that a killed training starts over.
    """

    task: Task
    config: Config
    arrangement: Arrangement
    sandbox: Sandbox | None = None
    form: Form = "reward"
    envs: tuple[Path, ...] = ()
    saves: MakeSaves | None = None


class Trainer(Protocol):
    """Runs trainings: as a population on this machine, with the reference, or as shards on other machines."""

    @property
    def batched(self) -> bool:
        """Whether members train as one batch, which races and the collection of episodes need."""

    def train(self, specs: Sequence[TrainingSpec], watcher: Watcher) -> list[TrainingResult]:
        """Run the trainings in ``specs`` and report progress to ``watcher``.

        Returns:
            The results in the order of ``specs``, with status "failed" for a reward that failed.

        Raises:
            BudgetExceeded: raised by ``watcher``, as any other error that it raises.
            SimulationFailed: MuJoCo reported an error.
            OutOfMemory: not even one member fits into the device's memory.
            ClusterError: other machines cannot be reached, or returned an invalid result.
        """


MakeTrainer = Callable[[TrainingSetup], Trainer]
