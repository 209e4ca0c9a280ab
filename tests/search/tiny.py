"""Settings of searches that end in seconds, and learn nothing."""

from __future__ import annotations

from typing import Any

from rewardgen.search import load_method

TRAINING: dict[str, Any] = {
    "training.steps": 1024,
    "training.worlds": 8,
    "training.rollout": 32,
    "training.epochs": 1,
    "training.minibatches": 2,
    "training.checkpoints": 2,
    "training.checkpoint_episodes": 2,
    "training.score_episodes": 2,
}
SEARCH: dict[str, Any] = TRAINING | {
    "task": "reacher/reach",  # episodes of 50 steps: most of the time of a small search goes into playing them
    "threads": 1,
    "evaluation.report_seeds": 1,
    "evaluation.report_episodes": 2,
    "evaluation.resamples": 100,
}


def of_method(method: str, **changes: Any) -> dict[str, Any]:
    """Settings of a search by ``method`` with the offline author, judged by a simulation where it asks people.

    Args:
        changes: further settings, with ``__`` for the dot.
    """
    settings: dict[str, Any] = {
        **SEARCH,
        "llm.model": "offline",
        "search.generations": 2,
        "search.seeds": 1,
        "training.steps": 512,
        "search.judging.by": "simulated",
        "search.method": method,
    }
    if load_method(method).settings.get("search", {}).get("candidates", 8) > 3:
        settings["search.candidates"] = 3
    if load_method(method).form == "factors":  # episodes must end for a decoder to have something to learn from
        settings |= {"training.steps": 1024, "training.worlds": 2, "training.rollout": 128}
    return settings | {key.replace("__", "."): value for key, value in changes.items()}
