"""How the components of a reward may be named: their names are shown in prompts, on terminals and in pages."""

from __future__ import annotations

MAX_COMPONENTS = 32
MAX_NAME = 48  # characters


def is_component_name(name: object) -> bool:
    """Whether ``name`` may name a component: a short ASCII identifier."""
    return isinstance(name, str) and len(name) <= MAX_NAME and name.isascii() and name.isidentifier()


def name_message(name: object) -> str:
    """What to tell the author of a component name that will not do."""
    shown = ascii(name)[:60] if isinstance(name, str) else f"of type {type(name).__name__[:40]}"
    return f"the component name {shown} must be an identifier of at most {MAX_NAME} letters, digits and underscores"


def number_message(count: int) -> str:
    """What to tell the author of more components than there may be."""
    return f"{count} components; at most {MAX_COMPONENTS}: sum some of them up"
