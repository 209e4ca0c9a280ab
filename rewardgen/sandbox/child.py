"""Run one reward program inside a worker process. Never imported in the parent.

The worker copies transitions out of a read-only shared area, calls the program, and writes the labels and a fixed-size
answer. Any failure of the program is reported as an answer; if even that fails, the process ends, which the parent
notices.
"""

from __future__ import annotations
import __future__

import contextlib
import errno
import io
import json
import math
import mmap
import os
import struct
import sys
import time
import types
import warnings
from typing import Any

import torch
from torch import Tensor

from rewardgen.program import shaping
from rewardgen.program.components import MAX_COMPONENTS, is_component_name, name_message, number_message
from rewardgen.records import Field, Layout, State
from rewardgen.sandbox.confine import confine
from rewardgen.sandbox.memory import matrices
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
)
from rewardgen.sandbox.rehearsal import rehearse

FILENAME = "<reward>"


class Printed(io.RawIOBase):
    """Write a program's prints to the pipe behind standard output, up to a limit; drop the rest. Never fails.

    The limit is one byte above what the parent keeps, so that the parent can tell that output was dropped. It is far
    below the capacity of a pipe, so that nothing is lost before the limit.
    """

    room = OUTPUT_BYTES + 1

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with memoryview(data) as view, view.cast("B") as given:
            with contextlib.suppress(OSError):  # the program may have filled the pipe with os.write
                taken = bytes(given[: self.room])
                self.room -= os.write(1, taken) if taken else 0
            return len(given)


class OutputError(Exception):
    """The program returned something that is not a reward; the message tells its author what is wrong."""


def serve_program(
    descriptors: tuple[int, int, int, int],
    shape: Areas,
    memory: int,
    cpu_seconds: int,
    server: int,
    around: tuple[str, ...],
    empty_root: int | None,
) -> None:
    """Serve one program until the parent closes the request pipe.

    Args:
        descriptors: of the input area, the output area, the pipe of requests and the pipe of answers.
        memory, cpu_seconds, server, around, empty_root: limits and surroundings of the process, see ``confine``.
    """
    inputs_fd, outputs_fd, requests, answers = descriptors
    worker = WorkerProcess(shape, inputs_fd, outputs_fd, answers)
    os.close(inputs_fd)
    os.close(outputs_fd)
    try:
        # Confine first: nothing of the program may run before the sandbox is complete
        in_force = confine(memory, cpu_seconds, server, around, empty_root, requests, answers)
    except BaseException as error:
        worker.answer(Kind.UNCONFINED, text=f"{type(error).__name__}: {error}")
        return
    worker.answer(Kind.READY, flags=in_force)
    _catch_prints()
    worker.load()
    while True:
        raw = os.read(requests, REQUEST.size)
        if len(raw) < REQUEST.size:
            return
        sequence, rows = REQUEST.unpack(raw)
        worker.label(sequence, rows)


def spawned(descriptors: list[int], arguments: list[int]) -> None:
    """Serve as the worker that ``Spawner.open`` has started as a fresh process. Never returns."""
    # As ``Spawner.open`` packs them
    inputs, outputs, requests, answers, prints = descriptors
    capacity, width, action_size, program, memory, cpu_seconds, parent = arguments
    torch.set_num_threads(1)
    rehearse()
    # Only start-up needed the environment; the program gets none
    os.environ.clear()
    for standard in (1, 2):
        os.dup2(prints, standard)
    os.close(prints)
    cpu_seconds += math.ceil(time.process_time())  # CPU time of start-up is not charged to the program
    try:
        own = (inputs, outputs, requests, answers)
        serve_program(own, Areas(capacity, width, action_size, program), memory, cpu_seconds, parent, (), None)
    finally:
        os._exit(0)


