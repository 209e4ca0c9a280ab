"""The one dialect of YAML that settings, sweeps, tasks, methods and prices are written in, read by ruamel.yaml.

YAML 1.2's core schema, in which ``1e6`` and ``3e-4`` are numbers and ``1:30`` is text, with two additions that older
files rely on: ``yes``, ``no``, ``on`` and ``off`` are booleans, and ``<<`` merges mappings. A whole number in exponent
form (``1e6``) is an int, so that it can be given wherever a count is expected. Duplicate keys, anchors that contain
themselves, and aliases that expand to millions of values are errors.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.resolver import VersionedResolver

from rewardgen.errors import ConfigError

Place = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

MAX_DEPTH = 64
"""Max. depth of nested values."""
MAX_VALUES = 100_000
"""Max. number of values of a document once its aliases are expanded."""
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_WHOLE = re.compile(r"[-+]?[0-9][0-9_]*[eE]\+?[0-9]+")
# Patterns of unquoted scalars that are not text, and the characters that they begin with
_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (
        r"true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF",
        "tTfFyYnNoO",
    ),
    "int": (r"[-+]?[0-9][0-9_]*|[-+]?0b[01_]+|[-+]?0o[0-7_]+|[-+]?0x[0-9a-fA-F_]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": (r"<<", "<"),
}


@dataclass(frozen=True)
class YamlProblem:
    """Something that is wrong; ``line`` counts from 1 and is 0 for problems that are not in the file."""

    line: int
    text: str


@dataclass(frozen=True)
class Document:
    """A YAML mapping from the file ``path``, and the line of every value in it."""

    path: Path
    text: str
    values: dict[str, Any]
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """Return the line of the value at ``place``, or of the innermost written value that contains it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def where(self, place: Place) -> str:
        """Return "FILE:LINE" of the value at ``place``."""
        return f"{self.path}:{self.line(place)}"

    def error(self, problems: Sequence[YamlProblem]) -> ConfigError:
        """Return one error for all ``problems``, each on its own line, in the order of the file."""
        ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.text))
        return ConfigError(
            "\n".join(f"{self.path}:{each.line}: {each.text}" if each.line else each.text for each in ordered)
        )


def read(path: Path, holds: str = "it must hold a mapping of settings") -> Document:
    """Return the mapping in the YAML file at ``path``; an empty file is an empty mapping.

    Args:
        holds: the error message for a file that holds something else than a mapping.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, a duplicate key, or endless aliases; the message names file
            and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; give the path of a YAML file") from error
    try:
        values, node = _load(text)
    except _Wrong as error:
        raise Document(path, text, {}, {}).error(error.problems) from error
    if node is None or values is None:
        return Document(path, text, {}, {})
    if not isinstance(values, dict):
        raise ConfigError(f"{path}:{_line(node)}: {holds}, not a {type(values).__name__}")
    return Document(path, text, values, dict(_lines(node, ())))


def read_value(text: str) -> Any:
    """Return the value of a YAML text, such as that of ``--set KEY=VALUE``; None for an empty one.

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        return _load(text)[0]
    except _Wrong as error:
        raise ConfigError("; ".join(problem.text for problem in error.problems)) from error


class _Wrong(Exception):
    """Carries what is wrong with a text to the functions that know its file."""

    def __init__(self, *problems: YamlProblem) -> None:
        super().__init__(*problems)
        self.problems = problems


class _Resolver(VersionedResolver):
    """Tells numbers, booleans and null from text by ``_SCALARS``, whatever YAML version a file declares."""

    @property
    def processing_version(self) -> Any:
        return (1, 2)

    @property
    def versioned_resolver(self) -> Any:
        return _BY_FIRST


