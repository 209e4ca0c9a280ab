"""Who is at the browser, and whether they may be: visitors' cookies and forms."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from dataclasses import dataclass

from rewardgen.signing import SigningKey

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]{1,60}")
"""What a person may be called: no control characters, and none that turn the reading direction around."""


@dataclass(frozen=True)
class Visitor:
    """One browser: ``id`` is drawn at random, ``name`` is what its person wants to be called, "" until they said."""

    id: str
    name: str = ""

    @classmethod
    def new(cls) -> Visitor:
        return cls(secrets.token_urlsafe(12))


def to_cookie(visitor: Visitor, key: SigningKey) -> str:
    text = base64.urlsafe_b64encode(json.dumps([visitor.id, visitor.name]).encode()).decode()
    return f"{text}.{key.sign('visitor', text)}"


def from_cookie(cookie: str, key: SigningKey) -> Visitor | None:
    """The visitor of a cookie that this server signed; None for any other."""
    text, _, signature = cookie.partition(".")
    if not key.signed(signature, "visitor", text):
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(text))
    except (binascii.Error, ValueError):
        return None
    return Visitor(*values) if isinstance(values, list) and len(values) == 2 else None


def csrf_token(visitor: Visitor, key: SigningKey) -> str:
    """What every form of a visitor's pages carries: other sites cannot know it."""
    return key.sign("form", visitor.id)


def usable_name(text: str) -> str | None:
    """``text`` as a person's name, its whitespace tidied; None where it cannot be one."""
    name = " ".join(text.split())
    return name if _NAME.fullmatch(name) else None
