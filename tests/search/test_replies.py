"""Whole searches at endpoints whose replies carry thoughts, channel marks, stop tokens, or no answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rewardgen import config, search
from rewardgen.errors import LLMError
from rewardgen.search import Event
from rewardgen.store import RunView, read
from tests.llm.server import Behaviour, Handler, ModelServer, fails
from tests.search import tiny

THOUGHT = "I wonder about the energy. " * 50


def program(weight: float, field: str = "fingertip_position") -> str:
    return (
        "```python\ndef compute_reward(state, action, next_state):\n"
        f"    right = {weight} * next_state.{field}[:, 0]\n    return right, {{'right': right}}\n```"
    )


def writes(first: list[tuple[str, str]], repaired: str) -> Behaviour:
    """The replies (text, finish reason) of the first request, and ``repaired`` to each repair."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        is_repair = any(message["role"] == "assistant" for message in body["messages"])
        replies = [(repaired, "stop")] if is_repair else first
        choices = [
            {"index": index, "finish_reason": reason, "message": {"role": "assistant", "content": text}}
            for index, (text, reason) in enumerate(replies)
        ]
        handler.send(
            200, json.dumps({"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 9}}).encode()
        )

    return behave


def start(server: ModelServer, tmp_path: Path, events: list[Event], **changes: Any) -> RunView:
    settings = {
        **tiny.SEARCH,
        "search.generations": 1,
        "search.candidates": 2,
        "search.racing": False,
        "search.screening": False,
        "search.remeasure": 0,
        "llm.model": "m",
        "llm.base_url": server.url,
        "llm.cache": False,
        **changes,
    }
    return search.run(config.load(overrides=settings), tmp_path / "run", listener=events.append)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"<think>\n{THOUGHT}\n</think>\n", "<|im_end|>"),
        (f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>", "<|return|>"),
    ],
)
def test_a_reply_goes_back_for_repair_without_what_surrounds_its_answer(
    tmp_path: Path, before: str, after: str
) -> None:
    wrong = before + program(1.0, "fingertip_positoin") + after
    events: list[Event] = []
    with ModelServer(default=writes([(wrong, "stop"), (program(0.5) + after, "stop")], program(0.7))) as server:
        view = start(server, tmp_path, events)
    (repair,) = server.requests[1:]
    (said,) = [message["content"] for message in repair["messages"] if message["role"] == "assistant"]
    assert said == program(1.0, "fingertip_positoin")
    assert {candidate.status for candidate in view.candidates.values()} == {"trained"}
    assert wrong in [reply.text for call in view.calls for reply in call.replies], "what was paid for is kept whole"


def test_a_reply_that_was_cut_is_not_repaired_and_every_retry_is_shown(tmp_path: Path) -> None:
    first = writes([("<think>" + THOUGHT, "length"), (program(0.5), "stop")], program(0.7))
    events: list[Event] = []
    with ModelServer(fails(503, "Loading model", headers={"Retry-After": "0"}), default=first) as server:
        view = start(server, tmp_path, events)
    assert len(server.requests) == 2, "one that was tried again, and no repair"
    statuses = {key: candidate.status for key, candidate in view.candidates.items()}
    assert statuses == {"r0g0c0": "rejected", "r0g0c1": "trained"}
    (verdict,) = [event for event in events if event.kind == "verdict" and not event.data["accepted"]]
    assert "used up by thoughts" in verdict.data["problems"][0] and "llm.max_tokens" in verdict.data["problems"][0]
    shown = [event.data["message"] for event in events if event.kind == "endpoint"]
    assert any("Loading model" in message and "trying again" in message for message in shown)
    assert not [event for event in view.events if event.kind == "endpoint"], "what passes is not kept"


def test_a_search_whose_model_never_answers_fails_and_says_what_to_do(tmp_path: Path) -> None:
    empty = writes([("", "length"), ("", "length")], program(0.7))
    with ModelServer(default=empty) as server, pytest.raises(LLMError, match=r"llm\.max_tokens=16384"):
        start(server, tmp_path, [])
    assert len(server.requests) == 1
    view = read(tmp_path / "run")
    assert view.status == "failed" and "used up by thoughts" in view.message
