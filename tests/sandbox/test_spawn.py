"""Workers that are fresh processes, where there is no fork. None of these programs was checked.

``bare`` is what Windows would have: neither side can use what only Unix has, and no layer of confinement is there. What
``basic`` promises even then is tried on programs of the corpus that do damage to nothing outside of their worker.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import threading

import pytest
import torch

from rewardgen.errors import RewardFailed, SandboxError
from rewardgen.records import RewardProgram
from rewardgen.sandbox import Sandbox, SandboxLimits, fresh, smoke_test, spawn, windows, worker
from rewardgen.sandbox.layers import LAYERS, reports, surrender
from rewardgen.sandbox.spawn import Spawner
from rewardgen.sandbox.wire import ThreadedWire
from tests.elsewhere import ANOTHER_SYSTEM, WITHOUT_UNIX
from tests.sandbox.conftest import ACTIONS, LAYOUT, ROWS
from tests.sandbox.processes import alive, children, descriptors
from tests.sandbox.test_corpus import CORPUS, load

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

LIMITS = SandboxLimits(call_seconds=5.0, program_seconds=120.0, memory_gb=1.0)
GOOD = "print('said')\nup = next_state.height - state.height\nreturn up - action.square().sum(-1), {'up': up}"
PLAIN = fresh.PRELUDE
ONLY_LIMITS = ANOTHER_SYSTEM + WITHOUT_UNIX.replace('"resource", ', "")

# Of the classes that basic promises to survive.
ATTACKS = (
    *("wire/flood", "wire/garbage", "wire/half_an_answer", "wire/too_many_rows", "outputs/some_nan"),
    *("output-size/printing", "recursion/without_limit", "exits/segmentation_fault", "time/swallow_interrupts"),
)
MEMORY = ("memory/one_large_tensor", "memory/text_by_repetition")


@pytest.fixture
def spawned():
    with Sandbox(LIMITS, way=Spawner) as box:
        yield box


@pytest.fixture(scope="module")
def bare():
    """From its first use to the end of the module."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("memfd_create", "preadv", "killpg"):
            patch.delattr(os, name)
        patch.setattr(worker, "open_wire", ThreadedWire)
        patch.setattr(fresh, "PRELUDE", PLAIN + ANOTHER_SYSTEM + WITHOUT_UNIX)
        with Sandbox(LIMITS, "basic", Spawner) as box:
            yield box


@pytest.fixture
def only_limits(monkeypatch):
    """As on macOS, had it no fork."""
    monkeypatch.setattr(fresh, "PRELUDE", PLAIN + ONLY_LIMITS)
    with Sandbox(LIMITS, "basic", Spawner) as box:
        yield box


@pytest.fixture(scope="module")
def neighbour(bare):
    with bare.open(RewardProgram("def compute_reward(s, a, n): return n.height.exp(), {}"), LAYOUT, ACTIONS, ROWS) as w:
        yield w


def call(worker, transitions):
    worker.submit(*transitions)
    return worker.result()


def attack(name):
    (file,) = CORPUS.glob(f"{name}.py")
    source = load(file).source
    assert "@" not in source.replace("@property", "").replace("@staticmethod", ""), "it aims at something outside"
    return source


def test_it_labels_as_a_forked_one_does_and_is_confined_alike(start, sandbox, spawned, transitions):
    forked, fresh_one = start(GOOD), start(GOOD, box=spawned)
    for rows in (ROWS, 5):
        given = [matrix[:rows] for matrix in transitions]
        expected, labels = call(forked, given), call(fresh_one, given)
        assert torch.equal(labels.reward, expected.reward) and torch.equal(labels.components, expected.components)
    assert fresh_one.names == forked.names and fresh_one.output == forked.output == "said\nsaid"
    kernel = {layer.name for layer in LAYERS if layer.required}
    assert kernel & set(fresh_one.confinement) == kernel & set(forked.confinement)
    hidden = start("import os\nraise ValueError(dict(os.environ))", box=spawned)
    with pytest.raises(RewardFailed, match=r"ValueError: \{\}"):
        call(hidden, transitions)


def test_nothing_is_left_over(transitions):
    before = descriptors("self"), threading.active_count(), children(os.getpid())
    with Sandbox(LIMITS, way=Spawner) as box:
        hang = RewardProgram("def compute_reward(s, a, n):\n    while True: pass\n")
        workers = [box.open(hang, LAYOUT, ACTIONS, ROWS) for _ in range(2)]
        pids = [process.python.pid for process in box._server._started.values()]
        assert len(pids) == 2 and all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)
    assert (descriptors("self"), threading.active_count(), children(os.getpid())) == before
    assert all(worker._closed for worker in workers)


