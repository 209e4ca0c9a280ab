"""Define the messages between the parent, one worker per program, and the fork server, if any.

    parent  ⇄ server   a socket: fixed-size requests and answers; a worker's descriptors ride along when it is opened
    parent  → worker   a pipe: REQUEST, "label the first n transitions of the input area"
    worker  → parent   a pipe: ANSWER, fixed-size; the labels, names and text that it announces lie in the output area
    worker  → parent   another pipe: what the program prints; never waited for, and shown only in the report
                       (a file on systems whose pipes cannot be polled)

Numbers from a worker are not trusted: ``parse_message`` checks each against the bounds below before it is used.
"""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass
from enum import IntEnum

from rewardgen.program.components import MAX_COMPONENTS, MAX_NAME, is_component_name

NAME_BYTES = MAX_NAME  # they are ASCII
TEXT_BYTES = 2048
OUTPUT_BYTES = 4096  # of what a program prints; the rest is dropped
FLOAT = 4

REQUEST = struct.Struct("<II")  # sequence, rows
# kind, sequence, rows, components, line (0: none), bytes of text, flags
ANSWER = struct.Struct("<IIIIiII")
# operation, worker, bytes of the program, capacity, width, action size, address space in bytes, CPU seconds
CONTROL = struct.Struct("<IIIIIIQQ")
# outcome, worker, process id or wait status
OUTCOME = struct.Struct("<IIi")
# one bit per layer that a probe found in force
FLAGS = struct.Struct("<i")


class Kind(IntEnum):
    """The kinds of ANSWER."""

    READY = 1  # confined, and nothing of the program has run
    UNCONFINED = 2  # the worker could not be set up; the text says why
    LABELS = 3
    EXCEPTION = 4
    OUTPUT = 5
    MEMORY = 6


class Operation(IntEnum):
    OPEN = 1
    END = 2


class ServerAnswer(IntEnum):
    READY = 1
    OPENED = 2
    ENDED = 3
    FAILED = 4
    PROBED = 5  # the layers that are in force in a worker


INPUTS_CHANGED = 1  # a flag of ANSWER


@dataclass(frozen=True)
class WorkerMessage:
    """An ANSWER whose numbers are within bounds. Whether it fits the request is for the caller to check."""

    kind: Kind
    sequence: int
    rows: int
    components: int
    line: int | None
    text_bytes: int
    flags: int


def parse_message(raw: bytes) -> WorkerMessage:
    """Parse a worker's ANSWER. Pure: reads nothing but ``raw``.

    Raises:
        ValueError: ``raw`` is not an ANSWER: wrong length, unknown kind, or a number out of bounds.
    """
    if len(raw) != ANSWER.size:
        raise ValueError(f"{len(raw)} bytes instead of {ANSWER.size}")
    number, sequence, rows, components, line, text_bytes, flags = ANSWER.unpack(raw)
    kind = Kind(number)  # raises ValueError if unknown
    if line < 0 or text_bytes > TEXT_BYTES or components > MAX_COMPONENTS:
        raise ValueError("a number is out of its bounds")
    if kind != Kind.LABELS and (rows or components):
        raise ValueError("it announces labels and is not of that kind")
    if kind == Kind.LABELS and (line or text_bytes or flags & ~INPUTS_CHANGED):
        raise ValueError("labels come with no line, no text and no unknown flag")
    return WorkerMessage(kind, sequence, rows, components, line or None, text_bytes, flags)


def parse_names(raw: bytes, count: int) -> tuple[str, ...]:
    """Parse the names of ``count`` components as a worker wrote them. Pure.

    Raises:
        ValueError: they are not ``count`` different identifiers.
    """
    if len(raw) != count * NAME_BYTES:
        raise ValueError(f"{len(raw)} bytes instead of {count * NAME_BYTES}")
    parts = (raw[start : start + NAME_BYTES].rstrip(b"\0") for start in range(0, len(raw), NAME_BYTES))
    names = tuple(part.decode("ascii", "replace") for part in parts)
    if len(set(names)) != count or not all(is_component_name(name) for name in names):
        raise ValueError("a component's name is no identifier, or two are the same")
    return names


@dataclass(frozen=True)
class Areas:
    """The sizes of one worker's areas.

    The input area holds the states ``(capacity, width)``, the actions ``(capacity, action_size)`` and the next states,
    all float32, and then the program; the output area holds the rewards, the components, their names and text.
    """

    capacity: int
    width: int
    action_size: int
    program: int

    @property
    def floats(self) -> int:
        return self.capacity * (2 * self.width + self.action_size)

    @property
    def input_bytes(self) -> int:
        return self.floats * FLOAT + self.program

    @property
    def components_at(self) -> int:
        return self.capacity * FLOAT

    @property
    def names_at(self) -> int:
        return self.components_at + self.capacity * MAX_COMPONENTS * FLOAT

    @property
    def text_at(self) -> int:
        return self.names_at + MAX_COMPONENTS * NAME_BYTES

    @property
    def output_bytes(self) -> int:
        return self.text_at + TEXT_BYTES


def clean(raw: bytes) -> str:
    """Make text from a worker safe to show: one line, without control or invisible formatting characters."""
    return _visible(" ".join(raw.decode("utf-8", "replace").split())).strip()


def parse_output(raw: bytes) -> str:
    """Make what a program printed safe to show: no control or invisible formatting characters. Pure.

    Only the first ``OUTPUT_BYTES`` are kept; a last line says if more were dropped.
    """
    lines = raw[:OUTPUT_BYTES].decode("utf-8", "replace").expandtabs(4).splitlines()
    spaced = ("".join(" " if character.isspace() else character for character in line) for line in lines)
    text = "\n".join(_visible(line).rstrip() for line in spaced).strip("\n")
    return text if len(raw) <= OUTPUT_BYTES else f"{text}\n[the rest was dropped: {OUTPUT_BYTES} bytes are kept]"


def _visible(text: str) -> str:
    return "".join(character for character in text if unicodedata.category(character)[0] != "C")
