"""The names of authors: who writes the rewards of a run, as ``llm.model`` and ``--llm`` take them."""

from __future__ import annotations

OFFLINE = "offline"
"""The author that writes by plain rules."""
AUTO = "auto"
"""Offline without a key; an error with one, since no model is named."""
REPLAY = "replay:"
STRICT_REPLAY = "replay-strict:"
DIALOG = "dialog:"
OWN_DIALOG = "dialog"
"""A dialog in the run's own folder."""
FILE_AUTHORS = (REPLAY, STRICT_REPLAY, DIALOG)
"""Prefixes of the authors that read or write files; the path follows."""


def is_dialog(name: str) -> bool:
    """Return whether ``name`` is that of a dialog, in which a person or an agent answers."""
    return name == OWN_DIALOG or name.startswith(DIALOG)


def is_language_model(name: str) -> bool:
    """Return whether ``name`` is that of a language model at an endpoint, rather than of another author."""
    return name not in ("", AUTO, OFFLINE, OWN_DIALOG) and not name.startswith(FILE_AUTHORS)
