"""Takes the code that computes a task's state out of its task file, with everything that it leans on.

A task's ``state`` method reads a simulator's fields and gives the declared quantities. An exported wrapper must do the
same where neither rewardgen nor the task file is: this module collects the method, the methods and attributes of
``self`` that it uses, and the module's constants, helpers and imports behind them.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

from rewardgen.tasks import Task

MODEL = "model"
"""The one attribute of a task that the wrapper sets itself: the environment's own MjModel."""


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


def carry_state(task: Task) -> Carried:
    """The source of ``task.state`` and of all that it needs.

    Raises:
        CannotCarry: it uses something other than torch, mujoco and numpy, plain values, and functions of its own.
    """
    collector = _Collector(task)
    collector.method("state")
    return collector.found


class _Collector:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._seen_globals: set[str] = set()
        self._seen_members: set[str] = {MODEL}
        self.found = Carried()

    # ---- members of self

    def method(self, name: str) -> None:
        """Collect the member ``name`` of the task, whatever it is, and what it needs."""
        if name in self._seen_members:
            return
        self._seen_members.add(name)
        member = inspect.getattr_static(type(self._task), name, None)
        function = _function_of(member)
        declared_by_base = function is not None and function.__module__ == Task.__module__
        if function is not None and not declared_by_base:
            self.found.methods.append(_source(function))
            self._behind(function)
            return
        if declared_by_base and not isinstance(member, property | cached_property):
            raise CannotCarry(f"it calls self.{name}()")
        try:
            value = getattr(self._task, name)
        except AttributeError as error:
            raise CannotCarry(f"self.{name} is not there: {error}") from error
        self.found.attributes.append(f"{name} = {self._literal(value, f'self.{name}')}")

    # ---- what a function leans on

    def _behind(self, function: FunctionType) -> None:
        tree = ast.parse(_source(function))
        own_names = set(function.__code__.co_varnames)
        parameters = inspect.signature(function).parameters
        me = "self" if "self" in parameters else None
        for node in _code_of(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == me:
                self.method(node.attr)
            elif isinstance(node, ast.Name) and node.id not in own_names:
                self._global(node.id, function)

    def _global(self, name: str, function: FunctionType) -> None:
        if name in self._seen_globals or name not in function.__globals__:
            if name not in self._seen_globals and not hasattr(builtins, name) and name not in _closure(function):
                return  # a comprehension's own variable or a name bound later: nothing to carry
            return
        self._seen_globals.add(name)
        value = function.__globals__[name]
        if isinstance(value, ModuleType):
            self._import_module(name, value)
        elif isinstance(value, FunctionType) and not _is_library(value.__module__):
            self._behind(value)
            self.found.helpers.append(_source(value))
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


def _closure(function: FunctionType) -> tuple[str, ...]:
    return function.__code__.co_freevars


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
