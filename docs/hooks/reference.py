"""Generates the reference pages from the code, and checks that built pages load nothing from other servers."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import rewardgen
from rewardgen.cli.app import app
from rewardgen.config import Config

BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "pattern": "matches"}
TYPES = {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path"}
API_GROUPS = {
    "Searches": ("rewardgen.config", "rewardgen.search"),
    "Results": ("rewardgen.store", "rewardgen.report"),
    "Tasks": ("rewardgen.tasks", "rewardgen.records"),
    "Errors": ("rewardgen.errors",),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to ``files``."""
    for name, content in (("commands", commands_page()), ("settings", settings_page()), ("python", python_page())):
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


# ---- Commands


def commands_page() -> str:
    """Render every command of the command line with its arguments and options, as Markdown."""
    group = typer.main.get_command(app)
    lines = [
        "# Commands",
        "",
        "Generated from the command line itself; `rewardgen COMMAND --help` prints the same.",
        "",
        "With `--json` a command prints one JSON document and nothing else. Exit codes: 0 success, 1 failure, 2 wrong "
        "usage, 130 stopped by Ctrl-C.",
    ]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        lines += ["", f"## rewardgen {name}", "", *_command_help(command.help), ""]
        arguments = [p for p in command.params if p.name and not p.opts[0].startswith("-")]
        options = [p for p in command.params if p.opts[0].startswith("-") and not p.hidden]
        usage = " ".join(_argument_usage(argument) for argument in arguments)
        lines += ["```text", " ".join(f"rewardgen {name} {usage} [OPTIONS]".split()), "```"]
        for title, parameters in (("Argument", arguments), ("Option", options)):
            if parameters:
                lines += ["", f"| {title} | Value | Default | Description |", "|---|---|---|---|"]
                lines += [_parameter_row(parameter) for parameter in parameters]
    return "\n".join(lines) + "\n"


def _command_help(text: str | None) -> list[str]:
    return [_prose(paragraph) + "\n" for paragraph in inspect.cleandoc(text or "").split("\n\n")]


