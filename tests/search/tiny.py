"""Settings of searches that end in seconds, and learn nothing."""

from __future__ import annotations

from typing import Any

TRAINING: dict[str, Any] = {
    "training.steps": 1024,
    "training.worlds": 8,
    "training.rollout": 32,
    "training.epochs": 1,
    "training.minibatches": 2,
    "training.checkpoints": 2,
    "training.checkpoint_episodes": 2,
}
SEARCH: dict[str, Any] = TRAINING | {
    "task": "cartpole/swingup",
    "threads": 1,
    "evaluation.report_seeds": 1,
    "evaluation.report_episodes": 2,
    "evaluation.resamples": 100,
}
