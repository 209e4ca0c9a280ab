"""Reads what an endpoint answered: choices, texts, how they ended, token counts, and errors in their place.

Nothing here trusts the form: endpoints answer in parts, stream unasked, put errors into a 200 or into one choice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rewardgen.program import without_thoughts
from rewardgen.program.extract import FILTERED, LENGTH, TOOL_CALLS

MAX_TEXT = 2**18
"""A reply is cut to so many characters: far more than any reward, and what a run can keep and show."""

_REASONS = {"MAX_TOKENS": LENGTH, "max_tokens": LENGTH, "SAFETY": FILTERED, "function_call": TOOL_CALLS}
"""Other names of the reasons why a choice ended."""


def parse_completion(content: bytes, content_type: str) -> Any:
    """The JSON of a completion; a stream of server-sent events is put together into one.

    Raises:
        ValueError, RecursionError: it is neither JSON nor a complete stream.
    """
    if content_type.partition(";")[0].strip().lower() == "text/event-stream" or content.lstrip().startswith(b"data:"):
        return _from_events(content.decode("utf-8", "replace"))
    return json.loads(content)


def _from_events(stream: str) -> dict[str, Any]:
    """One completion from the chunks of a stream."""
    completion: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    done = False
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
        completion |= {name: chunk[name] for name in ("model", "usage", "error") if chunk.get(name)}
        for choice in choices_of(chunk):
            index = count(choice.get("index")) or 0
            made = choices.setdefault(index, {"index": index, "message": {}})
            done = done or bool(choice.get("finish_reason"))
            made |= {name: choice[name] for name in ("finish_reason", "error") if choice.get(name)}
            delta = choice.get("delta") or choice.get("message")
            for name, value in delta.items() if isinstance(delta, dict) else ():
                if isinstance(value, str) and name != "role":
                    made["message"][name] = made["message"].get(name, "") + value
                elif value and name == "tool_calls":
                    made["message"][name] = value
    if not done and "error" not in completion:
        raise ValueError("the stream ended before its answer did")
    return {**completion, "choices": [choices[index] for index in sorted(choices)]}


def choices_of(completion: Any) -> list[dict[str, Any]]:
    found = completion.get("choices") if isinstance(completion, dict) else None
    return [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []


def text_of(choice: Mapping[str, Any]) -> str:
    """What a choice says: its content, else its refusal, else nothing."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return ""
    content = message.get("content")
    if isinstance(content, list):  # some endpoints answer in parts
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) and content else str(message.get("refusal") or "")


def finish_reason_of(choice: Mapping[str, Any], text: str) -> str:
    """How a choice ended, in the words of the chat completions API where they are known."""
    if len(text) > MAX_TEXT:
        return "cut"
    reason = str(choice.get("finish_reason") or "stop")[:40]
    message = choice.get("message")
    if reason == "stop" and not text and isinstance(message, dict) and message.get("tool_calls"):
        return TOOL_CALLS
    return {"MAX_TOKENS": LENGTH, "max_tokens": LENGTH, "SAFETY": FILTERED, "function_call": TOOL_CALLS}.get(
        reason, reason
    )


def is_answer(text: str, finish_reason: str) -> bool:
    """Whether a reply can hold a program: it was not cut at the limit, and neither withheld nor replaced by a call."""
    if finish_reason == LENGTH:
        return False
    return finish_reason not in (FILTERED, TOOL_CALLS) or bool(without_thoughts(text))


def usage_of(completion: Mapping[str, Any]) -> tuple[int | None, int | None, int]:
    """Prompt tokens, completion tokens (None where the server names none), and how many of the prompt were cached."""
    usage = completion.get("usage")
    if not isinstance(usage, dict):
        return None, None, 0
    details = usage.get("prompt_tokens_details")
    cached = count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")), cached or 0


def count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def shares(total: int, lengths: Sequence[int]) -> list[int]:
    """``total`` split in proportion to ``lengths``, in whole numbers that add up to it."""
    whole = sum(lengths)
    if whole == 0:
        return [total] + [0] * (len(lengths) - 1)
    ends = [round(total * sum(lengths[: place + 1]) / whole) for place in range(len(lengths))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
