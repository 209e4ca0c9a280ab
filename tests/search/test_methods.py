"""Every method, as a real search with the offline author: small, but with all that the method does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rewardgen import search
from rewardgen.search import configure, load_method, method_names
from rewardgen.store import RunView

TINY: dict[str, Any] = {
    "task": "cartpole/swingup",
    "threads": 1,
    "llm.model": "offline",
    "search.generations": 2,
    "search.seeds": 1,
    "training.steps": 512,
    "training.worlds": 8,
    "training.rollout": 32,
    "training.epochs": 1,
    "training.minibatches": 2,
    "training.checkpoints": 2,
    "training.checkpoint_episodes": 2,
    "evaluation.report_seeds": 1,
    "evaluation.report_episodes": 2,
    "evaluation.resamples": 100,
}


def run(folder: Path, method: str, **changes: Any) -> RunView:
    by = {"search.judging.by": "simulated"}
    overrides = TINY | by | {"search.method": method} | {key.replace("__", "."): v for key, v in changes.items()}
    if load_method(method).settings.get("search", {}).get("candidates", 8) > 3:
        overrides["search.candidates"] = 3
    return search.run(configure(None, overrides), folder)


@pytest.mark.parametrize("method", method_names())
def test_every_method_finds_a_reward_offline(tmp_path: Path, method: str) -> None:
    view = run(tmp_path / "run", method)
    assert view.status == "finished" and view.winner is not None
    assert [generation.finished for generation in view.generations] == [True, True]
    later = view.generations[1].candidates
    assert all(candidate.parent is not None for candidate in later)
    assert any(candidate.status == "trained" for candidate in later)
