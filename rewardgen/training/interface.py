"""The one interface to training: what is to be trained, and the trainers that can do it.

``make_trainer`` in ``local`` chooses once between the population, the reference and a remote trainer.
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
    """One training to carry out: the ``key`` of its owner, its ``seed``, and a program or a reward of the task's own.

    Where the reward is a task's own, the last part of the key, after a slash, is its name: "final/expert".
    """

    key: str
    seed: int
    reward: RewardProgram | Reward


MakeSaves = Callable[[Sequence[Member], Mapping[str, str], Collector | None], Saves]
"""``make(members, sources, collector)``: where the state of a training in progress is saved. ``sources`` has the source
of each key's program; ``collector`` is saved with the training. Whoever keeps the results deletes the files."""


@dataclass(frozen=True)
class TrainingSetup:
    """What all trainings of a run, or of a command, have in common.

    Attributes:
        config: ``training``, ``credit``, ``sandbox`` and ``threads`` are used.
        arrangement: where physics and learning take place.
        sandbox: runs programs; None where only a task's own rewards are trained.
        form: what programs return.
        envs: further folders of task files, for trainings on other machines.
        saves: where trainings in progress are saved; None: nowhere, and a killed training starts over.
    """

    task: Task
    config: Config
    arrangement: Arrangement
    sandbox: Sandbox | None = None
    form: Form = "reward"
    envs: tuple[Path, ...] = ()
    saves: MakeSaves | None = None


class Trainer(Protocol):
    """Carries out trainings: a population on this machine, the reference, or shards on other machines."""

    @property
    def batched(self) -> bool:
        """Whether members train as one batch, so that a race can stop some and episodes can be collected."""

    def train(self, specs: Sequence[TrainingSpec], watcher: Watcher) -> list[TrainingResult]:
        """Carry out ``specs`` and report to ``watcher``.

        Returns:
            The results in the order of ``specs``. A reward that fails is a result too.

        Raises:
            BudgetExceeded, or whatever ``watcher`` raises.
            SimulationFailed: MuJoCo reported an error.
            OutOfMemory: the device's memory does not hold a single member.
            ClusterError: other machines cannot be reached, or returned something else than was asked for.
        """


MakeTrainer = Callable[[TrainingSetup], Trainer]
