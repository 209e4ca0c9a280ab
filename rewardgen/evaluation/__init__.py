"""Evaluation: what trained policies are truly worth, on episodes that no training and no selection has used.

evaluation = evaluate(task, population.act, policies=3, episodes=32, seed=seed)

``bounds`` tells how sure the checkpoints of short trainings make one of several candidates; ``normalised`` puts scores
of different tasks on one scale. ``intraclass`` tells how much of the differences between scores belongs to rewards,
``legibility`` says it of a search.
"""

from typing import TYPE_CHECKING

from rewardgen import lazy

if TYPE_CHECKING:
    from rewardgen.evaluation.bounds import Bounds, bounds
    from rewardgen.evaluation.evaluate import evaluate
    from rewardgen.evaluation.interval import interval
    from rewardgen.evaluation.intraclass import (
        LEGIBLE,
        Intraclass,
        intraclass,
        reliability,
        seeds_needed,
        without_seed_means,
    )
    from rewardgen.evaluation.legibility import Legibility, legibility, scores_along
    from rewardgen.evaluation.normalised import normalised

__all__ = [
    "LEGIBLE",
    "Bounds",
    "Intraclass",
    "Legibility",
    "bounds",
    "evaluate",
    "interval",
    "intraclass",
    "legibility",
    "normalised",
    "reliability",
    "scores_along",
    "seeds_needed",
    "without_seed_means",
]

lazy.exports(__name__)
