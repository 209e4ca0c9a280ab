"""Run the fork server: a process with torch loaded, an empty environment and one thread, which forks workers.

It is started by ``ForkServer`` and ends when the parent's end of the control socket closes, however the parent ended.
It reads nothing that a program writes.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from pathlib import Path

import torch

from rewardgen.sandbox.child import serve_program
from rewardgen.sandbox.confine import adopt_orphans, probe
from rewardgen.sandbox.namespaces import Entered
from rewardgen.sandbox.protocol import CONTROL, FLAGS, OUTCOME, Areas, Operation, ServerAnswer
from rewardgen.sandbox.rehearsal import rehearse

_LOOK_UP_SECONDS = 2.0  # interval at which to check that the parent is alive


def serve(control_fd: int, entered: Entered) -> None:
    """Fork and end workers as the parent asks over the socket ``control_fd``; return when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    adopt_orphans()
    torch.set_num_threads(1)
    rehearse()
    os.environ.clear()
    control = socket.socket(fileno=control_fd)
    gc.collect()
    gc.freeze()  # so that garbage collection in a worker does not copy the shared pages
    server = Server(control, entered)
    threads = _threads()
    if len(threads) > 1:
        print("threads:", ", ".join(threads), file=sys.stderr, flush=True)
    control.sendall(
        OUTCOME.pack(ServerAnswer.READY, 0, len(threads)) + OUTCOME.pack(ServerAnswer.PROBED, 0, _probe(entered))
    )
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
            # The descriptors come with the first bytes; the rest of the message may follow
            while raw and len(raw) < CONTROL.size:
                more = self.control.recv(CONTROL.size - len(raw))
                if not more:
                    return
                raw += more
            if not raw:
                return
            operation, number, program, capacity, width, actions, memory, cpu = CONTROL.unpack(raw)
            if operation == Operation.OPEN:
                self.open(number, Areas(capacity, width, actions, program), memory, cpu, descriptors)
            else:
                self.end(number)

    def open(self, number: int, shape: Areas, memory: int, cpu: int, descriptors: list[int]) -> None:
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._close(descriptors)
            self.answer(ServerAnswer.FAILED, number, error.errno or 0)
            return
        if pid == 0:
            _become_worker(descriptors, shape, memory, cpu, server, self.entered)
        self._close(descriptors)
        self.workers[number] = pid
        self.answer(ServerAnswer.OPENED, number, pid)

    def end(self, number: int) -> None:
        """End a worker and its children, and send its wait status."""
        pid = self.workers.pop(number, None)
        status = _end(pid) if pid is not None else 0
        self.end_strays()
        self.answer(ServerAnswer.ENDED, number, status)

    def end_strays(self) -> None:
        """End processes that workers left behind: orphans become our children, and are not known workers."""
        known = set(self.workers.values())
        # Ending a stray may orphan its own children to us; the bound stops an endless race
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

    def answer(self, outcome: ServerAnswer, number: int, value: int) -> None:
        with contextlib.suppress(OSError):  # the next read of the socket will find the parent gone
            self.control.sendall(OUTCOME.pack(outcome, number, value))

    @staticmethod
    def _close(descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)


def _become_worker(descriptors: list[int], shape: Areas, memory: int, cpu: int, server: int, entered: Entered) -> None:
    """Turn the forked child into a worker: own session, only its own descriptors, then the program. Never returns."""
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        inputs, outputs, requests, answers, prints = descriptors
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for standard in (1, 2):
            os.dup2(prints, standard)
        root = entered.empty_root
        own = (inputs, outputs, requests, answers)
        # Close the control socket, too: a worker must not talk to the parent as the server
        _close_all_but({0, 1, 2, *own} | ({root} if root is not None else set()))
        serve_program(own, shape, memory, cpu, server, entered.names, root)
    finally:
        os._exit(0)


def _probe(entered: Entered) -> int:
    """Confine a child as a probe; return one bit per layer in force, 0 if confinement failed."""
    server = os.getpid()
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        probe(server, entered.names, entered.empty_root, receiving, sending)
    os.close(sending)
    raw = os.read(receiving, FLAGS.size)
    os.close(receiving)
    _end(child)
    return FLAGS.unpack(raw)[0] if len(raw) == FLAGS.size else 0


def _close_all_but(kept: set[int]) -> None:
    for name in os.listdir("/dev/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself is closed by now
                os.close(int(name))


def _end(pid: int) -> int:
    """Kill a process and its group, reap it and return its wait status."""
    if hasattr(os, "waitid"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # dead but not reaped: its id cannot be reused
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0


def _children() -> list[int]:
    """Return the ids of our children, zombies included; empty if the system does not list them."""
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _threads() -> list[str]:
    """Return the names of this process's threads; only "main" if the system does not list them."""
    try:
        return [Path(f"/proc/self/task/{thread}/comm").read_text().strip() for thread in os.listdir("/proc/self/task")]
    except OSError:
        return ["main"]
