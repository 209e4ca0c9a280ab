"""Copies methods of a task out of its task file, with everything that they use.

An exported environment must start, observe and end episodes as the task does where neither rewardgen nor the task file
is. This module collects the source of the methods, the methods and attributes of ``self`` that they use, and the
constants, helpers and imports of their modules.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

from rewardgen.tasks import Task

MODEL = "model"
"""The one attribute of a task that the exported file sets itself: an MjModel."""
_SUPER = re.compile(r"\bsuper\(\)\.(\w+)")


_BASE_METHODS = {"advance", "clip", "terminations", "_range", "_ranges"}
"""Methods of ``Task`` itself that are copied as they are; what its properties give is written down."""


class CannotCarry(Exception):
    """The code leans on something that cannot be written down; the message says on what."""


@dataclass
class Carried:
    """Python source to put into a file: ``imports``, ``constants`` and ``helpers`` at its top level, ``methods`` and
    ``attributes`` (already as lines of code) into a class body."""

    imports: list[str] = field(default_factory=list)
    constants: list[str] = field(default_factory=list)
    helpers: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)


def carry(task: Task, *methods: str) -> Carried:
    """Collect the source of ``methods`` of ``task`` and of all that they need.

    Raises:
        CannotCarry: they use something other than torch, mujoco and numpy, plain values, and functions of their own.
    """
    collector = _Collector(task)
    for name in methods:
        collector.member(name)
    return collector.found


class _Collector:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._seen_globals: dict[str, Any] = {}
        self._seen_members: set[str] = {MODEL}
        self.found = Carried()

    # ---- members of self

    def member(self, name: str) -> None:
        """Collect the member ``name`` of the task, whatever it is, and what it needs."""
        if name in self._seen_members:
            return
        self._seen_members.add(name)
        owner = next((each for each in type(self._task).__mro__ if name in vars(each)), None)
        function = _function_of(vars(owner)[name]) if owner is not None else None
        if owner is not None and function is not None:
            of_base = owner is Task
            if of_base and name not in _BASE_METHODS and not isinstance(vars(owner)[name], property | cached_property):
                raise CannotCarry(f"it calls self.{name}()")
            if not of_base or name in _BASE_METHODS:
                self._method(name, owner, function)
                return
        try:
            value = getattr(self._task, name)
        except AttributeError as error:
            raise CannotCarry(f"self.{name} is not there: {error}") from error
        self.found.attributes.append(f"{name} = {self._literal(value, f'self.{name}')}")

    def _method(self, name: str, owner: type, function: FunctionType) -> None:
        """Collect a method of ``owner`` under ``name``; calls of ``super()`` become calls of methods of their own."""
        source = _source(function)
        if name != function.__name__:
            source = re.sub(rf"\bdef {function.__name__}\(", f"def {name}(", source, count=1)
        mro = type(self._task).__mro__
        for called in dict.fromkeys(_SUPER.findall(source)):
            above = next(each for each in mro[mro.index(owner) + 1 :] if called in vars(each))
            parent = _function_of(vars(above)[called])
            renamed = f"_{above.__name__}_{called}"
            if parent is None or (above is Task and called not in _BASE_METHODS):
                raise CannotCarry(f"it calls super().{called}")
            source = re.sub(rf"\bsuper\(\)\.{called}\b", f"self.{renamed}", source)
            if renamed not in self._seen_members:
                self._seen_members.add(renamed)
                self._method(renamed, above, parent)
        self.found.methods.append(source)
        self._behind(function)

    # ---- what a function leans on

    def _behind(self, function: FunctionType) -> None:
        if set(function.__code__.co_freevars) - {"__class__"}:
            raise CannotCarry(f"{function.__name__} uses variables of the function around it")
        tree = ast.parse(_source(function))
        own_names = set(function.__code__.co_varnames)
        parameters = inspect.signature(function).parameters
        me = "self" if "self" in parameters else None
        for node in _code_of(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == me:
                self.member(node.attr)
            elif isinstance(node, ast.Name) and node.id not in own_names:
                self._global(node.id, function)

    def _global(self, name: str, function: FunctionType) -> None:
        if name not in function.__globals__:
            return  # a builtin, or a comprehension's own variable
        value = function.__globals__[name]
        if name in self._seen_globals:
            if self._seen_globals[name] is not value:  # of another module
                raise CannotCarry(f"two modules have a {name} of their own")
            return
        self._seen_globals[name] = value
        if isinstance(value, ModuleType):
            self._import_module(name, value)
        elif isinstance(value, FunctionType) and not _is_library(value.__module__):
            self._behind(value)
            self.found.helpers.append(_source(value))
        elif isinstance(value, type) and issubclass(value, Exception) and not _is_library(value.__module__):
            self.found.constants.append(f"{name} = RuntimeError")
        elif isinstance(value, FunctionType | type) or (callable(value) and hasattr(value, "__module__")):
            module = getattr(value, "__module__", "") or ""
            if not _is_library(module):
                raise CannotCarry(f"it uses {name} of {module}")
            original = getattr(value, "__name__", name)
            self.found.imports.append(f"from {module} import {original}" + (f" as {name}" if original != name else ""))
        else:
            self.found.constants.append(f"{name} = {self._literal(value, name)}")

    def _import_module(self, name: str, module: ModuleType) -> None:
        real = module.__name__
        if not _is_library(real):
            raise CannotCarry(f"it uses the module {real}")
        if real == name:
            line = f"import {real}"
        else:
            line = f"import {real} as {name}"
        if line not in self.found.imports:
            self.found.imports.append(line)

    def _literal(self, value: Any, what: str) -> str:
        """``value`` as an expression that gives it back."""
        if isinstance(value, torch.Tensor):
            return f"torch.tensor({value.tolist()!r}, dtype={value.dtype})"
        if isinstance(value, np.ndarray):
            return f"torch.tensor({value.tolist()!r}, dtype={torch.as_tensor(value).dtype}).numpy()"
        if isinstance(value, np.generic):
            value = value.item()
        text = repr(value)
        try:
            if ast.literal_eval(text) == value:
                return text
        except (ValueError, SyntaxError):
            pass
        if isinstance(value, float):  # infinities and NaN have no literal
            return f"float({text!r})"
        raise CannotCarry(f"{what} is a {type(value).__name__}, which cannot be written as a literal")


def _function_of(member: Any) -> FunctionType | None:
    if isinstance(member, staticmethod | classmethod):
        return member.__func__  # type: ignore[return-value]
    if isinstance(member, property):
        return member.fget  # type: ignore[return-value]
    if isinstance(member, cached_property):
        return member.func  # type: ignore[return-value]
    return member if isinstance(member, FunctionType) else None


def _source(function: FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError) as error:
        raise CannotCarry(f"the source of {function.__name__} cannot be read") from error


def _code_of(tree: ast.AST) -> list[ast.AST]:
    """All nodes of a function's source but those of annotations, which a file can leave unevaluated."""
    nodes: list[ast.AST] = []
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop(0)
        nodes.append(node)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns"):
                continue
            children = value if isinstance(value, list) else [value]
            pending += [child for child in children if isinstance(child, ast.AST)]
    return nodes


def _is_library(module: str) -> bool:
    """Whether a module is there wherever an exported wrapper is used."""
    return module.partition(".")[0] in (
        "torch",
        "mujoco",
        "numpy",
        "math",
        "functools",
        "itertools",
        "typing",
        "collections",
    )
