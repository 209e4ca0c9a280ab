"""Build settings from files and flags; report what is wrong with them by key, file and line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from rewardgen import yaml
from rewardgen.config.sections import Config
from rewardgen.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
Where = Callable[[yaml.Place], str]
"""Maps the keys that lead to a setting to its place as errors name it, such as "config.yaml:3"."""


def load(
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    *,
    method_defaults: Mapping[str, Any] | None = None,
    task_defaults: Mapping[str, Any] | None = None,
    where: str | Where = "the settings",
) -> Config:
    """Build a run's configuration from the given defaults; ``rewardgen.search.configure`` looks those up.

    Args:
        path: a YAML file, or None.
        overrides: dotted key → value, from flags: ``{"training.steps": 200_000}``.
        method_defaults: the defaults of the search method, as nested sections.
        task_defaults: the task's own ``training`` settings.
        where: how errors name the place of settings that are not in the file at ``path``.

    Raises:
        ConfigError: the file is not YAML, or a key or value is wrong; the message says which, in which line, and what
            would be right.
    """
    # Merge the sources, each over those before it
    values: dict[str, Any] = {}
    for beneath in (method_defaults or {}, {"training": dict(task_defaults or {})}, given(path, overrides)):
        _merge(values, beneath)
    # Check the result; name the file's lines in errors
    return validate(Config, values, _where(yaml.read(path), overrides or {}, where) if path else where)


def _where(document: yaml.Document, overrides: Mapping[str, Any], elsewhere: str | Where) -> Where:
    """Return a function that names a setting's line in ``document``, or ``elsewhere`` if a flag overrides it."""

    def locate(place: yaml.Place) -> str:
        key = ".".join(map(str, place))
        # A flag overrides a setting that it names, that contains it, or that lies below it
        if any(f"{key}.".startswith(f"{flag}.") or f"{flag}.".startswith(f"{key}.") for flag in overrides):
            return elsewhere if isinstance(elsewhere, str) else elsewhere(place)
        return document.where(place)

    return locate


def given(path: Path | None, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the user's own settings as nested sections: the file's, overridden by the flags.

    Raises:
        ConfigError: the file is not YAML.
    """
    values: dict[str, Any] = {}
    if path is not None:
        _merge(values, yaml.read(path).values)
    # Nest each dotted flag: {"training.steps": 1} → {"training": {"steps": 1}}
    for dotted, value in (overrides or {}).items():
        nested: dict[str, Any] = {}
        inner = nested
        *parents, last = dotted.split(".")
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
        _merge(values, nested)
    return values


def validate(model: type[Model], values: Mapping[str, Any], where: str | Where) -> Model:
    """Return ``values`` as a ``model``.

    Args:
        where: how errors name the place of all values, or a function that names the place of each.

    Raises:
        ConfigError: one error for everything that is wrong, which names each key and similar ones.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = explained(model, error)
        if isinstance(where, str):
            message = f"{where}: " + "; ".join(text for _, text in problems)
        else:
            places = (where(detail["loc"]) for detail in error.errors())
            message = "\n".join(f"{place}: {text}" for place, (_, text) in zip(places, problems, strict=True))
        raise ConfigError(message, problems) from error


def explained(model: type[BaseModel], error: ValidationError) -> list[tuple[str, str]]:
    """Return each problem in ``error``: its dotted key and an explanation."""
    return [(".".join(map(str, detail["loc"])), _explain(model, detail)) for detail in error.errors()]


def _explain(model: type[BaseModel], detail: Any) -> str:
    """Say what is wrong with one value, or which keys an unknown one may have meant."""
    *parents, last = [str(part) for part in detail["loc"]] or [""]
    key = ".".join([*parents, last])
    if detail["type"] != "extra_forbidden":
        return f"{key}: {_reason(detail)}{_shown_value(detail, last)}"
    # Unknown key: similar names in the same section, else similar names anywhere, else all names of the section
    siblings = [".".join([*parents, name]) for name in _names_at(model, parents)]
    near = [".".join([*parents, name]) for name in difflib.get_close_matches(last, _names_at(model, parents), 3)]
    near = near or difflib.get_close_matches(key, _keys(model), 3)
    return f"unknown key {key!r}; " + (
        f"did you mean {' or '.join(near)}?" if near else f"the keys here are: {', '.join(siblings)}"
    )


def _shown_value(detail: Any, name: str) -> str:
    """Return the wrong value unless it may be secret: base URLs hold passwords, and keys stand where names belong."""
    value = detail["input"]
    if detail["type"] == "missing" or isinstance(value, Mapping) or name in ("base_url", "key_variable"):
        return ""
    return f" (it is {value!r})"


def _reason(detail: Any) -> str:
    """Return pydantic's explanation, in our words where it speaks of models."""
    if detail["type"] in ("model_type", "model_attributes_type"):
        return "give a mapping of settings"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return str(detail["msg"]).lower()


def _names_at(model: type[BaseModel], parents: list[str]) -> list[str]:
    """Return the keys of the section at ``parents``, which may lie in a mapping of names to sections."""
    section: Any = model
    for part in parents:
        fields = getattr(section, "model_fields", {})
        arguments = get_args(section)
        # A field has the type of its section; a key of a mapping has the type of the mapping's values
        section = fields[part].annotation if part in fields else arguments[-1] if arguments else None
    return list(getattr(section, "model_fields", {}))


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return all dotted keys of a model, sections included."""
    names = []
    for name, info in model.model_fields.items():
        names.append(prefix + name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names += _keys(info.annotation, f"{prefix}{name}.")
    return names


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Merge ``values`` into ``into``, section by section; a bool in place of a section sets its ``enabled``."""
    for key, value in values.items():
        beneath = into.get(key)
        if isinstance(value, Mapping):
            if not isinstance(beneath, dict):
                beneath = into[key] = {"enabled": beneath} if isinstance(beneath, bool) else {}
            _merge(beneath, value)
        elif isinstance(value, bool) and isinstance(beneath, dict):
            beneath["enabled"] = value
        else:
            into[key] = value
