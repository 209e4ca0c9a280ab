"""Keys and passwords: how they are read, and how they are kept out of what is shown and stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote, unquote

from rewardgen.errors import ConfigError

SHORTEST_MASKED = 8
"""Local servers accept any word as a key ("x", "none", "EMPTY"); masking such words would damage replies."""


class Secret:
    """Strings that no ``repr``, ``str`` or format shows; the first one is the key to send."""

    def __init__(self, *values: str) -> None:
        self._values = values

    def reveal(self) -> str:
        """Return the key."""
        return self._values[0]

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def mask(self, text: str) -> str:
        """Return ``text`` with every occurrence masked: as it is, and as Python, JSON and URLs escape it."""
        for value in self._values:
            if len(value) < SHORTEST_MASKED:
                continue
            # The longest form first, because a form may contain another
            encoded = value.encode("utf-8", "surrogateescape")
            forms = {value, repr(value)[1:-1], repr(encoded)[2:-1], json.dumps(value)[1:-1], quote(value, safe="")}
            for form in sorted(forms | {quote(value)}, key=len, reverse=True):
                text = text.replace(form, "***")
        return text


def read_key(environ: Mapping[str, str], variable: str | None) -> str | None:
    """Return the key in the environment variable ``variable``; None if it is not set.

    Raises:
        ConfigError: it holds characters that no key has and no HTTP header can carry. The message names the variable
            alone.
    """
    key = environ.get(variable, "").strip() if variable else ""
    if not key:
        return None
    # Such a key was pasted with something else
    if not key.isprintable() or not key.isascii():
        what = "a line break" if "\n" in key or "\r" in key else "a character that is no printable ASCII"
        raise ConfigError(f"the key in {variable} holds {what}; set {variable} to the key alone, in one line")
    return key


def password_of(userinfo: str) -> list[str]:
    """Return the password in ``user:password``, as it stands in a URL and decoded."""
    password = userinfo.partition(":")[2]
    return sorted({password, unquote(password)} - {""})
