"""Recognises what an export adds to a program to make it self-contained, so that the file can be checked again."""

from __future__ import annotations

import ast
import inspect
from functools import cache

from rewardgen.program import shaping

STATE_METHODS = """\
def __init__(self, **fields):
    self.__dict__.update(fields)

def __len__(self):
    return len(next(iter(self.__dict__.values())))"""
"""The body of the class ``State`` of an exported file, after its docstring."""


def added_by_export(tree: ast.Module) -> list[ast.stmt]:
    """Return the top-level statements that ``standalone`` and ``export`` add: shaping functions and class ``State``.

    Only statements that are exactly as exported count; one that was changed is the program's own.
    """
    return [node for node in tree.body if _is_shaping(node) or _is_state(node)]


def _is_shaping(node: ast.stmt) -> bool:
    """Return whether a statement is an unchanged shaping function."""
    return isinstance(node, ast.FunctionDef) and node.name in shaping.__all__ and ast.dump(node) == _shaping(node.name)


@cache
def _shaping(name: str) -> str:
    """Return the syntax of a shaping function."""
    return ast.dump(ast.parse(inspect.getsource(getattr(shaping, name))).body[0])


def _is_state(node: ast.stmt) -> bool:
    """Return whether a statement is an unchanged class ``State``."""
    if not isinstance(node, ast.ClassDef) or node.name != "State" or node.bases or node.keywords or node.decorator_list:
        return False
    body = node.body if ast.get_docstring(node) is None else node.body[1:]
    return [ast.dump(each) for each in body] == [ast.dump(each) for each in ast.parse(STATE_METHODS).body]