def _argument_usage(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[]")
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def _parameter_row(parameter: Any) -> str:
    if parameter.opts[0].startswith("-"):
        name = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    else:
        name = f"`{(parameter.metavar or parameter.name.upper()).strip('[]')}`"
    annotation = parameter.type_descriptor.annotation
    kind = "flag" if getattr(parameter, "is_flag", False) else _type_text(annotation)
    value = f"`{parameter.metavar}`" if parameter.metavar and name.startswith("`-") else kind
    limits = [f"{sign} {limit}" for sign, limit in (("≥", parameter.min), ("≤", parameter.max)) if limit is not None]
    value = ", ".join([value, *limits])
    default = parameter.default
    shown = "required" if parameter.required else "" if default in (None, False, (), []) else f"`{default}`"
    return "| " + " | ".join([name, _cell(value), _cell(shown), _cell(_prose(parameter.help or ""))]) + " |"


# ---- Settings


def settings_page() -> str:
    """Render every setting of a run with its type, default, bounds and description, as Markdown."""
    lines = [
        "# Settings",
        "",
        "Generated from `rewardgen/config/`. Every setting can be given as `--set KEY=VALUE`, in a YAML file "
        "(`--config FILE`), in a sweep, and from Python; [Settings and budgets](../configuration.md) shows how.",
        "",
        "The defaults below are overridden by the search method (`rewardgen methods NAME`), then by the task's own "
        "`training` settings (`rewardgen tasks NAME`), then by the YAML file, then by flags.",
    ]
    for prefix, model in sections(Config):
        lines += ["", f"## {prefix or 'Top level'}", ""]
        if prefix:
            lines += [_prose(model.__doc__ or ""), ""]
        lines += ["| Setting | Type | Default | Bounds | Description |", "|---|---|---|---|---|"]
        for name, info in model.model_fields.items():
            if not _is_section(info.annotation):
                lines.append(_setting_row(f"{prefix}.{name}" if prefix else name, info))
    return "\n".join(lines) + "\n"


def sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the dotted name and the model of ``model`` and of every section in it, lists of sections included."""
    yield prefix, model
    for name, info in model.model_fields.items():
        dotted = f"{prefix}.{name}" if prefix else name
        if _is_section(info.annotation):
            yield from sections(typing.cast(type[BaseModel], info.annotation), dotted)
        for item in get_args(info.annotation):
            if _is_section(item):
                yield from sections(item, f"{dotted}[]")


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _setting_row(key: str, info: FieldInfo) -> str:
    default = "required" if info.is_required() else f"`{_value(info.get_default(call_default_factory=True))}`"
    bounds = [
        f"matches `{value}`" if name == "pattern" else f"{BOUNDS[name]} {value}"
        for item in info.metadata
        for name in BOUNDS
        if (value := getattr(item, name, None)) is not None
    ]
    anchor = key.replace("[]", "")
    cells = [f"`{key}`{{#{anchor}}}", _type_text(info.annotation), default, ", ".join(bounds), info.description or ""]
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _value(value: Any) -> str:
    """Write ``value`` as it stands in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    return '""' if value == "" else str(value)


def _type_text(annotation: Any) -> str:
    """Describe a type as a person would: ``int | None`` is "integer or null"."""
    arguments = [item for item in get_args(annotation) if item is not Ellipsis]
    if annotation in TYPES:
        return TYPES[annotation]
    if get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{item}`" for item in arguments)
    if get_origin(annotation) in (types.UnionType, typing.Union):
        return " or ".join(_type_text(item) for item in arguments)
    if get_origin(annotation) in (tuple, list):
        return f"list of {_type_text(arguments[0])}"
    if get_origin(annotation) is dict:
        return "mapping"
    return {type(None): "null"}.get(annotation, "sections" if _is_section(annotation) else str(annotation))


# ---- Python API


def python_page() -> str:
    """Render one mkdocstrings directive for each public name of ``rewardgen``, as Markdown.

    Raises:
        PluginError: a public name belongs to none of ``API_GROUPS``.
    """
    lines = [
        "# Python API",
        "",
        "Generated from the names that `import rewardgen` exports and their docstrings; "
        "[From Python](../from-python.md) has an example. `rewardgen.__version__` is the version.",
    ]
    exported = {name: getattr(rewardgen, name) for name in rewardgen.__all__ if name != "__version__"}
    for title, modules in API_GROUPS.items():
        lines += ["", f"## {title}"]
        for name in [name for name, value in exported.items() if value.__module__.startswith(modules)]:
            value = exported.pop(name)
            defined = f"{value.__module__}.{value.__qualname__}"
            if value.__qualname__ != name:
                lines += ["", f"`rewardgen.{name}` is defined as `{defined}`:"]
            lines += ["", f"::: {defined}"]
            lines += ["    options:", f"      heading: rewardgen.{name}", f"      toc_label: {name}"]
            if value is Config:
                lines.append("      members: false")
    if exported:
        raise PluginError(f"docs/hooks/reference.py: no group of API_GROUPS holds {', '.join(exported)}")
    return "\n".join(lines) + "\n"


# ---- Text


def _prose(text: str) -> str:
    """Turn a docstring's text into one Markdown paragraph."""
    return re.sub(r"\s+", " ", text.replace("``", "`")).strip()


def _cell(text: str) -> str:
    """Escape the bars of a table's cell; those in code need no escape."""
    parts = text.replace("\n", " ").split("`")
    return "`".join(part if index % 2 else part.replace("|", "\\|") for index, part in enumerate(parts))


# ---- No foreign servers


class _Loads(HTMLParser):
    """Collects the addresses that a page loads by itself; links that a reader may follow are not among them."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
        values = dict(attrs)
        if tag == "link" and values.get("rel") == "canonical":
            return
        if (address := values.get(wanted.get(tag, ""))) is not None:
            self.addresses.append(address)


def foreign_addresses(html: str) -> list[str]:
    """List the addresses on other servers that the page ``html`` loads when it is opened."""
    parser = _Loads()
    parser.feed(html)
    return [address for address in parser.addresses if re.match(r"([a-z]+:)?//", address)]


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that would load something from another server."""
    if foreign := foreign_addresses(output):
        raise PluginError(f"{page.file.src_uri} loads {', '.join(foreign)}; keep such files in docs/ instead")
    return output
