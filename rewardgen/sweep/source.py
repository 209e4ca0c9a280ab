"""YAML whose every key and item knows its line, so that an error can point at what a person wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rewardgen.errors import ConfigError

Place = tuple[str | int, ...]
"""The keys and indices that lead to a value."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that also takes ``1e6`` and ``3e-4`` for numbers, as YAML 1.2 does and as people mean them."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Problem:
    """Something that is wrong; ``line`` counts from 1 and is 0 for what is not in the file."""

    line: int
    text: str


@dataclass(frozen=True)
class Source:
    """A YAML mapping and the lines of everything in it."""

    path: Path
    text: str
    values: Mapping[str, Any]
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """The line of what is at ``place``, or of the innermost thing around it that was written."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def error(self, problems: Sequence[Problem]) -> ConfigError:
        """One error for all ``problems``, each on a line of its own, in the order of the file."""
        ordered = sorted(set(problems), key=lambda problem: (problem.line, problem.text))
        return ConfigError(
            "\n".join(f"{self.path}:{each.line}: {each.text}" if each.line else each.text for each in ordered)
        )


def read_source(path: Path) -> Source:
    """The mapping in the YAML file at ``path``.

    Raises:
        ConfigError: no such file, not YAML, no mapping, or a key that is there twice; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; give the path of a YAML file") from error
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}:1: a sweep is a mapping with `tasks:` and more; docs/sweeps.md shows one")
        twice = list(_twice(node, ()))
        values = loader.construct_document(node)  # from here on, what << merges stands in the nodes
        lines = dict(_lines(node, (), ()))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: this is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: this is not YAML: {error}") from error
    source = Source(path, text, values, lines)
    if twice:
        raise source.error(twice)
    return source


def _key(node: yaml.Node) -> str:
    return str(node.value)


def _twice(node: yaml.Node, around: tuple[yaml.Node, ...]) -> Iterator[Problem]:
    """Keys that a mapping holds twice: YAML would silently take the last."""
    if node in around:
        return
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if _key(key) in first and key.tag != "tag:yaml.org,2002:merge":
                yield Problem(line, f"{_key(key)!r} stands here twice, first in line {first[_key(key)]}")
            first.setdefault(_key(key), line)
            yield from _twice(value, (*around, node))
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item, (*around, node))


def _lines(node: yaml.Node, place: Place, around: tuple[yaml.Node, ...]) -> Iterator[tuple[Place, int]]:
    if node in around:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, _key(key))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner, (*around, node))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            inner = (*place, number)
            yield inner, item.start_mark.line + 1
            yield from _lines(item, inner, (*around, node))
