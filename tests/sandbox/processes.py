"""What the kernel says about processes."""

from __future__ import annotations

import os
import select
from pathlib import Path


def server_of(box):
    """The server's process: its keeper's child where it has a process namespace, else the one that was started."""
    box._server.wait_ready()
    return server_behind(box._server._process.pid)


def server_behind(keeper):
    return next((child for child in children(keeper) if innermost(child) == 1), keeper)


def innermost(pid):
    """The process's number in its own process namespace."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])


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
