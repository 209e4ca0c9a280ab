"""Where attacks are tried: a real sandbox with another candidate beside the attacker, and things that must stay as
they are. After each attack ``Arena.unharmed`` proves that they did.

What is watched: a directory that every user may write to, the processes below this one, listeners for TCP, datagrams
and Unix sockets, this process's environment, directory, limits and descriptors, the server's limits, the kernel's
shared objects, and the labels that the other candidate gives, bit for bit.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from rewardgen.errors import ProgramRejected, RewardFailed
from rewardgen.program import check, extract
from rewardgen.records import Layout, RewardProgram
from rewardgen.sandbox import Sandbox, SandboxLimits, smoke_test
from tests.sandbox.processes import alive, children, descriptors, mapped, server_of

CALL_SECONDS = 1.5
LIMITS = SandboxLimits(call_seconds=CALL_SECONDS, program_seconds=600.0, memory_gb=2.0)
SECRET = "correct-horse-battery-staple"
ROWS = 64

# Where an attack ends, in the order in which it meets them.
LAYERS = ("check", "process", "wire", "deadline", "smoke", "harmless")

NEIGHBOUR = """
def compute_reward(state, action, next_state):
    near = torch.exp(-next_state.{field}.reshape(len(state), -1).square().sum(-1))
    effort = -0.1 * action.square().sum(-1)
    return near + effort, {{"near": near, "effort": effort}}
"""

PROBES = {
    "paths": "os.mkdir('@canary@/probe')",
    "processes": "os._exit(0) if os.fork() == 0 else None",
    "others": "os.kill(@parent@, 0)",
    "root": "os.setuid(0)",
    "namespaces": "assert __import__('ctypes').CDLL(None).unshare(0x10000000) == 0",
}


@dataclass(frozen=True)
class Verdict:
    """The layer that an attack ended in, and everything that came back from it as text."""

    layer: str
    texts: tuple[str, ...]

    def says(self, word: str) -> bool:
        """Whether ``word`` came back, other than in a quotation of the attack's own source."""
        return any(word in text.split(", in: ")[0] for text in self.texts)


