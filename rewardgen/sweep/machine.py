"""What there is of this machine to share out: memory and graphics cards."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that are free for further processes, a container's limit considered; None where nobody says."""
    found = [value for value in (_of_system(), _of_group()) if value is not None]
    return min(found, default=None)


def _of_system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _of_group() -> int | None:
    """What the limit of a container leaves; files that are only cached count as free."""
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        cached = [line.split() for line in (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError):
        return None
    free = sum(int(value) for name, value in cached if name == "inactive_file")
    return int(limit) - used + free if limit.isdigit() else None


def cards() -> list[str]:
    """The graphics cards that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    if not torch.cuda.is_available():
        return []
    named = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
    return named or [str(number) for number in range(torch.cuda.device_count())]
