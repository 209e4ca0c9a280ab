"""Nothing is left over: not after many workers, not after a server's death, not after the parent's."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rewardgen.errors import RewardFailed, SandboxError
from rewardgen.records import RewardProgram
from rewardgen.sandbox import Sandbox, SandboxLimits
from tests.sandbox.conftest import ACTIONS, LAYOUT, ROWS
from tests.sandbox.processes import (
    alive,
    children,
    descriptors,
    server_behind,
    server_of,
    wait_for_the_end_of,
)
from tests.sandbox.soak import soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

GOOD = RewardProgram("def compute_reward(state, action, next_state):\n    return next_state.height, {}\n")
HANG = RewardProgram("def compute_reward(state, action, next_state):\n    while True: pass\n")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_two_hundred_workers_leave_nothing():
    """``python -m tests.sandbox.soak`` does it with ten thousand."""
    assert soak(200) == {}


def test_failed_workers_leave_nothing(transitions):
    with Sandbox(SandboxLimits(call_seconds=0.3)) as box:
        with box.open(GOOD, LAYOUT, ACTIONS, ROWS):
            pass
        before = descriptors("self")
        for program in (HANG, RewardProgram("import os\nos._exit(1)"), RewardProgram("x")):
            with box.open(program, LAYOUT, ACTIONS, ROWS) as worker:
                worker.submit(*transitions)
                with pytest.raises(RewardFailed):
                    worker.result()
                assert children(server_of(box)) == []
        assert descriptors("self") == before


def test_a_worker_for_which_there_are_no_descriptors_left_leaves_nothing(transitions):
    with Sandbox() as box:
        with box.open(GOOD, LAYOUT, ACTIONS, ROWS):
            pass
        before = descriptors("self")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(number) for number in os.listdir("/proc/self/fd"))
        for room in range(1, 7):  # enough for the areas and some of the pipes
            held = [
                os.open(os.devnull, os.O_RDONLY) for _ in range(highest)
            ]  # whatever gaps there are, they are filled
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1 + room, hard))
            try:
                with pytest.raises(SandboxError, match="Too many open files"):
                    box.open(GOOD, LAYOUT, ACTIONS, ROWS)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for number in held:
                    os.close(number)
            assert descriptors("self") == before
        with box.open(GOOD, LAYOUT, ACTIONS, ROWS) as worker:
            worker.submit(*transitions)
            worker.result()


def test_closing_the_sandbox_ends_hanging_workers(transitions):
    box = Sandbox()
    workers = [box.open(HANG, LAYOUT, ACTIONS, ROWS) for _ in range(3)]
    for worker in workers:
        worker.submit(*transitions)
    server = server_of(box)
    pids = children(server)
    assert len(pids) == 3
    box.close()
    box.close()
    assert not any(alive(pid) for pid in (server, *pids))
    with pytest.raises(SandboxError, match="closed"):
        box.open(GOOD, LAYOUT, ACTIONS, ROWS)


def test_a_dead_server_takes_its_workers_along_and_is_replaced(transitions):
    with Sandbox() as box:
        worker = box.open(GOOD, LAYOUT, ACTIONS, ROWS)
        worker.submit(*transitions)
        worker.result()
        first = server_of(box)
        pids = children(first)
        os.kill(first, signal.SIGKILL)
        wait_for_the_end_of([first, *pids])
        worker.submit(*transitions)
        with pytest.raises(SandboxError, match="server died"):
            worker.result()
        worker.close()
        with box.open(GOOD, LAYOUT, ACTIONS, ROWS) as fresh:
            fresh.submit(*transitions)
            fresh.result()
        assert server_of(box) != first


PARENT = """
import sys, torch
from rewardgen.records import Field, Layout, RewardProgram
from rewardgen.sandbox import Sandbox
layout = Layout((Field("height", (), "m", ""),))
box = Sandbox()
hang = RewardProgram("def compute_reward(s, a, n):\\n    while True: pass")
workers = [box.open(hang, layout, 1, 4) for _ in range(2)]
for worker in workers:
    worker.submit(torch.zeros(4, 1), torch.zeros(4, 1), torch.zeros(4, 1))
print(box._server._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_when_the_parent_is_killed_nothing_stays(number):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        server = server_behind(int(parent.stdout.readline()))
        pids = children(server)
        assert len(pids) == 2
        parent.send_signal(number)
        parent.wait(timeout=30)
    wait_for_the_end_of([server, *pids])


def test_a_server_that_cannot_start_says_why(monkeypatch):
    from rewardgen.sandbox import fork as module

    monkeypatch.setattr(module, "_BOOTSTRAP", "raise SystemExit('no torch here')")
    box = Sandbox()
    with pytest.raises(SandboxError, match="no torch here"):
        box.open(GOOD, LAYOUT, ACTIONS, ROWS)
    box.close()


def test_importing_costs_no_simulator():
    code = "import sys, rewardgen.sandbox; sys.exit(any(m in sys.modules for m in ('mujoco', 'gymnasium')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
