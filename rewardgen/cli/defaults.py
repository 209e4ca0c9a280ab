"""``rewardgen settings``: every setting of a run, its default and its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rewardgen.cli.options import Json
from rewardgen.cli.output import print_json, safe, show, table, write
from rewardgen.errors import UnknownName

_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def settings(
    part: Annotated[
        str | None, typer.Argument(metavar="[PART]", help="Show only settings whose name or description contains this.")
    ] = None,
    json: Json = False,
) -> None:
    """List the settings that --set, YAML files and sweeps accept, with their defaults."""
    from rewardgen.config import Config

    # Search names and descriptions
    known = [_facts(key, info) for key, info in _fields(Config)]
    matching = [
        facts for facts in known if part is None or part.lower() in f"{facts['key']} {facts['description']}".lower()
    ]
    if not matching:
        raise UnknownName("setting", part or "", [facts["key"] for facts in known])
    if json:
        print_json({"settings": matching})
        return
    listing = table("setting", "default", "what it does")
    for facts in matching:
        listing.add_row(safe(facts["key"]), safe(_shown(facts["default"])), safe(_described(facts)))
    show(listing)
    write(
        "\nA search method, a task, a YAML file and flags override the defaults, in this order: "
        "`rewardgen run TASK --set KEY=VALUE`.",
        style="dim",
    )


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the dotted key and the field of each setting of ``model``, sections included."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _fields(info.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info


def _facts(key: str, info: FieldInfo) -> dict[str, Any]:
    """Return a setting's key, default, bounds and description as plain values."""
    # Bounds as pydantic holds them, as signs
    bounds = [
        f"{sign} {limit}"
        for item in info.metadata
        for name, sign in _BOUNDS.items()
        if (limit := getattr(item, name, None)) is not None
    ]
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    return {
        "key": key,
        "default": default,
        "required": info.is_required(),
        "bounds": ", ".join(bounds),
        "description": info.description or "",
    }


def _described(facts: dict[str, Any]) -> str:
    """Return a setting's description with its bounds."""
    return facts["description"] + (f" ({facts['bounds']})" if facts["bounds"] else "")


def _shown(default: Any) -> str:
    """Return a default as text, as YAML would have it; "–" for nothing."""
    if default is None or default == () or default == {}:
        return "–"
    return str(default).lower() if isinstance(default, bool) else str(default)
