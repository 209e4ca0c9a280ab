"""What can be told of a conversation from its messages alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from rewardgen.records import Message

IMAGE_TOKENS = 1000
"""What a picture of 320 by 240 counts as where the server names no number: vision models bill 85 to a few thousand."""


def messages_hash(messages: Sequence[Message]) -> str:
    """SHA-256 of the roles, contents and pictures: equal conversations, equal hash."""
    parts = [[message.role, message.content, *(_digest(image) for image in message.images)] for message in messages]
    content = json.dumps(parts, ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(image: bytes) -> str:
    return hashlib.sha256(image).hexdigest()


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def estimated_tokens(text: str) -> int:
    """About how many tokens ``text`` has, rounded up: four characters of English or code make one."""
    return -(-len(text) // 4)


def estimated_prompt_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens the messages have, with four more for the frame of each."""
    return sum(estimated_tokens(message.content) + 4 + IMAGE_TOKENS * len(message.images) for message in messages)
