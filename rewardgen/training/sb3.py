"""The reference trainer: Stable-Baselines3's PPO on the same simulator and the same after-rollout rewards."""

from __future__ import annotations

import time

import torch

from rewardgen.config import TrainingConfig
from rewardgen.errors import RewardFailed, UsageError
from rewardgen.records import TrainingResult
from rewardgen.sim import available_threads, torch_threads
from rewardgen.tasks import Task
from rewardgen.training.labelling import Member
from rewardgen.training.record import Record
from rewardgen.training.scoring import score
from rewardgen.training.watcher import Watcher


def train_sb3(
    task: Task,
    member: Member,
    config: TrainingConfig,
    *,
    threads: int = 0,
    watcher: Watcher | None = None,
) -> TrainingResult:
    """Train one member with Stable-Baselines3, with the curve, checkpoints and weights that ``train`` gives.

    Its networks, normalisation, rewards and settings are those of ``train``; the algorithm is untouched. Rollouts are
    of one fixed length, so a training takes up to one rollout more than ``config.steps``.

    Args:
        threads: processor threads for physics; 0 is all.
        watcher: is told of the steps so far after each update, and of each point of the curve.

    Raises:
        SimulationFailed: MuJoCo reported an error.
        UsageError: the member's reward needs a credit beside it, or the task's actions are discrete.
    """
    # Stable-Baselines3 takes seconds to import, and only this reference needs it
    from rewardgen.training.sb3_model import Reference, own_global_randomness

    if task.action_choices:
        raise UsageError(f"{task.name} has discrete actions, which the reference trainer does not take; use "
                         "training.trainer=population")  # fmt: skip
    if member.credit is not None:
        raise UsageError(
            "the reference trainer pays rewards as programs return them; a method whose programs return measures of "
            "progress or factors needs training.trainer=population"
        )
    began = time.perf_counter()
    record = Record(member, keep=config.keep)
    with own_global_randomness(), torch_threads(1):
        reference = Reference(task, record, config, threads or available_threads(), watcher or Watcher())
        try:
            reference.learn()
            score(task, [record], config, threads or available_threads())
        except RewardFailed as error:
            record.failure = str(error)
        except ValueError as error:
            # what torch's distributions say of a policy whose weights are NaN
            if all(torch.isfinite(values).all() for values in reference.parameters()):
                raise
            record.failure = f"training diverged: the policy's weights are no longer finite ({error})"
    return record.result(time.perf_counter() - began)