class Arena:
    """A sandbox, another candidate, and what must not change. A context manager."""

    def __init__(self, layout: Layout, action_size: int) -> None:
        self.layout, self.action_size = layout, action_size
        generator = torch.Generator().manual_seed(7)
        sizes = (layout.width, action_size, layout.width)
        self.transitions = tuple(0.3 * torch.randn(ROWS, size, generator=generator) for size in sizes)

    def __enter__(self) -> Arena:
        self.box = Sandbox(LIMITS)
        program = check(NEIGHBOUR.format(field=self.layout.fields[0].name), self.layout)
        self.neighbour = self.box.open(program, self.layout, self.action_size, ROWS)
        self.canary = Path(tempfile.mkdtemp(prefix="arena-"))
        self.listeners = [
            socket.socket(),
            socket.socket(type=socket.SOCK_DGRAM),
            *(socket.socket(socket.AF_UNIX) for _ in range(2)),
        ]
        tcp, datagrams, abstract, path = self.listeners
        tcp.bind(("127.0.0.1", 0))
        datagrams.bind(("127.0.0.1", tcp.getsockname()[1]))
        abstract.bind(f"\0{self.canary.name}")
        path.bind(str(self.canary / "socket"))
        for listener in (tcp, abstract, path):
            listener.listen()
        for listener in self.listeners:
            listener.setblocking(False)
        self._fill_canary()
        self.labels = self._neighbours_labels()
        self.server = server_of(self.box)
        (self.neighbours_pid,) = children(self.server)
        self.before = self._seen()
        return self

    def __exit__(self, *exception: object) -> None:
        for listener in self.listeners:
            listener.close()
        self.box.close()
        shutil.rmtree(self.canary, ignore_errors=True)

    def filled_in(self, text: str) -> str:
        """An attack's text, aimed at this arena."""
        targets = {
            "canary": self.canary,
            "CANARY": self.canary,
            "port": self.listeners[0].getsockname()[1],
            "abstract": self.canary.name,
            "parent": os.getpid(),
            "server": self.server,
            "neighbour": self.neighbours_pid,
        }
        for name, value in targets.items():
            text = text.replace(f"@{name}@", str(value))
        return text.replace("127.0.0.1:48123", f"127.0.0.1:{self.listeners[0].getsockname()[1]}")

    @cached_property
    def open_doors(self) -> set[str]:
        """Which harmless attempts succeed: attacks of their kind must not be tried here, they would do damage."""
        found = set()
        for name, attempt in PROBES.items():
            text = f"import os\ndef compute_reward(state, action, next_state):\n    {attempt}\n    return 1, {{}}"
            with self._open(self.filled_in(text)) as worker:
                worker.submit(*self.transitions)
                try:
                    worker.result()
                except RewardFailed as failure:
                    if failure.kind == "output":  # it got as far as the return
                        found.add(name)
        if "paths" in found:
            (self.canary / "probe").rmdir()
            self._fill_canary()
            self.before = self._seen()
        return found

    def whole_path(self, reply: str) -> Verdict:
        """Try an attack as the search would: extraction, static check, then a worker and the smoke test."""
        try:
            source = check(extract(self.filled_in(reply)), self.layout).source
        except ProgramRejected as rejected:
            assert len(rejected.problems) <= 21 and len(str(rejected)) < 20_000
            return Verdict("check", tuple(problem.message for problem in rejected.problems))
        return self._in_a_worker(source)

    def alone(self, source: str) -> Verdict:
        """Try an attack with the static check switched off."""
        return self._in_a_worker(self.filled_in(source))

    def unharmed(self, verdict: Verdict) -> None:
        """Nothing outside has changed, and nothing that is secret came back."""
        assert verdict.layer == "check" or not verdict.says("PWNED "), verdict  # what an attack that succeeds raises
        assert not verdict.says(SECRET), verdict
        assert all(text.isprintable() and len(text) < 8_000 for text in verdict.texts)
        for listener in self.listeners:
            try:
                heard = listener.recv(1) if listener.type == socket.SOCK_DGRAM else listener.accept()
            except BlockingIOError:
                continue
            raise AssertionError(f"{listener} heard {heard}")
        self._same_labels()
        now = self._seen()
        assert {name: now[name] for name in now if now[name] != self.before[name]} == {}

    # ---------------------------------------------------------------------------------------------------------------

    def _open(self, source: str):
        return self.box.open(RewardProgram(source), self.layout, self.action_size, ROWS)

    def _in_a_worker(self, source: str) -> Verdict:
        with self._open(source) as worker:
            worker.submit(*self.transitions)
            self._same_labels()  # while the attacker runs
            try:
                labels = worker.result()
                problems = smoke_test(worker, self.layout, *self.transitions, call_seconds=CALL_SECONDS / 4)
                if problems:
                    worker.submit(*self.transitions)
                    worker.result()  # a worker that failed says so again
            except RewardFailed as failure:
                layer = {"timeout": "deadline", "output": "wire"}.get(failure.kind, "process")
                texts = (str(failure), *worker.output.splitlines())
                return Verdict("wire" if "interfered" in str(failure) else layer, texts)
            assert labels.reward.dtype == labels.components.dtype == torch.float32
            assert bool(torch.isfinite(labels.reward).all() and torch.isfinite(labels.components).all())
            texts = (*labels.names, *(problem.message for problem in problems), *worker.output.splitlines())
            return Verdict("smoke" if problems else "harmless", texts)

    def _neighbours_labels(self) -> list[bytes]:
        self.neighbour.submit(*self.transitions)
        labels = self.neighbour.result()
        return [labels.reward.numpy().tobytes(), labels.components.numpy().tobytes()]

    def _same_labels(self) -> None:
        assert self._neighbours_labels() == self.labels, "another candidate's labels have changed"

    def _fill_canary(self) -> None:
        inside = self.canary / "precious_dir"
        inside.mkdir(exist_ok=True)
        (inside / "inside.txt").write_text("precious")
        (self.canary / "secret.txt").write_text(SECRET)
        touch = f"touch {self.canary}/PWNED_by_pickle"
        evil = b"cposix\nsystem\n(V" + touch.encode() + b"\ntR."
        for name in ("evil.pt", "evil.npy", "evil.so"):
            (self.canary / name).write_bytes(evil)
        (self.canary / "evil_module.py").write_text(f"import os\nos.system({touch!r})\n")
        for path in (self.canary, *self.canary.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)  # so that it is not the file system that refuses

    def _seen(self) -> dict[str, object]:
        """Everything that is watched, as it is now."""
        files = {}
        for path in (self.canary, *sorted(self.canary.rglob("*"))):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            files[path.name] = (status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns, content)
        limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
        return {
            "files": files,
            "processes": (alive(self.server), children(self.server), server_of(self.box)),
            "children": [pid for pid in children(os.getpid()) if alive(pid)],
            "descriptors": (descriptors("self"), descriptors(self.server), mapped()),
            "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
            "directory": os.getcwd(),
            "limits": {name: resource.getrlimit(getattr(resource, name)) for name in limits},
            "server's limits": Path(f"/proc/{self.server}/limits").read_text(),
            "priorities": [
                (os.getpriority(os.PRIO_PROCESS, pid), os.sched_getaffinity(pid), os.sched_getscheduler(pid))
                for pid in (os.getpid(), self.server, self.neighbours_pid)
            ],
            "shared objects": [Path(f"/proc/sysvipc/{kind}").read_text().count("\n") for kind in ("shm", "msg", "sem")],
            "/dev/shm": sorted(name for name in os.listdir("/dev/shm") if "PWNED" in name),
            "randomness": bytes(torch.get_rng_state().numpy()),
            "default type": torch.get_default_dtype(),
        }
