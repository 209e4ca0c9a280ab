"""A run's exported files, if they are those of its winner or, before there is one, of the best candidate so far."""

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
"""The files of an export."""
EMBEDDED = ("reward.py", "policy.safetensors")
"""The files that a report embeds."""
MAX_BYTES = 2 << 20
"""Max. size of a file that a report embeds."""


def exported_files(view: RunView) -> Mapping[str, Path]:
    """Return name → file of the export in the run's folder; empty if there is none, or one of another candidate.

    Links are ignored: a run's folder may come from anywhere.
    """
    folder = view.path / FOLDER
    readme = folder / README
    best = view.winner or max(fitness(view).items(), key=lambda scored: scored[1], default=("", 0.0))[0]
    # The README of an export names the candidate
    if not best or folder.is_symlink() or not _is_file(readme):
        return {}
    try:
        of_best = f"(candidate {best}," in readme.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {name: folder / name for name in FILES if _is_file(folder / name)} if of_best else {}


def embedded_files(view: RunView) -> Mapping[str, str]:
    """Return name → data URL of the exported files that a page embeds."""
    exported = exported_files(view)
    return {name: data_url(exported[name].read_bytes(), "application/octet-stream")
            for name in EMBEDDED if name in exported and exported[name].stat().st_size <= MAX_BYTES}  # fmt: skip


def data_url(content: bytes, media_type: str) -> str:
    """Return content as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _is_file(path: Path) -> bool:
    """Return whether a path is a file, and not a link to one."""
    return path.is_file() and not path.is_symlink()
