"""Evaluation: what trained policies are truly worth, on episodes that no training and no selection has used.

evaluation = evaluate(task, population.act, policies=3, episodes=32, seed=seed)

``bounds`` tells how sure the checkpoints of short trainings make one of several candidates; ``normalised`` puts scores
of different tasks on one scale.
"""

from rewardgen.evaluation.bounds import Bounds, bounds
from rewardgen.evaluation.evaluate import evaluate
from rewardgen.evaluation.interval import interval
from rewardgen.evaluation.normalised import normalised

__all__ = ["Bounds", "bounds", "evaluate", "interval", "normalised"]
