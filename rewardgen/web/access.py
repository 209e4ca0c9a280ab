"""Identify and admit visitors: signatures, cookies, and the access token."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from rewardgen import files

_BYTES = 32
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]{1,60}")
"""Allowed names of people: no control characters, and none that change the direction of text."""


class SigningKey:
    """Sign values that a browser stores and sends back.

    Args:
        secret: at least 16 bytes; whoever knows them can impersonate anybody.

    Raises:
        ValueError: the secret is shorter.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError("a key needs at least 16 bytes")
        self._secret = secret

    def __repr__(self) -> str:
        return "SigningKey(…)"

    def sign(self, purpose: str, *parts: str) -> str:
        """Return the signature (HMAC-SHA-256, hexadecimal) of ``parts``, valid for this ``purpose`` only."""
        # JSON separates the parts unambiguously
        message = json.dumps([purpose, *parts]).encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def signed(self, signature: str, purpose: str, *parts: str) -> bool:
        """Return whether ``signature`` is the one that ``sign`` makes; compared in constant time."""
        return same(signature, self.sign(purpose, *parts))


def same(given: str, wanted: str) -> bool:
    """Return whether two texts are equal; compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def state_folder() -> Path:
    """Return the folder for persistent state of this user: ~/.local/state/rewardgen on Linux (XDG)."""
    return user_state_path("rewardgen", appauthor=False)


def load_key(folder: Path) -> tuple[SigningKey, bool]:
    """Load the signing key from ``folder``, or create it.

    Returns:
        The key, and whether it is stored. With a stored key, pages that were open before a restart still work.
    """
    path = folder / "web.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Two servers may start at once: only the first one's key is written
        if not path.exists():
            files.write_new(path, secrets.token_bytes(_BYTES), mode=files.PRIVATE)
        return SigningKey(path.read_bytes()), True
    except (OSError, ValueError):
        # A read-only home folder: use a key for this process alone
        return SigningKey(secrets.token_bytes(_BYTES)), False


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
