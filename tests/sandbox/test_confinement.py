"""Each layer alone and all together: what they refuse, where they are missing, and for whom they work."""

from __future__ import annotations

import errno
import os
import re
import shutil
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import rewardgen
from rewardgen.errors import RewardFailed, SandboxError
from rewardgen.records import RewardProgram
from rewardgen.sandbox import Sandbox, layers, seccomp
from rewardgen.sandbox.layers import LAYERS, default_level, flags_of, names_of
from rewardgen.sandbox.syscalls import ALLOWED, AUDIT, KILLED, NUMBERS, REFUSED, checked
from tests.sandbox.conftest import ACTIONS, LAYOUT, ROWS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel features are Linux's")
ROOT = Path(rewardgen.__file__).resolve().parents[1]


def run_python(text, *, executable=sys.executable, paths=(), **options):
    environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), *paths]), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [executable, "-c", textwrap.dedent(text)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd="/", **options)


# ---------------------------------------------------------------------------------------------------------------------
# the table


@pytest.mark.parametrize(
    ("machine", "header"),
    [("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "/usr/include/asm-generic/unistd.h")],
)
def test_the_numbers_are_the_kernels(machine, header):
    if not Path(header).is_file():
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", Path(header).read_text())
    known = {name: int(number) for name, number in found}
    known |= {"newfstatat": 79, "fstat": 80} if machine == "aarch64" else {}  # named by way of others there
    ours = {name: number for name, number in NUMBERS[machine].items() if name in known}
    assert len(ours) > 0.98 * len(NUMBERS[machine])  # old headers lack the newest calls
    assert ours == {name: known[name] for name in ours}
    assert len(set(NUMBERS[machine].values())) == len(NUMBERS[machine])


def test_every_call_is_in_one_group_and_has_a_number():
    groups = [*ALLOWED, *(check.name for check in checked(1, (0,), (1,))), "clone", *REFUSED, *KILLED]
    assert len(groups) == len(set(groups))
    assert set(groups) == {name for numbers in NUMBERS.values() for name in numbers}


def decide(program, machine, number, arguments=(), audit=None):
    """What a filter answers to a call: an interpreter of classic BPF that knows nothing of how filters are made."""
    data = struct.pack("<IIQ6Q", number, audit or AUDIT[machine], 0, *[*arguments, *[0] * 6][:6])
    instructions = list(struct.iter_unpack("<HBBI", program))
    at, accumulator = 0, 0
    while True:
        code, yes, no, constant = instructions[at]
        at += 1
        if code == 0x06:
            return constant
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, constant)[0]
        elif code == 0x54:
            accumulator &= constant
        else:
            assert code in (0x15, 0x35)
            at += yes if (accumulator == constant if code == 0x15 else accumulator >= constant) else no


ALLOW, KILL = 0x7FFF0000, 0x80000000


@pytest.mark.parametrize("machine", sorted(NUMBERS))
def test_the_filter_decides_as_the_table_says(machine):
    numbers = NUMBERS[machine]
    program = seccomp.build(machine, 77, (0, 5), (1, 2, 6))
    assert len(program) // 8 < 4096  # the kernel's limit

    def decision(name, *arguments):
        return decide(program, machine, numbers[name], arguments)

    for name in ALLOWED:
        assert name not in numbers or decision(name) == ALLOW
    for name, error in REFUSED.items():
        assert name not in numbers or decision(name) == 0x50000 | error
    for name in KILLED:
        assert name not in numbers or decision(name) == KILL
    assert decide(program, machine, 999) == 0x50000 | errno.ENOSYS
    assert decide(program, machine, numbers["read"], (5,), audit=0x40000003) == KILL  # 32-bit x86
    assert decide(program, machine, 0x40000000 | numbers["read"], (5,)) == KILL  # x32

    refused = 0x50000 | errno.EPERM
    for fd in range(8):
        assert decision("read", fd) == (ALLOW if fd in (0, 5) else refused)
        assert decision("write", fd) == (ALLOW if fd in (1, 2, 6) else refused)
    for pid in (0, 1, 76, 78, 2**32 - 1):
        assert decision("kill", pid, 9) == decision("tgkill", pid, 5, 9) == refused
    assert decision("kill", 77, 9) == decision("tgkill", 77, 5, 9) == ALLOW
    assert decision("clone", 0x11) == decision("clone", 0x10000011) == KILL
    assert decision("clone", 0x3D0F00) == 0x50000 | errno.EAGAIN
    assert decision("prlimit64", 0, 7, 0, 4096) == decision("prlimit64", 77, 7, 0, 4096) == ALLOW
    for who, new in ((0, 4096), (77, 2**32), (1, 0), (76, 0)):
        assert decision("prlimit64", who, 7, new, 0) == refused
    assert decision("mmap", 0, 4096, 3, 0x22) == decision("mmap", 0, 4096, 5, 0x02) == ALLOW
    assert decision("mmap", 0, 4096, 3, 0x40022) == decision("mmap", 0, 4096, 3, 0x2022) == refused
    assert decision("madvise", 0, 4096, 4) == ALLOW
    assert decision("madvise", 0, 4096, 100) == 0x50000 | errno.EINVAL  # hwpoison
    assert decision("fcntl", 3, 1) == ALLOW
    assert decision("fcntl", 3, 4) == decision("fcntl", 3, 1024) == refused
    assert decision("prctl", 15) == ALLOW
    assert decision("prctl", 22) == decision("prctl", 1) == decision("prctl", 4) == refused


# ---------------------------------------------------------------------------------------------------------------------
# each layer where the others are not


def test_landlock_alone_leaves_no_file_and_no_connection(tmp_path):
    (tmp_path / "secret").write_text("x")
    result = run_python(f"""
        import ctypes, os, socket
        from rewardgen.sandbox import landlock
        listener = socket.create_server(("127.0.0.1", 0))
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
        landlock.restrict()
        tries = [
            lambda: open({str(tmp_path / "secret")!r}), lambda: open({str(tmp_path / "new")!r}, "w"),
            lambda: os.listdir("/"), lambda: os.unlink({str(tmp_path / "secret")!r}),
            lambda: os.mkdir({str(tmp_path / "folder")!r}), lambda: os.execv("/bin/true", ["true"]),
        ]
        if landlock.version() >= 4:
            tries.append(lambda: socket.create_connection(listener.getsockname()))
            tries.append(lambda: socket.create_server(("127.0.0.1", 0)))
        if landlock.version() >= 6:
            tries.append(lambda: os.kill(os.getppid(), 0))
        for number, attempt in enumerate(tries):
            try:
                attempt()
            except PermissionError:
                continue
            raise SystemExit(f"number {{number}} worked")
    """)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "secret").exists()


