"""The resources of this machine: memory and GPUs."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Return the free memory in bytes, within a container's limit; None if the system does not tell."""
    limits = [value for value in (_of_system(), _of_group()) if value is not None]
    return min(limits, default=None)


def _of_system() -> int | None:
    """Return the free memory of the machine."""
    try:
        # Linux only; other systems have no such file
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _of_group() -> int | None:
    """Return what the limit of a container leaves free; cached files count as free."""
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        cached = [line.split() for line in (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()]
    except (OSError, ValueError):
        return None
    # The kernel frees cached files when memory is needed
    free = sum(int(value) for name, value in cached if name == "inactive_file")
    return int(limit) - used + free if limit.isdigit() else None


def gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    if not torch.cuda.is_available():
        return []
    # Names in the variable, which may be indices or UUIDs, else indices
    named = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
    return named or [str(number) for number in range(torch.cuda.device_count())]
