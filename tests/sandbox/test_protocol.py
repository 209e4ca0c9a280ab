"""What a worker says is parsed by pure functions that take any bytes and raise ValueError alone."""

from __future__ import annotations

import random

import pytest

from rewardgen.program.components import MAX_COMPONENTS, is_component_name
from rewardgen.sandbox.protocol import (
    ANSWER,
    INPUTS_CHANGED,
    NAME_BYTES,
    TEXT_BYTES,
    Kind,
    WorkerMessage,
    clean,
    parse_message,
    parse_names,
)


def packed(kind=Kind.LABELS, sequence=1, rows=8, components=2, line=0, text=0, flags=0):
    return ANSWER.pack(kind, sequence, rows, components, line, text, flags)


def test_well_formed_messages():
    assert parse_message(packed(flags=INPUTS_CHANGED)) == WorkerMessage(Kind.LABELS, 1, 8, 2, None, 0, INPUTS_CHANGED)
    failed = packed(Kind.EXCEPTION, rows=0, components=0, line=3, text=TEXT_BYTES)
    assert parse_message(failed) == WorkerMessage(Kind.EXCEPTION, 1, 0, 0, 3, TEXT_BYTES, 0)
    assert parse_message(packed(Kind.READY, 0, 0, 0, flags=0xFFFFFFFF)).kind is Kind.READY


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        packed()[:-1],
        packed() + b"\0",
        packed(kind=0),
        packed(kind=99),
        packed(kind=2**32 - 1),
        packed(components=MAX_COMPONENTS + 1),
        packed(components=2**32 - 1),
        packed(line=-1),
        packed(line=1),
        packed(text=1),
        packed(flags=2),
        packed(Kind.EXCEPTION, rows=1, components=0),
        packed(Kind.OUTPUT, rows=0, components=1),
        packed(Kind.MEMORY, rows=0, components=0, text=TEXT_BYTES + 1),
        packed(Kind.MEMORY, rows=0, components=0, text=2**31),
    ],
)
def test_what_is_no_message(raw):
    with pytest.raises(ValueError, match="bytes|Kind|bounds|labels"):
        parse_message(raw)


def test_any_bytes_are_a_message_within_bounds_or_a_value_error():
    source = random.Random(3)
    parsed = 0
    for _ in range(20_000):
        numbers = [source.choice(list(Kind)), 1, 0, 0, 0, 0, 0]
        for _ in range(source.randrange(4)):
            numbers[source.randrange(7)] = source.choice((0, 1, 2, 3, 9, 32, 33, 2048, 2049, 2**31 - 1, 2**32 - 1))
        numbers[4] = source.choice((0, numbers[4] % 2**31, -1))
        raw = source.choice((ANSWER.pack(*numbers), source.randbytes(ANSWER.size), source.randbytes(numbers[0] % 40)))
        try:
            message = parse_message(raw)
        except ValueError:
            continue
        parsed += 1
        assert message.components <= MAX_COMPONENTS and message.text_bytes <= TEXT_BYTES
        assert message.line is None or message.line > 0
    assert parsed > 100


def test_names_are_identifiers_or_a_value_error():
    def row(name):
        return name.ljust(NAME_BYTES, b"\0")

    assert parse_names(row(b"speed") + row(b"effort"), 2) == ("speed", "effort")
    assert parse_names(b"", 0) == ()
    bad = [
        row(b"a") + row(b"a"),
        row(b""),
        row(b"a b"),
        row(b"a\0b"),
        row(b"\xff"),
        row(b"a")[:-1],
        b"",
        row(b"\x1b[0m"),
    ]
    for raw in bad:
        with pytest.raises(ValueError, match="component|bytes"):
            parse_names(raw, max(1, len(raw) // NAME_BYTES))
    source = random.Random(4)
    for _ in range(2000):
        count = source.randrange(4)
        raw = source.randbytes(count * NAME_BYTES)
        try:
            names = parse_names(raw, count)
        except ValueError:
            continue
        assert len(names) == count and all(map(is_component_name, names))


def test_text_is_one_printable_line():
    source = random.Random(5)
    for _ in range(2000):
        text = clean(source.randbytes(source.randrange(60)))
        assert text.isprintable()
    assert clean("a\n\tb\x1b[31m\u202ec\u200b\ue000".encode()) == "a b[31mc"
