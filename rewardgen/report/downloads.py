"""A run's exported files, where they are those of its winner or, before there is one, of the best so far."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from rewardgen.report.facts import fitness
from rewardgen.store import RunView

FOLDER = "export"
README = "README.md"
FILES = (
    *("reward.py", "environment.py", "model.mjb", "wrapper.py"),
    *("policy.safetensors", "policy.py", "policy.onnx", README),
)
"""What an export consists of."""
EMBEDDED = ("reward.py", "policy.safetensors")
"""What a report carries with it."""
MAX_BYTES = 2 << 20
"""Largest file that a report carries."""


def exported_files(view: RunView) -> Mapping[str, Path]:
    """Name → file of the export in the run's folder; empty where there is none, or where it is of another candidate.

    Links are left out: a run's folder may come from anywhere.
    """
    folder = view.path / FOLDER
    readme = folder / README
    best = view.winner or max(fitness(view).items(), key=lambda scored: scored[1], default=("", 0.0))[0]
    if not best or folder.is_symlink() or not _is_file(readme):
        return {}
    try:
        of_best = f"(candidate {best}," in readme.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {name: folder / name for name in FILES if _is_file(folder / name)} if of_best else {}


def embedded_files(view: RunView) -> Mapping[str, str]:
    """Name → data URL of the exported files that a page can carry."""
    found = exported_files(view)
    return {name: data_url(found[name].read_bytes(), "application/octet-stream")
            for name in EMBEDDED if name in found and found[name].stat().st_size <= MAX_BYTES}  # fmt: skip


def data_url(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
