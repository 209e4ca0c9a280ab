"""Rules for the names of components, which are shown in prompts, on terminals and in pages."""

from __future__ import annotations

MAX_COMPONENTS = 32
MAX_NAME = 48  # characters


def is_component_name(name: object) -> bool:
    """Return whether ``name`` may name a component: a short ASCII identifier."""
    return isinstance(name, str) and len(name) <= MAX_NAME and name.isascii() and name.isidentifier()


def name_message(name: object) -> str:
    """Return what to tell the author of an invalid name."""
    shown = ascii(name)[:60] if isinstance(name, str) else f"of type {type(name).__name__[:40]}"
    return f"the component name {shown} must be an identifier of at most {MAX_NAME} letters, digits and underscores"


def number_message(count: int) -> str:
    """Return what to tell the author of too many components."""
    return f"{count} components; at most {MAX_COMPONENTS}: sum some of them up"