def _by_first() -> dict[str | None, list[tuple[str, re.Pattern[str]]]]:
    """Return first character ("" for an empty scalar) → the tags that a scalar can have, each with its pattern."""
    tags: dict[str | None, list[tuple[str, re.Pattern[str]]]] = defaultdict(list)
    for name, (pattern, first) in _SCALARS.items():
        for character in ["", *first] if name == "null" else first:
            tags[character].append((f"{_TAG}{name}", re.compile(rf"(?:{pattern})\Z")))
    return dict(tags)


_BY_FIRST = _by_first()


class _Constructor(SafeConstructor):
    """Constructs values; whole numbers in exponent form are ints."""

    def construct_yaml_float(self, node: Any) -> float:
        """Return 1000000 for "1e6" and 0.0003 for "3e-4"."""
        value = super().construct_yaml_float(node)
        return int(value) if math.isfinite(value) and _WHOLE.fullmatch(node.value) else value


_Constructor.add_constructor(f"{_TAG}float", _Constructor.construct_yaml_float)


def _load(text: str) -> tuple[Any, Node | None]:
    """Return the value of a YAML document and its root node, with merges applied; (None, None) for an empty one.

    Raises:
        _Wrong: it is not YAML of this dialect.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    yaml.Resolver, yaml.Constructor = _Resolver, _Constructor
    try:
        node = yaml.compose(text)
        if node is None:
            return None, None
        # Check the nodes before any value is made of them
        _check_size(node, {}, set())
        duplicates = tuple(_duplicates(node, set()))
        if duplicates:
            raise _Wrong(*duplicates)
        return yaml.constructor.construct_document(node), node
    # Errors of the parser, with their lines
    except MaxDepthExceededError as error:
        line = error.problem_mark.line + 1
        raise _Wrong(
            YamlProblem(line, f"values are nested more than {MAX_DEPTH} levels deep; nest them less")
        ) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = error.problem if error.context is None else f"{error.problem} ({error.context})"
        raise _Wrong(YamlProblem(mark.line + 1 if mark else 1, f"this is not YAML: {message}")) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Wrong(YamlProblem(line, f"this is not YAML: {error.reason} ({error.character!r})")) from error
    except (YAMLError, ValueError, OverflowError) as error:
        raise _Wrong(YamlProblem(1, f"this is not YAML: {error}")) from error


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _inner(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, SequenceNode):
        yield from node.value


def _check_size(node: Node, sizes: dict[int, int], around: set[int]) -> int:
    """Return how many values ``node`` has once its aliases are expanded; ``sizes`` caches those of nodes seen before.

    Raises:
        _Wrong: it contains itself, or has more than ``MAX_VALUES``.
    """
    if id(node) in around:
        text = f"the anchor &{node.anchor} contains itself; remove the alias *{node.anchor} from it"
        raise _Wrong(YamlProblem(_line(node), text))
    if id(node) not in sizes:
        around.add(id(node))
        sizes[id(node)] = 1 + sum(_check_size(each, sizes, around) for each in _inner(node))
        around.discard(id(node))
        if sizes[id(node)] > MAX_VALUES:
            text = f"aliases expand to more than {MAX_VALUES:,} values here; use fewer of them"
            raise _Wrong(YamlProblem(_line(node), text))
    return sizes[id(node)]


def _key(node: Node) -> str:
    return str(node.value)


def _duplicates(node: Node, seen: set[int]) -> Iterator[YamlProblem]:
    """Yield duplicate keys of mappings: many readers would silently take the last one."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, MappingNode):
        first: dict[str, int] = {}
        for key, _ in node.value:
            if _key(key) in first and key.tag != _MERGE:
                yield YamlProblem(_line(key), f"duplicate key {_key(key)!r}, first in line {first[_key(key)]}")
            first.setdefault(_key(key), _line(key))
    for each in _inner(node):
        yield from _duplicates(each, seen)


def _lines(node: Node, place: Place) -> Iterator[tuple[Place, int]]:
    """Yield the place and line of each value below ``node``."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*place, _key(key))
            yield inner, _line(key)
            yield from _lines(value, inner)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield (*place, index), _line(item)
            yield from _lines(item, (*place, index))
