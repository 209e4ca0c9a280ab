"""``rewardgen methods``: which search methods there are, all about one, and how two differ."""

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
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this one: a name, or a YAML file.")] = None,
    diff: Annotated[
        tuple[str, str] | None, typer.Option("--diff", metavar="A B", help="Show how two methods differ.")
    ] = None,
    json: Json = False,
) -> None:
    """List the search methods, show one, or show how two differ."""
    from rewardgen.config import SearchConfig
    from rewardgen.search import load_method, method_file, method_names

    if diff is not None:
        if name is not None:
            raise UsageError("--diff compares the two methods that it names; leave the third one out")
        told = differences(*map(load_method, diff))
        print_json({"methods": list(diff), "differences": told}) if json else _show_differences(diff, told)
        return
    if name is not None:
        if json:
            print_json(load_method(name).model_dump(mode="json"))
        else:
            load_method(name)  # what is no method is refused
            write(method_file(name).read_text(encoding="utf-8").strip())
        return
    default = SearchConfig().method
    found = [load_method(each) for each in method_names()]
    if json:
        print_json({"default": default, "methods": [each.model_dump(mode="json") for each in found]})
        return
    listing = table("method", "what it does")
    for each in found:
        listing.add_row(each.name, safe(each.summary))
    show(listing)
    write(
        f"\n{default} is used where none is named; `rewardgen methods NAME` shows one with its sources, "
        "`--diff A B` how two differ.",
        style="dim",
    )


def differences(one: Method, other: Method) -> dict[str, tuple[Any, Any]]:
    """Dotted key → what it is in each, for all that differs. A setting that one does not bring is the default."""
    from rewardgen.config import load

    sides = []
    for method in (one, other):
        facts = flat(method.model_dump(mode="json", exclude={*NAMES, "settings"}))
        config = load(None, {"task": "any"}, method_defaults=method.settings)
        sides.append(facts | {f"settings.{key}": value for key, value in flat(config.model_dump(mode="json")).items()})
    keys = dict.fromkeys([*sides[0], *sides[1]])
    return {key: (sides[0].get(key), sides[1].get(key)) for key in keys if sides[0].get(key) != sides[1].get(key)}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _show_differences(names: tuple[str, str], told: dict[str, tuple[Any, Any]]) -> None:
    if not told:
        write("They differ in nothing but their names.")
        return
    listing = table("setting", *(safe(Path(name).stem) for name in names))
    for key, values in told.items():
        listing.add_row(key, *(safe(_said(value)) for value in values))
    show(listing)


def _said(value: Any) -> str:
    if value is None:
        return "–"
    return (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
