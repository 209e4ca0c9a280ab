"""The fork server: a process with torch loaded, an empty environment and one thread, from which workers are forked.

It is started by ``Sandbox`` as ``python -I -c`` with this file's package made importable, and ends when the parent's
end of the control socket closes, whichever way the parent ended. Nothing that a program writes reaches it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Callable

import torch

from rewardgen.program import shaping
from rewardgen.program.allowlist import METHODS, MODULES
from rewardgen.sandbox.child import serve_program
from rewardgen.sandbox.confine import adopt_orphans, confine
from rewardgen.sandbox.namespaces import Entered
from rewardgen.sandbox.protocol import CONTROL, OUTCOME, Operation, Outcome, Shape

_FLAGS = struct.Struct("<i")
_LOOK_UP_SECONDS = 2.0  # how often to see whether the parent still is our parent


def serve(control_fd: int, entered: Entered) -> None:
    """Fork and end workers as the parent asks over the socket ``control_fd``; return when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    adopt_orphans()
    torch.set_num_threads(1)
    _rehearse()
    os.environ.clear()
    control = socket.socket(fileno=control_fd)
    gc.collect()
    gc.freeze()  # so that a worker's collector leaves the shared pages alone
    server = Server(control, entered)
    control.sendall(OUTCOME.pack(Outcome.READY, 0, _threads()) + OUTCOME.pack(Outcome.PROBED, 0, _probe(entered)))
    try:
        server.run()
    finally:
        server.end_all()


class Server:
    def __init__(self, control: socket.socket, entered: Entered) -> None:
        self.control, self.entered = control, entered
        self.workers: dict[int, int] = {}  # number → process id

    def run(self) -> None:
        while True:
            ready, _, _ = select.select([self.control], [], [], _LOOK_UP_SECONDS)
            if os.getppid() != self.entered.parent:
                return
            if not ready:
                self.end_strays()
                continue
            try:
                raw, descriptors, _, _ = socket.recv_fds(self.control, CONTROL.size, 5)
            except ConnectionError:
                return
            while raw and len(raw) < CONTROL.size:
                more = self.control.recv(CONTROL.size - len(raw))
                if not more:
                    return
                raw += more
            if not raw:
                return
            operation, number, program, capacity, width, actions, memory, cpu = CONTROL.unpack(raw)
            if operation == Operation.OPEN:
                self.open(number, Shape(capacity, width, actions, program), memory, cpu, descriptors)
            else:
                self.end(number)

    def open(self, number: int, shape: Shape, memory: int, cpu: int, descriptors: list[int]) -> None:
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._close(descriptors)
            self.answer(Outcome.FAILED, number, error.errno or 0)
            return
        if pid == 0:
            _become_worker(descriptors, shape, memory, cpu, server, self.entered)
        self._close(descriptors)
        self.workers[number] = pid
        self.answer(Outcome.OPENED, number, pid)

    def end(self, number: int) -> None:
        """End a worker and all that it started, and say how it ended."""
        pid = self.workers.pop(number, None)
        status = _end(pid) if pid is not None else 0
        self.end_strays()
        self.answer(Outcome.ENDED, number, status)

    def end_strays(self) -> None:
        """End what workers have started and left behind: it has come to us, and is no worker."""
        known = set(self.workers.values())
        for _ in range(64):
            strays = [pid for pid in _children() if pid not in known]
            if not strays:
                return
            for pid in strays:
                _end(pid)

    def end_all(self) -> None:
        for pid in self.workers.values():
            _end(pid)
        self.workers.clear()
        self.end_strays()

    def answer(self, outcome: Outcome, number: int, value: int) -> None:
        with contextlib.suppress(OSError):  # the next look at the socket finds the parent gone
            self.control.sendall(OUTCOME.pack(outcome, number, value))

    @staticmethod
    def _close(descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)


