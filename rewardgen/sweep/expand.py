"""Expands a spec into arms: every named arm, with every combination of the grid, with each of the points."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardgen.search import method_names
from rewardgen.sweep.spec import SweepSpec
from rewardgen.yaml import Document, Place, YamlProblem

ALONE = "default"
"""The name of the only arm of a sweep that varies nothing."""
MAX_FOLDER = 255
"""Max. length of a folder's name in common file systems, in bytes."""
METHOD, PROMPTS = "search.method", "prompts"
_ELSEWHERE = {"task": "tasks", "seed": "seeds", "threads": "share.threads"}
"""Settings of a run that a sweep declares elsewhere."""
_FILES = re.compile(r"(?:replay(?:-strict)?:)?(?P<path>.+)")


@dataclass(frozen=True)
class GridSetting:
    """A value and the place where it was written; None: on the command line."""

    value: Any
    place: Place | None


Settings = Mapping[str, GridSetting]
"""Dotted name → its value; later ones override earlier ones."""


@dataclass(frozen=True)
class Arm:
    """One of the things that are compared. ``folder`` is its name as a folder; ``settings`` are those not shared."""

    name: str
    folder: str
    settings: Settings
    place: Place


def expand(spec: SweepSpec, source: Document) -> tuple[Settings, list[Arm]]:
    """Return the shared settings, and the arms in the order in which they were written.

    Raises:
        ConfigError: a grid is not a mapping to lists, two arms have one name, or a setting belongs elsewhere.
    """
    problems: list[YamlProblem] = []
    folder = source.path.parent
    # Read the parts: shared settings, named arms, the axes of the grid, and points
    shared = dict(_flat(spec.settings, ("settings",), folder))
    named = {name: dict(_flat(own, ("arms", name), folder)) for name, own in spec.arms.items()} or {"": {}}
    axes = [list(axis) for axis in _axes(spec.grid, source, problems)]
    points = [dict(_flat(point, ("points", number), folder)) for number, point in enumerate(spec.points)] or [{}]
    # Combine them; an arm is named after its part and what varies
    arms = []
    for (name, own), combination, point in itertools.product(named.items(), itertools.product(*axes), points):
        varied = merged(dict(combination), point)
        label = ", ".join(filter(None, [name, *(_label(key, each.value) for key, each in varied.items())])) or ALONE
        written = next((each.place for each in varied.values() if each.place is not None), ())
        arms.append(Arm(label, _folder(label), merged(own, varied), ("arms", name) if name else written))
    # Check settings and names
    for settings in (shared, *(arm.settings for arm in arms)):
        for key, setting in settings.items():
            if key in _ELSEWHERE:
                line = source.line(setting.place or ())
                problems.append(
                    YamlProblem(line, f"{key}: in a sweep, give this as `{_ELSEWHERE[key]}`, outside of settings")
                )
    problems += [
        YamlProblem(
            source.line(arm.place),
            f"the arm {arm.name[:40]!r}… has a name of {len(arm.folder)} characters, but its folder can have at most "
            f"{MAX_FOLDER}: give it a shorter name under `arms`, or fewer or shorter values in `grid` and `points`",
        )
        for arm in arms
        if len(arm.folder) > MAX_FOLDER
    ]
    problems += _clashes(arms, source)
    if problems:
        raise source.error(problems)
    return shared, arms


def merged(*layers: Settings) -> dict[str, GridSetting]:
    """Return ``layers`` merged, each over those before it; an overridden setting moves to the end."""
    result: dict[str, GridSetting] = {}
    for layer in layers:
        for key, setting in layer.items():
            result.pop(key, None)
            result[key] = setting
    return result


def _flat(values: Mapping[str, Any], place: Place, folder: Path, prefix: str = "") -> Iterator[tuple[str, GridSetting]]:
    """Yield nested or dotted settings as dotted ones."""
    for key, value in values.items():
        here, dotted = (*place, str(key)), f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, here, folder, f"{dotted}.")
        else:
            yield dotted, GridSetting(_seen_from(folder, dotted, value), here)


def _seen_from(folder: Path, key: str, value: Any) -> Any:
    """Return a value with the path of a file resolved: files lie relative to the spec, wherever the command runs."""
    # These settings name files
    names_a_file = key in (PROMPTS, "llm.prices") or (
        isinstance(value, str)
        and (
            (key == METHOD and value.endswith((".yaml", ".yml"))) or (key == "llm.model" and value.startswith("replay"))
        )
    )
    if not names_a_file or not isinstance(value, str):
        return value
    match = _FILES.fullmatch(value)
    assert match is not None
    path = Path(match["path"]).expanduser()
    return value[: match.start("path")] + str(path if path.is_absolute() else (folder / path).resolve())


def _axes(
    grid: Mapping[str, Any], source: Document, problems: list[YamlProblem]
) -> Iterator[list[tuple[str, GridSetting]]]:
    """Yield the values of each setting of the grid. A pattern stands for all search methods that it matches."""
    folder = source.path.parent
    for key, values, place in _leaves(grid, ("grid",)):
        if key == METHOD and isinstance(values, str):
            values = [values]
        if not isinstance(values, list) or not values:
            problems.append(YamlProblem(source.line(place), f"grid.{key}: give a list of values, not {values!r}"))
            continue
        axis = []
        # Expand patterns of methods
        for number, value in enumerate(values):
            names = [value]
            if key == METHOD and isinstance(value, str) and set(value) & set("*?["):
                names = fnmatch.filter(method_names(), value)
                if not names:
                    known = ", ".join(method_names())
                    problems.append(
                        YamlProblem(source.line((*place, number)), f"no method is named {value!r}; there are: {known}")
                    )
            axis += [(key, GridSetting(_seen_from(folder, key, name), (*place, number))) for name in names]
        yield axis


def _leaves(values: Mapping[str, Any], place: Place, prefix: str = "") -> Iterator[tuple[str, Any, Place]]:
    """Yield the dotted name, the value and the place of each leaf of nested mappings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*place, str(key)), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value, (*place, str(key))


def _label(key: str, value: Any) -> str:
    """Return the part of an arm's name for a value: text as it is, a number with its setting's name."""
    if isinstance(value, str):
        return Path(value).stem if key in (METHOD, PROMPTS) else value
    name = key.rpartition(".")[2]
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"


def _folder(name: str) -> str:
    """Return a name as one that every file system takes."""
    return re.sub(r"[^a-z0-9_.=]+", "-", name.lower()).strip("-.") or "arm"


def _clashes(arms: list[Arm], source: Document) -> Iterator[YamlProblem]:
    """Yield arms that have the same name or folder."""
    # Different names may become the same folder
    first: dict[str, Arm] = {}
    for arm in arms:
        other = first.setdefault(arm.folder, arm)
        if other is not arm:
            why = "the same name" if other.name == arm.name else f"the same folder, {arm.folder},"
            yield YamlProblem(
                source.line(arm.place),
                f"the arms {other.name!r} and {arm.name!r} have {why}; give them different names under `arms`",
            )
