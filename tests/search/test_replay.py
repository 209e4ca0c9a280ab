"""A shortened run from what a language model really answered to a run's prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewardgen import config, search
from rewardgen.errors import LLMError

RECORDING = Path(__file__).resolve().parents[1] / "replies" / "cheetah_run.jsonl"

SHORT = {
    "task": "cheetah/run",
    "threads": 1,
    "search.candidates": 3,
    "training.steps": 1024,
    "training.worlds": 8,
    "training.checkpoints": 2,
    "training.checkpoint_episodes": 2,
    "training.score_episodes": 2,
    "evaluation.report_seeds": 1,
    "evaluation.report_episodes": 2,
    "evaluation.resamples": 100,
}


@pytest.mark.slow
def test_recorded_replies_run_again(tmp_path: Path) -> None:
    overrides = SHORT | {"llm.model": f"replay:{RECORDING}", "search.generations": 3}
    view = search.run(config.load(overrides=overrides), tmp_path / "run")
    assert view.status == "finished" and len(view.generations) == 3
    assert {c.status for c in view.candidates.values()} == {"trained"}
    # the first prompt is the one that was answered, to the letter; later ones tell of shorter trainings
    reasons = [{reply.finish_reason for reply in call.replies} for call in view.calls if call.purpose == "generation"]
    assert reasons == [{"stop"}, {"replayed by order"}, {"replayed by order"}]
    assert view.cost.dollars == 0.0 and view.cost.prompt_tokens == 0  # nothing was paid for


def test_more_than_was_recorded_is_refused(tmp_path: Path) -> None:
    overrides = SHORT | {"llm.model": f"replay:{RECORDING}", "search.candidates": 64}
    with pytest.raises(LLMError, match="were recorded|was recorded"):
        search.run(config.load(overrides=overrides), tmp_path / "run")
