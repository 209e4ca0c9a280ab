"""The reference trainer: Stable-Baselines3's PPO on the same simulator, with rewards labelled after each rollout."""

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
    """Train one member with Stable-Baselines3; the result has the same curve and weights format as ``train``.

    Networks, normalisation, rewards and settings are those of ``train``; the PPO algorithm is Stable-Baselines3's,
    unmodified. Rollouts have a fixed length, so a training takes up to one rollout more than ``config.steps``.

    Args:
        threads: CPU threads for physics; 0 uses all of them.
        watcher: receives the steps after each update and each checkpoint.

    Raises:
        SimulationFailed: MuJoCo reported an error.
        UsageError: the member's reward needs a credit, or the task's actions are discrete.
    """
    # Import here: Stable-Baselines3 takes seconds to import, and only the reference needs it
    from rewardgen.training.sb3_model import Reference, own_global_randomness

    if task.action_choices:
        raise UsageError(f"{task.name} has discrete actions, which the reference trainer does not take; use "
                         "training.trainer=population")  # fmt: skip
    if member.credit is not None:
        raise UsageError(
            "the reference trainer pays rewards as programs return them; a method whose programs return measures of "
            "progress or factors needs training.trainer=population"
        )

    # Train, then measure the kept policy on fresh episodes
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
            # torch's distributions raise ValueError for a policy whose weights are NaN
            if all(torch.isfinite(values).all() for values in reference.parameters()):
                raise
            record.failure = f"training diverged: the policy's weights are no longer finite ({error})"
    return record.result(time.perf_counter() - began)
