"""What language models really answered, where it has been recorded: all of it is accepted and gives finite values, or
was sent back for a repair that is."""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path

import pytest
import torch

from rewardgen.errors import ProgramRejected
from rewardgen.llm.recording import RecordedCall, read_recording
from rewardgen.program import check, extract
from rewardgen.records import Field, Layout

FOLDER = Path(__file__).resolve().parents[1] / "replies"
RECORDINGS = sorted(FOLDER.rglob("*.jsonl"))
ROWS = 64

_FIELD = re.compile(r"^\s*(\w+): Tensor\s+# \(n((?:, \d+)*),?\) ", re.MULTILINE)

pytestmark = pytest.mark.skipif(not RECORDINGS, reason=f"no recorded replies in {FOLDER}")


def layout_of(call: RecordedCall) -> tuple[Layout, int]:
    """The state's layout and the size of the action, as the prompt shows them."""
    text = "\n".join(message.content for message in call.messages if message.role == "user")
    shapes = {}
    for name, dimensions in _FIELD.findall(text):
        shapes.setdefault(name, tuple(int(number) for number in re.findall(r"\d+", dimensions)))
    (action_size,) = shapes.pop("action")
    return Layout(tuple(Field(name, shape, "", "") for name, shape in shapes.items())), action_size


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_every_recorded_reply_is_accepted_or_was_sent_back(sandbox, recording):
    calls = read_recording(recording)
    for number, (call, after) in enumerate(zip_longest(calls, calls[1:]), start=1):
        layout, action_size = layout_of(call)
        generator = torch.Generator().manual_seed(number)
        sizes = (layout.width, action_size, layout.width)
        transitions = [0.3 * torch.randn(ROWS, size, generator=generator) for size in sizes]
        if after is not None and after.purpose == "repair":  # a call for several replies never has one here
            with pytest.raises(ProgramRejected):
                check(extract(call.replies[0].text), layout)
            continue
        for reply in call.replies:
            program = check(extract(reply.text), layout)
            with sandbox.open(program, layout, action_size, ROWS) as worker:
                worker.submit(*transitions)
                labels = worker.result()  # finite, or it raises
            assert labels.reward.shape == (ROWS,)