ENDS, REFUSED_ONLY = -31, 3  # SIGSYS; an exception

ATTEMPTS = {
    "os.fork()": ENDS,
    "os.execv('/bin/true', ['true'])": ENDS,
    "socket.socket()": ENDS,
    "ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)": ENDS,
    "ctypes.CDLL(None).unshare(0x10000000)": ENDS,
    "os.open('/', 0)": REFUSED_ONLY,
    "os.stat('/')": REFUSED_ONLY,
    "os.listdir('/')": REFUSED_ONLY,
    "os.readlink('/proc/self/exe')": REFUSED_ONLY,
    "os.getcwd()": REFUSED_ONLY,
    "os.memfd_create('x')": REFUSED_ONLY,
    "os.pipe()": REFUSED_ONLY,
    "os.dup(1)": REFUSED_ONLY,
    "os.uname()": REFUSED_ONLY,
    "os.kill(os.getppid(), 9)": REFUSED_ONLY,
    "os.kill(-1, 9)": REFUSED_ONLY,
    "os.setpriority(0, 0, 5)": REFUSED_ONLY,
    "resource.prlimit(os.getppid(), 7, (0, 0))": REFUSED_ONLY,
    "resource.setrlimit(7, (9, 9))": REFUSED_ONLY,
    "threading.Thread(target=print).start()": REFUSED_ONLY,
    "time.sleep(0)": 4,
    "os.kill(os.getpid(), 0)": 4,
}