def _become_worker(descriptors: list[int], shape: Shape, memory: int, cpu: int, server: int, entered: Entered) -> None:
    """The forked side: a session of its own, no descriptors but its own, and then the program. Never returns."""
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        inputs, outputs, requests, answers, prints = descriptors
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for standard in (1, 2):
            os.dup2(prints, standard)
        root = entered.empty_root
        own = (inputs, outputs, requests, answers)
        _close_all_but({0, 1, 2, *own} | ({root} if root is not None else set()))
        serve_program(own, shape, memory, cpu, server, entered.names, root)
    finally:
        os._exit(0)


def _probe(entered: Entered) -> int:
    """The layers that are in force in a worker of this server: one bit for each, 0 where none could be set up."""
    server = os.getpid()
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            flags = confine(2**30, 60, server, entered.names, entered.empty_root, receiving, sending)
            os.write(sending, _FLAGS.pack(flags))
        except BaseException as error:
            print(f"a worker cannot be confined: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(0)
    os.close(sending)
    raw = os.read(receiving, _FLAGS.size)
    os.close(receiving)
    _end(child)
    return _FLAGS.unpack(raw)[0] if len(raw) == _FLAGS.size else 0


def _close_all_but(kept: set[int]) -> None:
    for name in os.listdir("/dev/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
                os.close(int(name))


def _end(pid: int) -> int:
    """Kill a process and its group and reap it; its wait status."""
    if hasattr(os, "waitid"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # dead but unreaped: its number cannot pass to another
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0


def _children() -> list[int]:
    """The process ids of our children, zombies included; none where the system does not tell."""
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _threads() -> int:
    """How many threads this process has; 1 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def _rehearse() -> None:
    """Use what rewards use once, so that what torch sets up at first use is there in every worker already.

    A worker can open no file: whatever is imported lazily must have been imported here.
    """
    import collections.abc
    import math
    import typing

    assert all((math, typing, collections.abc))  # rewards import them
    functional = torch.nn.functional
    x = torch.linspace(-1.0, 1.0, 128).view(8, 16)
    q = functional.normalize(x[:, :4], dim=-1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in shaping.__all__:
            function = getattr(shaping, name)
            if name.startswith("quat_rotate"):
                function(q, x[:, :3])
            elif name in ("quat_multiply", "quat_angle", "distance", "angle_difference"):
                function(q, q)
            elif name in ("above", "below"):
                function(x, 0.0, 1.0)
            elif name in ("exponential", "gaussian", "proximity"):
                function(x, 1.0)
            elif name == "tolerance":
                for shape in ("gaussian", "linear", "long_tail"):
                    function(x, -0.1, 0.1, 1.0, shape)
            else:
                function(q)
        functional.smooth_l1_loss(x, x * 2, reduction="none")
        for function in _allowed():
            for arguments in _arguments():
                with contextlib.suppress(Exception):  # most functions take one or two of them
                    function(*arguments)
        str(x)


def _allowed() -> list[Callable[..., object]]:
    """Every function and method of torch that the static check lets a reward call."""
    found = []
    for module, names in MODULES.items():
        if module.partition(".")[0] == "torch":
            owner: object = torch
            for part in module.split(".")[1:]:
                owner = getattr(owner, part)
            found += [getattr(owner, name, None) for name in sorted(names)]
    found += [getattr(torch.Tensor, name, None) for name in sorted(METHODS)]
    return [function for function in found if callable(function)]


def _arguments() -> list[tuple[object, ...]]:
    """Arguments that between them suit nearly all of those functions; fresh ones, for some write to them."""
    x = torch.linspace(0.1, 1.0, 16).view(4, 4)
    i = torch.tensor([0, 1, 2, 3])
    many = torch.linspace(-1.0, 1.0, 18).view(2, 3, 3)
    return [
        *[(x,), (x, x), (x, x, x), (x, 1), (x, 0, i), (x, 1.0, 2.0), (x, (4, 4)), (x, 0, 1, 2), (x, 0, i[:, None], x)],
        *[([x, x],), ("ij,jk->ik", x, x), (i,), (4,), (x, x > 0, x), (x[0], x[0]), (many, many), (many,)],
    ]


def main(entered: Entered) -> None:
    """``argv`` begins with the control socket's descriptor."""
    serve(int(sys.argv[1]), entered)
