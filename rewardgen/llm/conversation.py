"""What can be told of a conversation from its messages alone."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Literal

from rewardgen.records import Message

IMAGE_TOKENS = 1000
"""What a picture of 320 by 240 counts as where the server names no number: vision models bill 85 to a few thousand."""

Purpose = Literal["generation", "repair", "revision", "review", "analysis"]

_REFLECTION = re.compile(r"^\s*(?:fitness\s*:|A policy was trained on this reward)", re.MULTILINE | re.IGNORECASE)
_REVIEW = re.compile(r"`verdict: (?:accept|revise)`")
_ANALYSIS = re.compile(r"`finding:`")
_REVISION = re.compile(r"^Somebody who reviewed this reward", re.MULTILINE)


def messages_hash(messages: Sequence[Message]) -> str:
    """SHA-256 of the roles, contents and pictures: equal conversations, equal hash."""
    parts = [[message.role, message.content, *(_digest(image) for image in message.images)] for message in messages]
    content = json.dumps(parts, ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def purpose_of(messages: Sequence[Message]) -> Purpose:
    """What the last message asks for: a "generation", a "repair" of the program before it or a "revision" as a critic
    wants it, a "review" of a program by such a critic, or an "analysis" of episodes.

    The last two name the form of their answers. A generation is asked for by the first user message, or by one that
    carries a reflection; any other answer to an assistant's message lists that program's problems.
    """
    last = messages[-1].content if messages else ""
    if _REVIEW.search(last):
        return "review"
    if _ANALYSIS.search(last):
        return "analysis"
    before = [message.role for message in messages[:-1]]
    if "assistant" not in before or _REFLECTION.search(last):
        return "generation"
    return "revision" if _REVISION.search(last) else "repair"


def estimated_tokens(text: str) -> int:
    """About how many tokens ``text`` has, rounded up: four characters of English or code make one."""
    return -(-len(text) // 4)


def estimated_prompt_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens the messages have, with four more for the frame of each."""
    return sum(estimated_tokens(message.content) + 4 + IMAGE_TOKENS * len(message.images) for message in messages)
