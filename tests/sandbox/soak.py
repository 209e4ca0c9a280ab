"""Start very many workers, one after another and one in ten of them failing, and count what a leak would make grow.

python -m tests.sandbox.soak --starts 10000

Counted after the 30th start, when everything has happened once, and after the last; any difference is a leak:

    descriptors         open in this process, and in the server
    shared areas        mapped here, and in the server, told by their name; files in /dev/shm of that name
    mappings            all of this process, in steps of 50, since an allocator takes and gives some
    processes           children of the server, zombies included, and of this process

Not counted: the size of memory, and namespaces. A worker's own user namespace ends with its process; the others are
the server's, one of each for all workers.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from rewardgen.errors import RewardFailed
from rewardgen.records import RewardProgram
from rewardgen.sandbox import Sandbox, SandboxLimits
from tests.sandbox.conftest import ACTIONS, LAYOUT
from tests.sandbox.processes import children, descriptors, mapped, server_of

ROWS = 8
GOOD = RewardProgram("def compute_reward(state, action, next_state):\n    return next_state.height, {}\n")
# one in ten fails in one of these ways
BAD = (
    RewardProgram("import os\nos._exit(1)\n"),
    RewardProgram("import os\nos.fork()\n"),
    RewardProgram("x = undefined\n"),
)


def left_over(box: Sandbox) -> dict[str, int]:
    """What the docstring above says is counted."""
    server = server_of(box)
    return {
        "descriptors here": descriptors("self"),
        "descriptors of the server": descriptors(server),
        "areas mapped here": mapped(),
        "areas mapped by the server": Path(f"/proc/{server}/maps").read_text().count("rewardgen-"),
        "mappings here": len(Path("/proc/self/maps").read_text().splitlines()) // 50,
        "workers": len(children(server)),
        "children here": len(children(os.getpid())),
        "shared memory files": len(list(Path("/dev/shm").glob("*rewardgen*"))),
    }


def soak(starts: int, tell: Callable[[str], None] = lambda _: None) -> dict[str, tuple[int, int]]:
    """Start that many workers one after another; what there was more or less of at the end than near the beginning."""
    generator = torch.Generator().manual_seed(1)
    columns = (LAYOUT.width, ACTIONS, LAYOUT.width)
    transitions = [torch.randn(ROWS, count, generator=generator) for count in columns]
    with Sandbox(SandboxLimits(call_seconds=30.0, program_seconds=60.0, memory_gb=1.0)) as box:
        before: dict[str, int] = {}
        began = time.perf_counter()
        for number in range(starts):
            bad = BAD[number // 10 % len(BAD)] if number % 10 == 9 else None
            with box.open(bad or GOOD, LAYOUT, ACTIONS, ROWS) as worker:
                worker.submit(*transitions)
                try:
                    labels = worker.result()
                except RewardFailed:
                    assert bad is not None
                else:
                    assert bad is None and torch.equal(labels.reward, transitions[2][:, 0])
            if number == 29:  # everything has happened once
                before = left_over(box)
            if number % 1000 == 999:
                tell(f"{number + 1} starts, {(time.perf_counter() - began) / (number + 1) * 1000:.1f} ms each")
        after = left_over(box)
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=10_000)
    leaks = soak(parser.parse_args().starts, lambda text: print(text, flush=True))
    if leaks:
        raise SystemExit(f"left over: {leaks}")
    print("nothing is left over")
