"""Worker messages → result: whatever stands in the pipe and in the output area, there are labels or a failure."""

from __future__ import annotations

import os
import struct

import pytest

pytest.importorskip("hypothesis")

import torch
from hypothesis import example, given
from hypothesis import strategies as st

from rewardgen.errors import RewardFailed, SandboxError
from rewardgen.program.components import MAX_COMPONENTS, is_component_name
from rewardgen.records import RewardProgram
from rewardgen.sandbox.layers import NAMES, flags_of
from rewardgen.sandbox.protocol import (
    ANSWER,
    NAME_BYTES,
    OUTPUT_BYTES,
    TEXT_BYTES,
    Kind,
    clean,
    parse_message,
    parse_names,
    parse_output,
)
from rewardgen.sandbox.worker import SandboxLimits, Worker
from tests.fuzz.conftest import profile
from tests.fuzz.texts import LAYOUT

pytestmark = pytest.mark.fuzz

ROWS, ACTIONS = 8, 2
READY = ANSWER.pack(Kind.READY, 0, 0, 0, 0, 0, flags_of(set(NAMES)))

edges = st.one_of(st.integers(0, 40), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1, TEXT_BYTES, TEXT_BYTES + 1]))
signed = st.one_of(st.integers(-3, 40), st.sampled_from([-(2**31), 2**31 - 1]))
answers = st.builds(ANSWER.pack, edges, edges, edges, edges, signed, edges, edges)
good = st.builds(
    ANSWER.pack,
    st.sampled_from(list(Kind)),
    st.integers(0, 2),
    st.sampled_from([0, ROWS, ROWS + 1]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 40),
    st.integers(0, 1),
)
name = st.sampled_from([b"a", b"b_2", b"", b"1", b"a\0b", b"\x1b[2J", "é".encode(), b"x" * NAME_BYTES, b"\xff"])
packed_name = name.map(lambda text: text.ljust(NAME_BYTES, b"\0")[:NAME_BYTES])
numbers = st.one_of(st.floats(width=32), st.just(0.0)).map(lambda value: struct.pack("<f", value))


@profile()
@given(st.one_of(answers, good, st.binary(max_size=ANSWER.size + 2)))
def test_a_message_is_within_its_bounds_or_none(raw):
    try:
        message = parse_message(raw)
    except ValueError:
        return
    assert len(raw) == ANSWER.size
    assert message.kind in set(Kind)
    assert 0 <= message.components <= MAX_COMPONENTS
    assert message.line is None or message.line > 0
    assert 0 <= message.text_bytes <= TEXT_BYTES


@profile()
@given(st.one_of(st.lists(packed_name, max_size=5).map(b"".join), st.binary(max_size=200)), st.integers(0, 5))
def test_names_are_names_or_refused(raw, count):
    try:
        names = parse_names(raw, count)
    except ValueError:
        return
    assert len(names) == len(set(names)) == count
    assert all(is_component_name(item) for item in names)


@profile()
@given(
    st.one_of(st.binary(max_size=TEXT_BYTES), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
)
def test_text_from_a_worker_is_one_printable_line(raw):
    text = clean(raw)
    assert text.isprintable() and text == text.strip()
    assert len(text.encode()) <= 3 * len(raw) + 3


@profile()
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
        st.builds(lambda part, times: part * times, st.binary(min_size=1, max_size=8), st.integers(1, 2000)),
    )
)
def test_what_a_program_prints_is_lines_that_may_be_shown(raw):
    text = parse_output(raw)
    assert all(line.isprintable() and line == line.rstrip() for line in text.split("\n"))
    assert len(text) <= 4 * OUTPUT_BYTES + 60  # a tab is four spaces at most
    assert text == "" or text.strip()
    assert text.endswith(" bytes are kept]") or len(raw) <= OUTPUT_BYTES


@profile()
@given(
    ready=st.sampled_from([READY, READY, READY, b"", READY[:5]]),
    said=st.lists(st.one_of(good, good, answers, st.binary(max_size=40)), max_size=4).map(b"".join),
    rewards=st.lists(numbers, max_size=ROWS).map(b"".join),
    components=st.lists(numbers, max_size=3 * ROWS).map(b"".join),
    names=st.lists(packed_name, max_size=4).map(b"".join),
    text=st.binary(max_size=60),
    printed=st.binary(max_size=60),
)
@example(READY, ANSWER.pack(Kind.LABELS, 1, ROWS, 1, 0, 0, 0), b"", b"", b"a".ljust(NAME_BYTES, b"\0"), b"", b"")
def test_a_worker_that_says_anything_gives_labels_or_fails(ready, said, rewards, components, names, text, printed):
    """A pipe and an area of a real ``Worker``, written to by us in the place of its process, which is gone then."""
    limits = SandboxLimits(call_seconds=5.0)
    worker = Worker(RewardProgram("pass\n"), LAYOUT, ACTIONS, ROWS, limits, "strict", lambda: 9, lambda: "")
    with worker:
        _, area, _, pipe, prints = worker.descriptors
        shape = worker.shape
        for content, place in (
            (rewards, 0),
            (components, shape.components_at),
            (names, shape.names_at),
            (text, shape.text_at),
        ):
            os.pwrite(area, content, place)
        os.write(pipe, ready + said)
        os.write(prints, printed)
        worker.started()
        for _ in range(3):
            worker.submit(torch.zeros(ROWS, LAYOUT.width), torch.zeros(ROWS, ACTIONS), torch.zeros(ROWS, LAYOUT.width))
            try:
                labels = worker.result()
            except (RewardFailed, SandboxError) as failure:
                assert str(failure).isprintable() and len(str(failure)) < TEXT_BYTES + 500
                break
            assert labels.reward.shape == (ROWS,)
            assert labels.components.shape == (ROWS, len(labels.names))
            assert bool(torch.isfinite(labels.reward).all() and torch.isfinite(labels.components).all())
            assert all(is_component_name(item) for item in labels.names)
        else:
            raise AssertionError("it answered three times what was written once")
        assert worker.output == parse_output(printed)
