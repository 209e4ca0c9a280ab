"""``rewardgen methods``: list the search methods, show one, or compare two."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rewardgen.cli.options import Json
from rewardgen.cli.output import print_json, safe, show, table, write
from rewardgen.errors import UsageError

if TYPE_CHECKING:
    from rewardgen.search import Method

NAMES = ("name", "summary")


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show this method: a name, or a YAML file.")
    ] = None,
    diff: Annotated[
        tuple[str, str] | None, typer.Option("--diff", metavar="A B", help="Show how two methods differ.")
    ] = None,
    json: Json = False,
) -> None:
    """List the search methods, show one, or show how two differ."""
    from rewardgen.config import SearchConfig
    from rewardgen.search import load_method, method_file, method_names

    # Two methods
    if diff is not None:
        if name is not None:
            raise UsageError("--diff compares the two methods that it names; remove the third one")
        differing = differences(*map(load_method, diff))
        print_json({"methods": list(diff), "differences": differing}) if json else _show_differences(diff, differing)
        return
    # One method
    if name is not None:
        if json:
            print_json(load_method(name).model_dump(mode="json"))
        else:
            load_method(name)  # raises if it is not a valid method
            write(method_file(name).read_text(encoding="utf-8").strip())
        return
    # All methods
    default = SearchConfig().method
    known = [load_method(each) for each in method_names()]
    if json:
        print_json({"default": default, "methods": [each.model_dump(mode="json") for each in known]})
        return
    listing = table("method", "what it does")
    for each in known:
        listing.add_row(each.name, safe(each.summary))
    show(listing)
    write(
        f"\n{default} is the default; `rewardgen methods NAME` shows one with its sources, "
        "`--diff A B` how two differ.",
        style="dim",
    )


def differences(one: Method, other: Method) -> dict[str, tuple[Any, Any]]:
    """Return dotted key → its value in each method, for all keys that differ.

    Settings that a method does not set have their defaults.
    """
    from rewardgen.config import load

    # Compare what the methods declare, and the settings that result from their defaults
    sides = []
    for method in (one, other):
        facts = flat(method.model_dump(mode="json", exclude={*NAMES, "settings"}))
        config = load(None, {"task": "any"}, method_defaults=method.settings)
        sides.append(facts | {f"settings.{key}": value for key, value in flat(config.model_dump(mode="json")).items()})
    keys = dict.fromkeys([*sides[0], *sides[1]])
    return {key: (sides[0].get(key), sides[1].get(key)) for key in keys if sides[0].get(key) != sides[1].get(key)}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested sections as one mapping with dotted keys."""
    flattened: dict[str, Any] = {}
    for key, value in values.items():
        flattened |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flattened


def _show_differences(names: tuple[str, str], differing: dict[str, tuple[Any, Any]]) -> None:
    """Print the differences as a table, one column per method."""
    if not differing:
        write("They differ only in name.")
        return
    listing = table("setting", *(safe(Path(name).stem) for name in names))
    for key, values in differing.items():
        listing.add_row(key, *(safe(_shown(value)) for value in values))
    show(listing)


def _shown(value: Any) -> str:
    """Return a value as it would stand in YAML; "–" for nothing."""
    if value is None:
        return "–"
    return (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
