"""The parent's end of one worker: submit transitions, collect labels or a failure. All output is checked."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rewardgen.errors import RewardFailed, SandboxError
from rewardgen.records import Labels, Layout, RewardProgram
from rewardgen.sandbox.layers import Level, missing, names_of, refusal
from rewardgen.sandbox.memory import InputArea, OutputArea
from rewardgen.sandbox.protocol import (
    ANSWER,
    FLOAT,
    INPUTS_CHANGED,
    NAME_BYTES,
    OUTPUT_BYTES,
    REQUEST,
    TEXT_BYTES,
    Areas,
    Kind,
    WorkerMessage,
    clean,
    parse_message,
    parse_names,
    parse_output,
)
from rewardgen.sandbox.wire import open_wire

START_SECONDS = 120.0
"""Time limit for a worker's process to start and be confined. A forked one takes milliseconds; one that has to load
torch from a cold disk, beside many others, takes long."""


@dataclass(frozen=True)
class SandboxLimits:
    """Limit a program: wall-clock seconds per call and for all its calls together, and GiB of memory.

    Memory is address space beyond that of an idle worker. The time of a call runs from ``submit`` (for the first call,
    from when the process is ready) until ``result`` has the answer; an answer that has arrived when ``result`` is
    called is never too late.
    """

    call_seconds: float = 10.0
    program_seconds: float = 1800.0
    memory_gb: float = 4.0

    @property
    def memory_bytes(self) -> int:
        return int(self.memory_gb * 2**30)

    @property
    def cpu_seconds(self) -> int:
        return math.ceil(self.program_seconds) + 1


class Worker:
    """Run one program in a process of its own (``child.WorkerProcess``). Made by ``Sandbox.open``; use from one thread.

    Args:
        terminate: ends the process and returns its exit code, None if the server is gone.
        start_errors: returns what the process wrote to standard error before it was confined.

    Attributes:
        names: the components' names, known after the first result.
        capacity: the maximum number of transitions per ``submit``.
        inputs_changed: whether the program wrote to its (private) copy of the inputs in the last call.
        confinement: the layers of confinement in force, known after the first result.
    """

    def __init__(
        self,
        program: RewardProgram,
        layout: Layout,
        action_size: int,
        capacity: int,
        limits: SandboxLimits,
        level: Level,
        terminate: Callable[[], int | None],
        start_errors: Callable[[], str],
    ) -> None:
        shown = layout.shown
        content = {"source": program.source, "fields": [[field.name, list(field.shape)] for field in shown.fields]}
        packed = json.dumps(content).encode()
        self.program, self.limits, self.capacity = program, limits, capacity
        self._width = layout.width
        self.shape = Areas(capacity, shown.width, action_size, len(packed))
        self.names: tuple[str, ...] = ()
        self.inputs_changed = False
        self.confinement: tuple[str, ...] = ()
        self._level = level
        self._terminate = terminate
        self._start_errors = start_errors
        self._failure: RewardFailed | SandboxError | None = None
        self._ready = False
        self._sequence = 0
        self._pending: tuple[int, float] | None = None  # rows, when it was submitted
        self._seconds = 0.0
        self._closed = False
        with contextlib.ExitStack() as undo:  # a process may run out of descriptors anywhere in here
            self._input = InputArea(self.shape, packed)
            undo.callback(self._input.close)
            self._output = OutputArea(self.shape)
            undo.callback(self._output.close)
            self._wire = open_wire()
            undo.pop_all()
        self._printed = bytearray()

    @property
    def descriptors(self) -> list[int]:
        """Return what the worker's process inherits: input and output areas, pipes for requests, answers and prints."""
        return [self._input.descriptor, self._output.descriptor, *self._wire.theirs]

    @property
    def output(self) -> str:
        """Return the beginning of what the program printed up to the last result, as lines of printable characters.

        It is untrusted text of the program: show it in the report, never act on it.
        """
        return parse_output(bytes(self._printed))

    def started(self) -> None:
        """Close our copies of the worker's descriptors once its process has them, so that its exit is noticed."""
        self._wire.handed_over()

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
        """Hand over transitions ``(B, width)``, ``(B, action_size)``, ``(B, width)`` float32; returns at once.

        Raises:
            ValueError: a shape is not as declared, or B is 0 or above the capacity.
            RuntimeError: the last result has not been collected, or the worker is closed.
        """
        self._check_open()
        if self._pending is not None:
            raise RuntimeError("submit() before the result() of the last one")
        rows = int(states.shape[0])
        if not 1 <= rows <= self.capacity:
            raise ValueError(f"{rows} transitions do not fit a worker that was opened for 1 to {self.capacity}")
        wanted = {"states": self._width, "actions": self.shape.action_size, "next_states": self._width}
        for (name, columns), given in zip(wanted.items(), (states, actions, next_states), strict=True):
            if given.shape != (rows, columns):
                raise ValueError(f"{name} must be ({rows}, {columns}), not {tuple(given.shape)}")
        self._pending = rows, time.monotonic()
        if self._failure is not None:
            return
        width = self.shape.width  # hidden fields come last and are not sent to the program
        self._input.states[:rows] = states[:, :width].detach()
        self._input.actions[:rows] = actions.detach()
        self._input.next_states[:rows] = next_states[:, :width].detach()
        self._sequence = (self._sequence + 1) % 2**32
        self._wire.send(REQUEST.pack(self._sequence, rows))

    def result(self) -> Labels:
        """Wait for the labels of what was submitted: reward ``(B,)`` and components ``(B, C)``, float32, all finite.

        Raises:
            RewardFailed: the program crashed, timed out, raised or returned no valid reward. The worker's process is
                ended, and every later result raises the same.
            SandboxError: the worker could not be set up, or the server died.
            RuntimeError: nothing was submitted, or the worker is closed.
        """
        self._check_open()
        if self._pending is None:
            raise RuntimeError("result() without a submit()")
        rows, since = self._pending
        self._pending = None
        if self._failure is None:
            try:
                return self._labels(rows, since)
            except (RewardFailed, SandboxError) as error:
                self._failure = error
                self._terminate()
            finally:
                self._seconds += time.monotonic() - since
                self._keep_prints()
        raise self._repeated(self._failure)

    def close(self) -> None:
        """End the process and release its resources. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._terminate()
        self._wire.close()
        self._input.close()
        self._output.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the worker is closed")

    def _keep_prints(self) -> None:
        """Read once from what was printed and keep it up to the limit."""
        self._printed += self._wire.printed()[: OUTPUT_BYTES + 1 - len(self._printed)]

    def _labels(self, rows: int, since: float) -> Labels:
        if not self._ready:
            self._confirm(self._receive(since + START_SECONDS))
            since = time.monotonic()  # start-up is not charged to the program
        # The tighter of the two limits: of one call, and what is left for all calls
        left = self.limits.program_seconds - self._seconds
        answer = self._receive(since + min(self.limits.call_seconds, left))
        if answer.kind != Kind.LABELS:
            raise self._reported_failure(answer)
        count = answer.components
        if answer.sequence != self._sequence or answer.rows != rows:
            raise self._interference("its answer does not fit the request")
        # Everything is copied out of shared memory before it is checked
        names = self._names(count)
        reward = self._floats(0, rows)
        components = self._floats(self.shape.components_at, rows * count).view(rows, count)
        self._check_finite("the reward", reward)
        for position, name in enumerate(names):
            self._check_finite(f"component {name}", components[:, position])
        self.names = names
        self.inputs_changed = bool(answer.flags & INPUTS_CHANGED)
        return Labels(reward, components, names)

    def _confirm(self, answer: WorkerMessage) -> None:
        """Check the first answer, which comes before the program has run: errors here are not the program's.

        Raises:
            SandboxError: the worker was not confined, or ``strict`` requires more layers.
        """
        if answer.kind != Kind.READY:
            raise SandboxError(f"a sandbox worker could not be confined: {self._text(answer) or 'it does not say why'}")
        self._ready = True
        self.confinement = names_of(answer.flags)
        if self._level == "strict" and (absent := missing(self.confinement)):
            raise SandboxError(refusal(absent))

    def _receive(self, deadline: float) -> WorkerMessage:
        try:
            raw = self._wire.receive(ANSWER.size, deadline)
        except TimeoutError:
            raise self._timeout_failure() from None
        if len(raw) < ANSWER.size:
            raise self._exit_failure()
        try:
            return parse_message(raw)
        except ValueError as error:
            raise self._interference(f"its answer is not valid ({error})") from error

    def _timeout_failure(self) -> RewardFailed | SandboxError:
        if not self._ready:
            return SandboxError(f"a sandbox worker was not ready within {START_SECONDS:g} s")
        if self._seconds + self.limits.call_seconds > self.limits.program_seconds:
            limit = f"its calls together took longer than the {self.limits.program_seconds:g} s that a program has"
        else:
            limit = f"one call took longer than {self.limits.call_seconds:g} s"
        return RewardFailed("timeout", f"{limit}: use tensor operations on whole columns instead of loops over rows")

    def _exit_failure(self) -> RewardFailed | SandboxError:
        code = self._terminate()
        if code is None:
            return SandboxError("the sandbox's server died and its workers with it; start again")
        if not self._ready:
            return SandboxError(
                f"a sandbox worker ended before it ran anything ({_ending(code)}{self._start_errors()})"
            )
        # Windows has neither signal: 0 matches no exit code here
        if code == -getattr(signal, "SIGXCPU", 0) != 0:
            seconds = self.limits.cpu_seconds
            return RewardFailed("timeout", f"its calls together took more than {seconds} s of CPU time")
        if code == -getattr(signal, "SIGSYS", 0) != 0:
            return RewardFailed(
                "crash",
                "the sandbox ended the program: it asked the system for what no reward needs (a process, a connection, "
                "a right); compute from state, action and next_state only",
            )
        return RewardFailed("crash", f"the program's process ended without giving a reward ({_ending(code)})")

    def _reported_failure(self, answer: WorkerMessage) -> RewardFailed | SandboxError:
        # The line is the program's claim: use it only if there is such a line
        line = answer.line if answer.line and answer.line <= self.program.source.count("\n") + 1 else None
        text = self._text(answer)
        if answer.kind == Kind.MEMORY:
            text = f"it needs more than the {self.limits.memory_gb:g} GiB that a program has: avoid (n, n) tensors"
            return RewardFailed("memory", text, line)
        if answer.kind == Kind.OUTPUT:
            return RewardFailed("output", text or "it gave something that is no reward", line)
        if answer.kind != Kind.EXCEPTION:
            return self._interference("it answered out of turn")
        # Quote the line of code that raised
        code = clean(self.program.source.split("\n")[line - 1].encode()) if line else ""
        return RewardFailed("exception", f"{text or 'an exception'}, in: {code[:160]}" if code else text, line)

    def _text(self, answer: WorkerMessage) -> str:
        return clean(bytes(self._output.read(self.shape.text_at, min(answer.text_bytes, TEXT_BYTES))))

    def _names(self, count: int) -> tuple[str, ...]:
        try:
            names = parse_names(bytes(self._output.read(self.shape.names_at, count * NAME_BYTES)), count)
        except ValueError as error:
            raise self._interference(str(error)) from error
        if self.names and names != self.names:
            raise RewardFailed("output", "the component names must be the same in every call")
        return names

    def _floats(self, start: int, count: int) -> Tensor:
        raw = self._output.read(start, count * FLOAT)
        if len(raw) != count * FLOAT:
            raise self._interference("its output was cut short")
        return torch.frombuffer(raw, dtype=torch.float32) if count else torch.empty(0)

    def _check_finite(self, what: str, values: Tensor) -> None:
        bad = ~torch.isfinite(values)
        if bad.any():
            count, first = int(bad.sum()), int(bad.nonzero()[0])
            kind = "NaN" if bool(torch.isnan(values[first])) else "infinite"
            raise RewardFailed(
                "output",
                f"{what} is {kind} in {count} of {len(values)} transitions: keep divisors, roots and logarithms away "
                "from 0 and exponents bounded (clamp)",
            )

    def _interference(self, how: str) -> RewardFailed | SandboxError:
        if not self._ready:
            return SandboxError(f"a sandbox worker could not be confined: {how}")
        return RewardFailed("crash", f"the program interfered with its worker: {how}")

    @staticmethod
    def _repeated(failure: RewardFailed | SandboxError) -> RewardFailed | SandboxError:
        if isinstance(failure, RewardFailed):
            # A new exception each time: raising the same one again would grow its traceback
            return RewardFailed(failure.kind, str(failure), failure.line)
        return SandboxError(str(failure))


def _ending(code: int) -> str:
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit status {code}" if code < 2**16 else f"exit status {code:#x}"  # Windows reports faults as large codes
