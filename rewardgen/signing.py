"""The user's own key on this machine, what it signs, and the token that admits to rewardgen's servers."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from pathlib import Path

from platformdirs import user_state_path

from rewardgen import files
from rewardgen.errors import UsageError

_BYTES = 32
_MIN_TOKEN = 12  # characters of a token that somebody chose: fewer can be guessed


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


def server_token(key: SigningKey, chosen: str | None = None) -> str:
    """The token that a server asks for: ``chosen``, or this machine's own, which all servers of the user share.

    Raises:
        UsageError: ``chosen`` is too short.
    """
    if chosen is not None and len(chosen) < _MIN_TOKEN:
        raise UsageError(f"a token of fewer than {_MIN_TOKEN} characters can be guessed; leave it out to have one made")
    return chosen if chosen is not None else key.sign("own token")[:32]
