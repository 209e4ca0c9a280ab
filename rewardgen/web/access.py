"""Identify visitors: their cookies and the tokens of their forms."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from dataclasses import dataclass

from rewardgen.signing import SigningKey

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]{1,60}")
"""Allowed names of people: no control characters, and none that change the direction of text."""


@dataclass(frozen=True)
class Visitor:
    """One browser: a random ``id``, and the ``name`` that its user has entered ("" before that)."""

    id: str
    name: str = ""

    @classmethod
    def new(cls) -> Visitor:
        """Create a visitor with a new random id."""
        return cls(secrets.token_urlsafe(12))


def to_cookie(visitor: Visitor, key: SigningKey) -> str:
    """Encode a visitor as the value of a signed cookie."""
    text = base64.urlsafe_b64encode(json.dumps([visitor.id, visitor.name]).encode()).decode()
    return f"{text}.{key.sign('visitor', text)}"


def from_cookie(cookie: str, key: SigningKey) -> Visitor | None:
    """Decode the cookie of a visitor; None unless this server signed it."""
    # Check the signature before the content is decoded
    text, _, signature = cookie.partition(".")
    if not key.signed(signature, "visitor", text):
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(text))
    except (binascii.Error, ValueError):
        return None
    return Visitor(*values) if isinstance(values, list) and len(values) == 2 else None


def csrf_token(visitor: Visitor, key: SigningKey) -> str:
    """Return the token in every form of a visitor's pages, which other sites cannot know."""
    return key.sign("form", visitor.id)


def usable_name(text: str) -> str | None:
    """Return ``text`` as a person's name with normalised whitespace; None if it is not an allowed name."""
    # Collapse whitespace before the length is checked
    name = " ".join(text.split())
    return name if _NAME.fullmatch(name) else None
