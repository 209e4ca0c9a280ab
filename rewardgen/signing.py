"""The signing key of this user on this machine, and the token that admits to rewardgen's servers."""

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
    """Return the folder for data of this user that outlives the program: ~/.local/state/rewardgen on Linux (XDG)."""
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


def server_token(key: SigningKey, chosen: str | None = None) -> str:
    """Return the token that a server requires: ``chosen``, or this machine's own, which all the user's servers share.

    Raises:
        UsageError: ``chosen`` is too short.
    """
    if chosen is not None and len(chosen) < _MIN_TOKEN:
        raise UsageError(f"a token of fewer than {_MIN_TOKEN} characters can be guessed; leave it out to have one made")
    return chosen if chosen is not None else key.sign("own token")[:32]
