"""Hashes and token estimates of a conversation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from rewardgen.records import Message

IMAGE_TOKENS = 1000
"""Estimated tokens of a picture of 320 by 240 pixels: vision models bill 85 to a few thousand."""


def messages_hash(messages: Sequence[Message]) -> str:
    """Return the SHA-256 of roles, contents and pictures: equal conversations have equal hashes."""
    parts = [[message.role, message.content, *(_digest(image) for image in message.images)] for message in messages]
    content = json.dumps(parts, ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(image: bytes) -> str:
    """Return the SHA-256 of a picture."""
    return hashlib.sha256(image).hexdigest()


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def estimated_tokens(text: str) -> int:
    """Return about how many tokens ``text`` has, rounded up: one for four characters of English or code."""
    return -(-len(text) // 4)


def estimated_prompt_tokens(messages: Sequence[Message]) -> int:
    """Return about how many tokens the messages have, with four more for each message."""
    return sum(estimated_tokens(message.content) + 4 + IMAGE_TOKENS * len(message.images) for message in messages)
