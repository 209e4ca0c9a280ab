"""A checkpoint as named numbers, grouped as in Stable-Baselines3's logs."""

from __future__ import annotations

import math

from rewardgen.records import Checkpoint

MEASURES = ("fitness", "fitness_std", "success_rate", "own_return", "episode_length")
"""Measures of the deterministic policy on whole episodes."""


def scalars(point: Checkpoint) -> dict[str, float]:
    """Return the numbers of a checkpoint by tag, without those that are not finite.

    ``eval/fitness``, ``eval/own_return`` and so on are measured on the policy's episodes; ``components/NAME`` is the
    mean of a reward component per step, ``correlations/NAME`` its correlation with the fitness, ``causes/NAME`` the
    share of episodes that ended so, and ``rollout/goal_reached`` the share of exploration that the sparse reward pays
    for.
    """
    values = {f"eval/{name}": getattr(point, name) for name in MEASURES}
    values["rollout/goal_reached"] = point.goal_reached
    for group in ("components", "correlations", "causes"):
        values.update({f"{group}/{name}": value for name, value in getattr(point, group).items()})
    return {tag: float(value) for tag, value in values.items() if math.isfinite(value)}
