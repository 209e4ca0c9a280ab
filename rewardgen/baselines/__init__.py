"""Baselines: the fitness that a task's expert and sparse rewards reach, measured once per machine for all runs."""

from rewardgen.baselines.cache import REWARDS, find, keep, locked, training_seeds
from rewardgen.baselines.measuring import evaluate_trainings, measure, shared_reward

__all__ = [
    "REWARDS",
    "evaluate_trainings",
    "find",
    "keep",
    "locked",
    "measure",
    "shared_reward",
    "training_seeds",
]
