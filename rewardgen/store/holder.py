"""Which process works on a run: its id, stored next to the lock that it holds."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from rewardgen import files

_FILE = "run.pid"


def write_holder(run_dir: Path) -> None:
    """Store the id of this process, which has just taken the run's lock; nothing happens if it cannot be written."""
    try:
        files.write_text(run_dir / _FILE, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    except OSError:
        pass


def read_holder(run_dir: Path) -> int | None:
    """Return the id of the process that last took the run's lock, if it was on this machine.

    Whether it is still alive is told by the lock (``held``), not by this.
    """
    try:
        # The file may be missing or cut short
        content = json.loads((run_dir / _FILE).read_bytes())
    except (OSError, ValueError):
        return None
    # An id of another machine says nothing here; 0 and 1 are never a run
    if not isinstance(content, dict) or content.get("host") != socket.gethostname():
        return None
    pid = content.get("pid")
    return pid if isinstance(pid, int) and not isinstance(pid, bool) and pid > 1 else None
