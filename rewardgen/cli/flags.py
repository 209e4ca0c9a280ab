"""Flags for single settings: their help, bounds and choices come from the setting's own description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo
from typer.models import OptionInfo

from rewardgen.config import Config


class SettingFlag(OptionInfo):
    """The flag of one setting, for ``Annotated``; named after its parameter.

    Args:
        setting: the setting's dotted name.
        panel: the group of flags that ``--help`` shows it in.
        metavar: the placeholder of the value, where neither the setting's type nor its bounds say enough.
        name: the flag, if it is not named after its parameter.
    """

    def __init__(
        self, setting: str, panel: str | None = None, *, metavar: str | None = None, name: str | None = None
    ) -> None:
        # Take choices, bounds and help from the declaration of the setting
        field = _field(setting)
        choices = [str(value) for value in get_args(field.annotation) if get_origin(field.annotation) is Literal]
        super().__init__(
            default=...,
            param_decls=(name,) if name else None,
            metavar=metavar or "|".join(choices) or None,
            min=_bound(field, "ge"),
            max=_bound(field, "le"),
            help=_sentence(field.description or "", choices),
            rich_help_panel=panel,
        )
        # ``given`` finds the setting of a flag by this
        self.setting = setting


def given(command: Callable[..., None], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of those flags of ``command`` that were given.

    Args:
        values: parameter's name → its value; None: not given.
    """
    return {
        item.setting: values[name]
        for name, hint in get_type_hints(command, include_extras=True).items()
        for item in getattr(hint, "__metadata__", ())
        if isinstance(item, SettingFlag) and values[name] is not None
    }


def _field(setting: str) -> FieldInfo:
    """Return the declaration of a setting."""
    section: Any = Config
    *path, name = setting.split(".")
    for part in path:
        section = section.model_fields[part].annotation
    field: FieldInfo = section.model_fields[name]
    return field


def _bound(field: FieldInfo, kind: str) -> Any:
    """Return a bound ("ge" or "le") of a setting; None if it has none."""
    return next((value for item in field.metadata if (value := getattr(item, kind, None)) is not None), None)


def _sentence(description: str, choices: list[str]) -> str:
    """Return a setting's description as a sentence; if it begins with one of its choices, that is not capitalised."""
    if description.startswith(tuple(choices)):
        return f"{description}."
    return f"{description[:1].upper()}{description[1:]}."
