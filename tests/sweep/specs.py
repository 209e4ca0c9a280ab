"""Specs for tests: written to a file, as a person would."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

SMALL = """
settings:
  llm.model: offline
  search: {generations: 1, candidates: 2, seeds: 1, screening: false}
  training: {steps: 1024, worlds: 8, rollout: 16, epochs: 1, minibatches: 2, checkpoints: 2,
    checkpoint_episodes: 1, score_episodes: 1}
  evaluation: {report_seeds: 1, report_episodes: 2, resamples: 100}
"""
"""Settings that make a search last a second, once it has started."""


def written(folder: Path, text: str, name: str = "spec.yaml") -> Path:
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path
