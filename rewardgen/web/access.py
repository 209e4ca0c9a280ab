"""Who is at the browser, and whether they may be: signatures, visitors' cookies, the token of other machines."""

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
"""What a person may be called: no control characters, and none that turn the reading direction around."""


class SigningKey:
    """Signs what a browser keeps and gives back.

    Args:
        secret: at least 16 bytes; whoever has them can pretend to be anybody.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError("a key needs at least 16 bytes")
        self._secret = secret

    def __repr__(self) -> str:
        return "SigningKey(…)"

    def sign(self, purpose: str, *parts: str) -> str:
        """The signature (HMAC-SHA-256, hexadecimal) of ``parts`` for one ``purpose``, good for no other."""
        message = json.dumps([purpose, *parts]).encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def signed(self, signature: str, purpose: str, *parts: str) -> bool:
        """Whether ``signature`` is that of ``sign``, in a time that tells nothing."""
        return same(signature, self.sign(purpose, *parts))


def same(given: str, wanted: str) -> bool:
    """Whether two texts are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8", "replace"))


def state_folder() -> Path:
    """Return the folder for data of this user that outlives the program: ~/.local/state/rewardgen on Linux (XDG)."""
    return user_state_path("rewardgen", appauthor=False)


def load_key(folder: Path) -> tuple[SigningKey, bool]:
    """The key kept in ``folder``, made if there is none; False: nothing can be kept there, it is for this once.

    A key that outlives the server is what lets people go on after a restart, in the very page that they had open.
    """
    path = folder / "web.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            files.write_new(path, secrets.token_bytes(_BYTES), mode=files.PRIVATE)
        return SigningKey(path.read_bytes()), True
    except (OSError, ValueError):
        return SigningKey(secrets.token_bytes(_BYTES)), False


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
