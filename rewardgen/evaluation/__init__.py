"""Evaluation: what trained policies are truly worth, on episodes that no training and no selection has used.

evaluation = evaluate(task, population.act, policies=3, episodes=32, seed=seed)
"""

from rewardgen.evaluation.evaluate import evaluate
from rewardgen.evaluation.interval import interval

__all__ = ["evaluate", "interval"]
