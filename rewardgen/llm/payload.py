"""Parts of a request as an OpenAI-compatible API takes them, and its answer."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx2

from rewardgen.llm import answers
from rewardgen.records import Message


def content_of(message: Message) -> str | list[dict[str, Any]]:
    """Return a message as the API takes it: text, or with pictures, parts of text and of pictures as data URLs."""
    if not message.images:
        return message.content
    pictures = [f"data:image/png;base64,{base64.b64encode(image).decode()}" for image in message.images]
    return [
        {"type": "text", "text": message.content},
        *({"type": "image_url", "image_url": {"url": picture}} for picture in pictures),
    ]


def request_seed(seed: int, index: int) -> int:
    """Return a seed for the server, different for each request of a call: equal seeds might bring equal replies."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:4], "big") >> 1


def parsed(response: httpx2.Response) -> Any:
    """Return the content of an answer as JSON."""
    return answers.parse_completion(response.content, response.headers.get("content-type", ""))