def test_a_request_goes_out_though_the_thread_that_wrote_the_last_has_not_come_round(monkeypatch):
    wire, write, go_on = ThreadedWire(), os.write, threading.Event()

    def slow(descriptor, data):
        written = write(descriptor, data)
        if descriptor == wire._requests:
            go_on.wait(20)
        return written

    monkeypatch.setattr(os, "write", slow)
    for request in (b"first", b"other"):
        wire.send(request)
        if request == b"other":
            go_on.set()
        assert select.select([wire.theirs[0]], [], [], 20)[0], f"the {request.decode()} was not sent"
        assert os.read(wire.theirs[0], 5) == request
    wire.close()
    assert not wire._writer.is_alive()


def test_where_nothing_of_unix_is_left_it_labels_all_the_same(start, sandbox, bare, transitions):
    assert bare.confinement == ()
    assert "not stopped from" in bare.notice
    labels, expected = call(start(GOOD, box=bare), transitions), call(start(GOOD), transitions)
    assert torch.equal(labels.reward, expected.reward) and torch.equal(labels.components, expected.components)
    with Sandbox(LIMITS, "strict", Spawner) as strict, pytest.raises(SandboxError, match="cannot be strict"):
        strict.open(RewardProgram(""), LAYOUT, ACTIONS, ROWS)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_run_survives_what_basic_is_for(start, bare, neighbour, transitions, name):
    expected = call(neighbour, transitions)
    attacker = start(attack(name), box=bare)
    attacker.submit(*transitions)
    try:
        labels = attacker.result()
        smoke_test(attacker, LAYOUT, *transitions, call_seconds=LIMITS.call_seconds)
        assert bool(torch.isfinite(labels.reward).all()) and len(labels.reward) == ROWS
        assert name in ("wire/flood", "output-size/printing")
    except RewardFailed as failure:
        kinds = {"wire": ("crash", "output", "timeout"), "time": ("timeout",), "recursion": ("exception", "crash")}
        kind, _, _ = name.partition("/")
        assert failure.kind in kinds.get(kind, ("output",) if kind.startswith("output") else ("crash",))
    assert len(attacker.output) < 5_000 and all(line.isprintable() for line in attacker.output.split("\n"))
    attacker.close()
    again = call(neighbour, transitions)
    assert torch.equal(again.reward, expected.reward)


def test_a_worker_that_reads_no_requests_stops_nobody(start, bare, transitions):
    """It answers ahead, for ever, until what is written to it finds no room."""
    worker = start(
        "import os, struct, threading\n"
        "from rewardgen.sandbox.protocol import ANSWER, Kind\n"
        "def compute_reward(s, a, n):\n"
        "    fd = next(fd for fd in range(3, 64) if _is_answers(fd))\n"
        "    for k in range(1, 20_000): os.write(fd, ANSWER.pack(Kind.LABELS, k, 64, 0, 0, 0, 0))\n"
        "def _is_answers(fd):\n"
        "    import stat\n"
        "    try: return stat.S_ISFIFO(os.fstat(fd).st_mode) and os.readlink(f'/proc/self/fd/{fd}') and _writable(fd)\n"
        "    except OSError: return False\n"
        "def _writable(fd):\n"
        "    try: return os.write(fd, b'') == 0\n"
        "    except OSError: return False\n",
        box=bare,
    )
    for _ in range(9_000):  # a pipe holds 8,192 requests
        assert not call(worker, transitions).reward.any()
    worker.close()


@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_limited_where_the_system_has_limits(start, only_limits, transitions, name):
    with pytest.raises(RewardFailed) as caught:
        call(start(attack(name), box=only_limits), transitions)
    assert caught.value.kind == "memory" or "MemoryError" in str(caught.value)


def test_what_keeps_a_worker_from_starting_is_told(monkeypatch):
    monkeypatch.setattr(spawn, "_PROBE", "raise SystemExit('no torch here')")
    with Sandbox(way=Spawner) as box, pytest.raises(SandboxError, match="no torch here"):
        box.open(RewardProgram(""), LAYOUT, ACTIONS, ROWS)


def test_a_job_object_is_described_as_windows_reads_it():
    """The layouts on 64 bits, as the compiler of Windows' headers has them."""
    assert ctypes.sizeof(windows.BasicLimits) == 64
    assert ctypes.sizeof(windows.ExtendedLimits) == 144
    assert windows.ExtendedLimits.process_memory.offset == 112
    assert ctypes.sizeof(windows.MemoryCounters) == 72
    assert windows.MemoryCounters.committed.offset == 56
    limits = windows.bounds(memory=3 * 2**30, cpu_seconds=2)
    assert limits.basic.per_process_user_time == 20_000_000  # of 100 ns
    assert (limits.basic.active_processes, limits.process_memory) == (1, 3 * 2**30)
    assert limits.basic.flags == 0x2 | 0x8 | 0x100 | 0x400


def test_windows_is_told_of_its_job_object(monkeypatch):
    assert "job object" not in {layer.name for layer in reports(())}
    monkeypatch.setattr(sys, "platform", "win32")
    assert "job object" in {layer.name for layer in reports(())}
    assert "only a job object bounds" in surrender(("job object",))
