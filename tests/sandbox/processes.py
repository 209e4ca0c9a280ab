"""What the kernel says about processes."""

from __future__ import annotations

import os
import select
from pathlib import Path


def server_of(box):
    return box._server._process.pid


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def wait_for_the_end_of(pids):
    """Wait until every process is gone, told by the kernel: no polling, no sleeping."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([handle], [], [], 30)[0], f"{pid} lives on"
        finally:
            os.close(handle)


def mapped():
    """How many shared areas this process has mapped."""
    return Path("/proc/self/maps").read_text().count("rewardgen-")
