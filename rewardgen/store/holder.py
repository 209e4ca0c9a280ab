"""Which process works on a run: its number, kept beside the lock that it holds."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from rewardgen import files

_FILE = "run.pid"


def write_holder(run_dir: Path) -> None:
    """Say that this process, which has just taken the run's lock, holds it; a file that cannot be written is left."""
    try:
        files.write_text(run_dir / _FILE, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    except OSError:
        pass


def read_holder(run_dir: Path) -> int | None:
    """The process that took the run's lock last, if that was on this machine. Whether it still lives the lock tells."""
    try:
        told = json.loads((run_dir / _FILE).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("host") != socket.gethostname():
        return None
    pid = told.get("pid")
    return pid if isinstance(pid, int) and not isinstance(pid, bool) and pid > 1 else None
