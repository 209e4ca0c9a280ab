"""When a training rolls out, and after which updates it measures a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from rewardgen.config import TrainingConfig


def rollout_lengths(config: TrainingConfig) -> list[int]:
    """Return the control steps of each rollout: the fewest rollouts possible, with lengths that differ by up to one."""
    # Round up twice: control steps of all worlds, then rollouts
    total = -(-config.steps // config.worlds)
    count = -(-total // config.rollout)
    short, longer = divmod(total, count)
    return [short + 1] * longer + [short] * (count - longer)


def checkpoint_updates(lengths: Sequence[int], checkpoints: int) -> set[int]:
    """Return the indices of the updates that a checkpoint follows.

    These are the first update to pass each of ``checkpoints`` even shares of the steps, and the last update.
    """
    total, done, due = sum(lengths), 0, set()
    for update, length in enumerate(lengths):
        before, done = done, done + length
        # Compare whole numbers of shares; in floating point an even share could be missed by rounding
        if done * checkpoints // total > before * checkpoints // total:
            due.add(update)
    return due


def checkpoint_steps(config: TrainingConfig) -> list[int]:
    """Return the environment steps that a member has taken at each of its checkpoints."""
    lengths = rollout_lengths(config)
    done = list(accumulate(length * config.worlds for length in lengths))
    return [done[update] for update in sorted(checkpoint_updates(lengths, config.checkpoints))]
