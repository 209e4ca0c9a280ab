"""What passes between the three processes: this one (the parent), the fork server, and a worker for each program.

    parent  ⇄ server   a socket: fixed-size requests and answers; a worker's descriptors ride along when it is opened
    parent  → worker   a pipe: REQUEST, "label the first n transitions of the input area"
    worker  → parent   a pipe: ANSWER, fixed-size; the labels, names and text that it announces lie in the output area

Numbers from a worker are claims: each is checked against the bounds below before anything is read by it.
"""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass
from enum import IntEnum

from rewardgen.program.components import MAX_COMPONENTS, MAX_NAME

NAME_BYTES = MAX_NAME  # they are ASCII
TEXT_BYTES = 2048
FLOAT = 4

REQUEST = struct.Struct("<II")  # sequence, rows
# kind, sequence, rows, components, line (0: none), bytes of text, flags
ANSWER = struct.Struct("<IIIIiII")
# operation, worker, bytes of the program, capacity, width, action size, address space in bytes, CPU seconds
CONTROL = struct.Struct("<IIIIIIQQ")
# outcome, worker, process id or wait status
OUTCOME = struct.Struct("<IIi")


class Kind(IntEnum):
    """What an ANSWER says."""

    READY = 1  # confined, and nothing of the program has run
    UNCONFINED = 2  # the worker could not be set up; the text says why
    LABELS = 3
    EXCEPTION = 4
    OUTPUT = 5
    MEMORY = 6


class Operation(IntEnum):
    OPEN = 1
    END = 2


class Outcome(IntEnum):
    READY = 1
    OPENED = 2
    ENDED = 3
    FAILED = 4


INPUTS_CHANGED = 1  # a flag of ANSWER


@dataclass(frozen=True)
class Shape:
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
    """Text from a worker as it may be shown: one line, no control or invisible formatting characters."""
    text = " ".join(raw.decode("utf-8", "replace").split())
    return "".join(character for character in text if unicodedata.category(character)[0] != "C").strip()
