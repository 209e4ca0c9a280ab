"""What can be told of a conversation from its messages alone."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Literal

from rewardgen.records import Message

Purpose = Literal["generation", "repair"]

_REFLECTION = re.compile(r"^\s*fitness\s*:", re.MULTILINE | re.IGNORECASE)


def messages_hash(messages: Sequence[Message]) -> str:
    """SHA-256 of the roles and contents: equal conversations, equal hash."""
    content = json.dumps([[message.role, message.content] for message in messages], ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def purpose_of(messages: Sequence[Message]) -> Purpose:
    """ "repair" if the last message asks to mend the program before it, else "generation".

    A generation is asked for by the first user message, or by one that carries a reflection (with its ``fitness:``
    line); any other answer to an assistant's message lists that program's problems.
    """
    before = [message.role for message in messages[:-1]]
    if "assistant" not in before or _REFLECTION.search(messages[-1].content):
        return "generation"
    return "repair"


def estimated_tokens(text: str) -> int:
    """About how many tokens ``text`` has, rounded up: four characters of English or code make one."""
    return -(-len(text) // 4)


def estimated_prompt_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens the messages have, with four more for the frame of each."""
    return sum(estimated_tokens(message.content) + 4 for message in messages)
