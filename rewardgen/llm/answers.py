"""Reads an endpoint's answer: choices, texts, how they ended, token counts, and errors within it.

Nothing here trusts the form: endpoints answer in parts, stream unasked, put errors into a 200 or into one choice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rewardgen.program import without_thoughts
from rewardgen.program.extract import FILTERED, LENGTH, TOOL_CALLS

MAX_TEXT = 2**18
"""Max. length of a reply in characters: far more than any reward, and what a run can store and show."""

_REASONS = {"MAX_TOKENS": LENGTH, "max_tokens": LENGTH, "SAFETY": FILTERED, "function_call": TOOL_CALLS}
"""Other names of the reasons why a choice ended → ours."""


def parse_completion(content: bytes, content_type: str) -> Any:
    """Return the JSON of a completion; a stream of server-sent events is joined into one.

    Raises:
        ValueError, RecursionError: it is neither JSON nor a complete stream.
    """
    if content_type.partition(";")[0].strip().lower() == "text/event-stream" or content.lstrip().startswith(b"data:"):
        return _from_events(content.decode("utf-8", "replace"))
    return json.loads(content)


def _from_events(stream: str) -> dict[str, Any]:
    """Join the chunks of a stream into one completion."""
    completion: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    done = False
    # Each event is one line of data
    for line in stream.splitlines():
        name, _, data = line.partition(":")
        if name != "data":
            continue
        if data.strip() == "[DONE]":
            done = True
            continue
        chunk = json.loads(data)
        if not isinstance(chunk, dict):
            raise ValueError("a chunk of the stream is no object")
        # Fields of the whole completion
        completion |= {name: chunk[name] for name in ("model", "usage", "error") if chunk.get(name)}
        # Text arrives in pieces, for several choices at once
        for choice in choices_of(chunk):
            index = count(choice.get("index")) or 0
            choice_so_far = choices.setdefault(index, {"index": index, "message": {}})
            done = done or bool(choice.get("finish_reason"))
            choice_so_far |= {name: choice[name] for name in ("finish_reason", "error") if choice.get(name)}
            delta = choice.get("delta") or choice.get("message")
            for name, value in delta.items() if isinstance(delta, dict) else ():
                if isinstance(value, str) and name != "role":
                    choice_so_far["message"][name] = choice_so_far["message"].get(name, "") + value
                elif value and name == "tool_calls":
                    choice_so_far["message"][name] = value
    if not done and "error" not in completion:
        raise ValueError("the stream ended before its answer did")
    return {**completion, "choices": [choices[index] for index in sorted(choices)]}


def choices_of(completion: Any) -> list[dict[str, Any]]:
    """Return the choices of a completion; none if it has another form."""
    listed = completion.get("choices") if isinstance(completion, dict) else None
    return [choice for choice in listed if isinstance(choice, dict)] if isinstance(listed, list) else []


def text_of(choice: Mapping[str, Any]) -> str:
    """Return the text of a choice: its content, else its refusal, else nothing."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return ""
    content = message.get("content")
    if isinstance(content, list):  # some endpoints answer in parts
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) and content else str(message.get("refusal") or "")


def finish_reason_of(choice: Mapping[str, Any], text: str) -> str:
    """Return how a choice ended, by the names of the chat completions API if they are known."""
    if len(text) > MAX_TEXT:
        return "cut"
    reason = str(choice.get("finish_reason") or "stop")[:40]
    message = choice.get("message")
    if reason == "stop" and not text and isinstance(message, dict) and message.get("tool_calls"):
        return TOOL_CALLS
    return _REASONS.get(reason, reason)


def is_answer(text: str, finish_reason: str) -> bool:
    """Return whether a reply can hold a program: it was not cut off, withheld, or replaced by a tool call."""
    if finish_reason == LENGTH:
        return False
    return finish_reason not in (FILTERED, TOOL_CALLS) or bool(without_thoughts(text))


def usage_of(completion: Mapping[str, Any]) -> tuple[int | None, int | None, int]:
    """Return prompt tokens, completion tokens (None if the server does not count), and how many were cached."""
    usage = completion.get("usage")
    if not isinstance(usage, dict):
        return None, None, 0
    details = usage.get("prompt_tokens_details")
    cached = count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")), cached or 0


def count(value: Any) -> int | None:
    """Return a number of tokens; None if it is not one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def shares(total: int, lengths: Sequence[int]) -> list[int]:
    """Return ``total`` divided in proportion to ``lengths``, in whole numbers that add up to it."""
    # Round the ends, not the parts, so that the parts add up
    whole = sum(lengths)
    if whole == 0:
        return [total] + [0] * (len(lengths) - 1)
    ends = [round(total * sum(lengths[: place + 1]) / whole) for place in range(len(lengths))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