def test_the_filter_alone():
    result = run_python(f"""
        import ctypes, os, resource, socket, threading, time
        from rewardgen.sandbox import seccomp
        for attempt in {list(ATTEMPTS)!r}:
            child = os.fork()
            if child == 0:
                compiled = compile(attempt, "attempt", "eval")
                ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
                seccomp.install(seccomp.build(seccomp.architecture(), os.getpid(), (0,), (1, 2)))
                try:
                    eval(compiled)
                except (OSError, ValueError, RuntimeError):
                    os._exit(3)
                os._exit(4)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert result.returncode == 0, result.stderr
    assert dict(zip(ATTEMPTS, map(int, result.stdout.split()), strict=True)) == ATTEMPTS


def test_all_together_in_a_worker(start, transitions):
    program = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def compute_reward(s, a, n):
    raise ValueError([libc.prctl(39, 0, 0, 0, 0), libc.prctl(21, 0, 0, 0, 0), libc.prctl(3, 0, 0, 0, 0)])
"""
    worker = start(program)
    worker.submit(*transitions)
    with pytest.raises(RewardFailed, match=r"\[1, 2, 0\]"):  # no new privileges, filtered, not dumpable
        worker.result()


# ---------------------------------------------------------------------------------------------------------------------
# where something is missing


CONTAINER = """
    import ctypes, errno, os, struct
    from rewardgen.sandbox import seccomp
    from rewardgen.sandbox.syscalls import NUMBERS
    numbers = NUMBERS[seccomp.architecture()]
    refused = {{numbers[name]: error for name, error in {refused!r}.items()}}
    program = struct.pack("=HBBI", 0x20, 0, 0, 0)
    for number, error in refused.items():
        program += struct.pack("=HBBIHBBI", 0x15, 0, 1, number, 0x06, 0, 0, 0x50000 | error)
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
    seccomp.install(program + struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))

    import torch
    from rewardgen.errors import SandboxError
    from rewardgen.records import Field, Layout, RewardProgram
    from rewardgen.sandbox import Sandbox, layers
    program = RewardProgram("def compute_reward(s, a, n): return n.h, {{}}")
    layout = Layout((Field("h", (), "m", ""),))
    rows = torch.arange(4.0)[:, None]

    def labels(level):
        with Sandbox(level=level) as box, box.open(program, layout, 1, 4) as worker:
            print("notice:", box.notice)
            worker.submit(rows, rows, rows)
            worker.result()
            print("in force:", *worker.confinement, sep=" | ")

    if __name__ == "__main__":
        for level in ("strict", "basic"):
            try:
                labels(level)
            except SandboxError as error:
                print("refused:", error)
"""


def in_a_container(refused):
    """The lines printed where the kernel answers ``refused`` with errors, as containers and older kernels do."""
    result = run_python(CONTAINER.format(refused=refused))
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_strict_refuses_where_landlock_is_missing_and_basic_says_what_it_gives_up():
    refusal, notice, in_force = in_a_container({"landlock_create_ruleset": errno.ENOSYS})
    assert refusal.startswith("refused: the sandbox cannot be strict on this machine: no landlock, which stops reading")
    assert "--sandbox basic" in refusal
    assert notice.startswith("notice: the sandbox is basic: no landlock: a program is not stopped from reading")
    assert "landlock" not in in_force and "system-call filter" in in_force


def test_strict_needs_no_namespaces():
    notice, in_force, *again = in_a_container({"unshare": errno.EPERM})
    assert notice == "notice: "
    assert "landlock | " in in_force and "namespace" not in in_force and "empty root" not in in_force
    assert again == [notice, in_force]


@pytest.mark.slow
def test_without_a_proc_of_ones_own_the_other_namespaces_remain():
    lines = in_a_container({"mount": errno.EPERM})
    assert "process namespace" not in lines[1] and "mount namespace" not in lines[1]
    assert ("network namespace" in lines[1]) == any(layer.in_force for layer in layers() if "network" in layer.name)


# ---------------------------------------------------------------------------------------------------------------------
# what is told


def test_layers_are_reported():
    found = layers()
    assert {layer.name for layer in found} >= {"landlock", "system-call filter", "limits", "network namespace"}
    assert all(layer.in_force for layer in found if layer.required)
    for layer in LAYERS:
        assert layer.stops and layer.needs
    assert names_of(flags_of({"landlock", "limits"})) == ("limits", "landlock")
    assert default_level() == "strict"


def test_a_server_without_the_layers_is_not_used(monkeypatch):
    """A worker says what is in force before it runs anything; one that says too little is not used."""
    from rewardgen.sandbox import fork as module

    weaker = module._BOOTSTRAP.replace(
        "from rewardgen.sandbox.server",
        "from rewardgen.sandbox import confine\nconfine._landlock = lambda: False\nfrom rewardgen.sandbox.server",
    )
    monkeypatch.setattr(module, "_BOOTSTRAP", weaker)
    with Sandbox() as box, pytest.raises(SandboxError, match="no landlock"):
        box.open(RewardProgram(""), LAYOUT, ACTIONS, ROWS)


# ---------------------------------------------------------------------------------------------------------------------
# for whom


@pytest.mark.slow
def test_an_ordinary_user_gets_the_same_layers():
    if os.geteuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    candidates = [sys.executable, shutil.which(f"python{sys.version_info[0]}.{sys.version_info[1]}", path="/usr/bin")]
    paths = [str(Path(torch.__file__).parents[1])]
    options = {"user": 65534, "group": 65534, "extra_groups": []}
    for candidate in filter(None, candidates):
        try:
            usable = run_python("import torch, rewardgen.sandbox", executable=candidate, paths=paths, **options)
        except PermissionError:
            continue
        if usable.returncode == 0:
            break
    else:
        pytest.skip("no Python here that an ordinary user can start with torch")
    text = "import os\nassert os.geteuid() == 65534\n" + textwrap.dedent(CONTAINER.format(refused={}))
    result = run_python(text, executable=candidate, paths=paths, **options)
    assert result.returncode == 0, result.stderr
    notice, in_force, *_ = result.stdout.splitlines()
    assert notice == "notice: "
    ours = {layer.name for layer in layers() if layer.in_force} - {"own user"}
    assert set(in_force.removeprefix("in force: | ").split(" | ")) == ours
