"""A task's code as text: what a method leans on, and a reward method as the program that it would be as a candidate."""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

import torch

from rewardgen.program import shaping
from rewardgen.tasks import Task

ENTRY = "compute_reward"
TERMINATED = """
def terminated(state):
    return torch.stack(list(terminations(state).values())).any(dim=0)
"""  # ``Task.terminated`` without what only it may touch


@dataclass
class Code:
    """What the methods of a task lean on: functions and methods by name, constants of self and of the module."""

    functions: dict[str, FunctionType] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    trees: dict[str, ast.FunctionDef] = field(default_factory=dict)

    @property
    def identifiers(self) -> set[str]:
        """Every name that the code binds or reads, and every text in it that could be one."""
        found = set(self.constants) | set(self.functions)
        for tree in self.trees.values():
            for node in _evaluated(tree):
                if isinstance(node, ast.Name):
                    found.add(node.id)
                elif isinstance(node, ast.Attribute):
                    found.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                    found.add(node.value)
        return found

    @property
    def numbers(self) -> set[float]:
        """The absolute values of all numbers in the code and in its constants."""
        found = set()
        for tree in self.trees.values():
            found |= _literals(tree)
        for value in self.constants.values():
            found |= _numbers(value)
        for function in self.functions.values():  # 20.0 in LIMIT = cos(radians(20.0)): the value is not all there is
            module = ast.parse(inspect.getsource(inspect.getmodule(function)))
            for node in module.body:
                names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
                if isinstance(node, ast.Assign | ast.AnnAssign) and names & set(self.constants):
                    found |= _literals(node)
        return found


def code_behind(task: Task, methods: Sequence[str]) -> Code:
    """The code of ``methods`` and of all functions, methods and constants of the task's author that they use."""
    code = Code()
    for name in methods:
        _collect(task, code, name, _member(type(task), name))
    return code


def program(task: Task, method: str = "expert_reward") -> str:
    """The reward ``method`` of a task as the text of a candidate: functions and constants of one module."""
    code = code_behind(task, [method])
    parts = [f"{name} = {_literal(value)}" for name, value in code.constants.items()]
    for name, tree in code.trees.items():
        if name == "terminated" and code.functions[name] is Task.terminated:
            parts.append(TERMINATED.strip())
            continue
        flat = _Flat().visit(tree)
        flat.name = ENTRY if name == method else name
        parts.append(ast.unparse(ast.fix_missing_locations(flat)))
    return "\n\n".join(parts) + "\n"


class _Flat(ast.NodeTransformer):
    """A method as a plain function: no self, no annotations, no decorators."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.decorator_list, node.returns = [], None
        node.args.args = [argument for argument in node.args.args if argument.arg != "self"]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if _of_self(node):
            return ast.Name(node.attr, ast.Load())
        return self.generic_visit(node)  # type: ignore[return-value]


def _collect(task: Task, code: Code, name: str, function: FunctionType) -> None:
    if name in code.functions:
        return
    code.functions[name] = function
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    code.trees[name] = tree
    if function is Task.terminated:
        _collect(task, code, "terminations", _member(type(task), "terminations"))
        return
    local = {*function.__code__.co_varnames, *function.__code__.co_cellvars}
    for node in _evaluated(tree):
        if isinstance(node, ast.Attribute) and _of_self(node):
            member = _member(type(task), node.attr)
            if isinstance(member, FunctionType):
                _collect(task, code, node.attr, member)
            else:
                code.constants[node.attr] = getattr(task, node.attr)
        elif isinstance(node, ast.Name) and node.id not in local and node.id in function.__globals__:
            value = function.__globals__[node.id]
            if isinstance(value, ModuleType) or hasattr(builtins, node.id) or node.id in shaping.__all__:
                continue
            if isinstance(value, FunctionType):
                _collect(task, code, node.id, value)
            else:
                code.constants[node.id] = value


def _of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _member(task: type[Task], name: str) -> Any:
    member = inspect.getattr_static(task, name)
    if isinstance(member, staticmethod):
        return member.__func__
    return None if isinstance(member, property | cached_property) else member


def _evaluated(tree: ast.AST) -> list[ast.AST]:
    """All nodes but those of annotations."""
    nodes, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns"):
                waiting += [
                    item for item in (value if isinstance(value, list) else [value]) if isinstance(item, ast.AST)
                ]
    return nodes


def _literal(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"torch.tensor({value.tolist()!r}, dtype={value.dtype})"
    return f"float({str(value)!r})" if value in (float("inf"), float("-inf")) else repr(value)


def _literals(tree: ast.AST) -> set[float]:
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {number for value in constants for number in _numbers(value)}


def _numbers(value: Any) -> set[float]:
    if isinstance(value, bool) or value is None:
        return set()
    if isinstance(value, int | float):
        return {abs(float(value))}
    if isinstance(value, torch.Tensor):
        return _numbers(value.flatten().tolist())
    if isinstance(value, dict):
        return _numbers(list(value.values()))
    if isinstance(value, list | tuple):
        return {number for item in value for number in _numbers(item)}
    return set()