class WorkerProcess:
    """The program in its own process, with the worker's end of the two shared areas. ``Worker`` is the parent's end."""

    def __init__(self, shape: Areas, inputs_fd: int, outputs_fd: int, answers: int) -> None:
        self.shape, self.answers = shape, answers
        area = mmap.mmap(inputs_fd, shape.input_bytes, access=mmap.ACCESS_READ)
        self.out = mmap.mmap(outputs_fd, shape.output_bytes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that the area is read-only, which is intended
            self.shared = matrices(area, shape)
        content = json.loads(area[shape.floats * FLOAT :])
        fields = (Field(name, tuple(size), "", "") for name, size in content["fields"])
        self.layout = Layout(tuple(fields))
        self.source: str = content["source"]
        self.names: list[str] | None = None
        self.function: Any = None
        self.failure: BaseException | None = None

    def load(self) -> None:
        """Compile the program and run its top level; a failure is kept and reported at the first request."""
        try:
            # Annotations are not evaluated: rewards often name types that they did not import
            flags = __future__.annotations.compiler_flag
            code = compile(self.source, FILENAME, "exec", flags=flags, dont_inherit=True)
            module = types.ModuleType("reward")
            module.__dict__.update({name: getattr(shaping, name) for name in shaping.__all__}, torch=torch)
            module.__dict__["math"] = sys.modules["math"]
            exec(code, module.__dict__)  # noqa: S102 - a confined worker is the one place for it
            self.function = module.__dict__.get("compute_reward")
            if not callable(self.function):
                raise OutputError("there is no function compute_reward(state, action, next_state)")
        except BaseException as error:
            self.failure = error

    def label(self, sequence: int, rows: int) -> None:
        """Call the program on the first ``rows`` transitions of the input area and send the answer."""
        if self.failure is not None:
            self.answer_failure(sequence, self.failure)
            return
        try:
            # Copy the inputs: the shared area is read-only, and a program may try to write in place
            shared = [matrix[:rows] for matrix in self.shared]
            states, actions, next_states = (matrix.clone() for matrix in shared)
            with torch.no_grad():
                result = self.function(State(self.layout, states), actions, State(self.layout, next_states))
                reward, components = self.parse_result(result, rows)
                self.write_labels(reward, components, rows)
            # Compare the copies with the originals to see whether the program changed its inputs
            private = (states, actions, next_states)
            changed = not all(_same_bits(mine, given) for mine, given in zip(private, shared, strict=True))
        except BaseException as error:
            self.answer_failure(sequence, error)
            return
        self.answer(Kind.LABELS, sequence, rows, len(components), flags=INPUTS_CHANGED if changed else 0)

    def parse_result(self, result: object, rows: int) -> tuple[Tensor, list[Tensor]]:
        """Check a program's result and split it into reward and components, in the order of the first call.

        Raises:
            OutputError: a type, shape, dtype or component name is wrong.
        """
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            shown = f"a tuple of {len(result)}" if isinstance(result, tuple) else f"a {type(result).__name__}"
            raise OutputError(f"compute_reward must return (total, dictionary of components); it returned {shown}")
        # The first call fixes the order of the names; later calls may return them in another order
        total, parts = result
        reward = _rows(total, "the total reward", rows, exact=True)
        names = list(parts)
        if self.names is None:
            _check_names(names)
            self.names = names
        elif set(names) != set(self.names):
            raise OutputError("the component names differ from call to call: return the same names every time")
        return reward, [_rows(parts[name], f"component {name}", rows, exact=False) for name in self.names]

    def write_labels(self, reward: Tensor, components: list[Tensor], rows: int) -> None:
        """Write the rewards, then the components as (rows, C), then their names to the shared output area."""
        out = torch.frombuffer(self.out, dtype=torch.float32, count=self.shape.names_at // FLOAT)
        out[:rows] = reward
        if components:
            start = self.shape.components_at // FLOAT
            torch.stack(components, dim=1, out=out[start : start + rows * len(components)].view(rows, len(components)))
        for position, name in enumerate(self.names or ()):
            start = self.shape.names_at + position * NAME_BYTES
            self.out[start : start + NAME_BYTES] = name.encode().ljust(NAME_BYTES, b"\0")

    def answer_failure(self, sequence: int, error: BaseException) -> None:
        """Send what went wrong, with the line of the program if it is known."""
        line = _line(error)
        if isinstance(error, OutputError):
            self.answer(Kind.OUTPUT, sequence, line=line, text=str(error))
        elif _is_memory(error):
            self.answer(Kind.MEMORY, sequence, line=line, text="")
        elif isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.EACCES, errno.EPERM):
            text = (
                f"{type(error).__name__}: a reward can open no files and no connections, and reach no process: "
                "compute from state, action and next_state only"
            )
            self.answer(Kind.EXCEPTION, sequence, line=line, text=text)
        else:
            try:
                # The program may define its own exceptions, whose __str__ may raise
                said = str(error)
            except BaseException:
                said = ""
            name = type(error).__name__
            self.answer(Kind.EXCEPTION, sequence, line=line, text=f"{name}: {said}" if said else name)

    def answer(
        self,
        kind: Kind,
        sequence: int = 0,
        rows: int = 0,
        components: int = 0,
        line: int = 0,
        text: str = "",
        flags: int = 0,
    ) -> None:
        """Send one answer; its ``text`` goes through the output area."""
        # Cut before encoding to bound the work, and after, because a character may take several bytes
        raw = text[:TEXT_BYTES].encode("utf-8", "replace")[:TEXT_BYTES]
        self.out[self.shape.text_at : self.shape.text_at + len(raw)] = raw
        os.write(self.answers, ANSWER.pack(kind, sequence, rows, components, line, len(raw), flags))


def _catch_prints() -> None:
    """Redirect Python's standard output and error to ``Printed``, and keep this machine's paths out of warnings."""
    stream: Any = io.TextIOWrapper(
        Printed(),
        encoding="utf-8",
        errors="backslashreplace",
        newline="\n",
        write_through=True,
    )
    sys.stdout = sys.stderr = stream
    sys.__stdout__ = sys.__stderr__ = stream  # type: ignore[misc]
    warnings.formatwarning = _warning


def _warning(message: Any, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
    where = f"line {lineno}: " if filename == FILENAME else ""
    return f"{where}{category.__name__}: {message}\n"


def _rows(value: object, what: str, rows: int, exact: bool) -> Tensor:
    """Convert ``value`` to ``(rows,)`` float32. Unless ``exact``, one number is broadcast to every row.

    Raises:
        OutputError: ``value`` is not a dense real tensor of that shape.
    """
    if not exact and isinstance(value, bool | int | float):
        value = torch.full((rows,), float(value))
    if not isinstance(value, Tensor):
        raise OutputError(f"{what} must be a tensor of shape ({rows},), not a {type(value).__name__}")
    if value.layout is not torch.strided:
        raise OutputError(f"{what} must be a dense tensor")
    if value.is_complex() or (exact and not value.is_floating_point()):
        raise OutputError(f"{what} must be float32, it is {str(value.dtype).removeprefix('torch.')}: use .float()")
    if not exact and value.dim() == 0:
        value = value.expand(rows)
    if value.shape != (rows,):
        hint = ": index the last dimension or use .squeeze(-1)" if tuple(value.shape) == (rows, 1) else ""
        shown = tuple(value.shape)
        raise OutputError(f"{what} must have shape (n,) = ({rows},), one number per row; it has {shown}{hint}")
    return value.to(torch.float32)


def _check_names(names: list[Any]) -> None:
    if len(names) > MAX_COMPONENTS:
        raise OutputError(number_message(len(names)))
    for name in names:
        if not is_component_name(name):
            raise OutputError(name_message(name))


def _same_bits(a: Tensor, b: Tensor) -> bool:
    # Compare bits, not values: a NaN that was left alone must count as unchanged
    return a.shape == b.shape and torch.equal(a.view(torch.int32), b.view(torch.int32))


def _line(error: BaseException) -> int:
    """Return the line of the program where ``error`` was raised; 0 if unknown."""
    line = 0
    if isinstance(error, SyntaxError) and error.filename == FILENAME:
        line = error.lineno or 0
    # The innermost frame of the program wins; the bound guards against very deep recursion
    trace, steps = error.__traceback__, 0
    while trace is not None and steps < 100_000:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace, steps = trace.tb_next, steps + 1
    # A program can forge line numbers: keep them within the int32 of ANSWER
    return max(0, min(line, 2**31 - 1))


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    try:
        return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    except BaseException:
        return False


# The shared areas are laid out in units of FLOAT bytes and read as torch.float32
assert struct.calcsize("=f") == FLOAT
