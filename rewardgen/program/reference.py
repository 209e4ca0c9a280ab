"""Descriptions of the shaping library: for a language model, and for people who export a reward."""

from __future__ import annotations

import ast
import inspect

from rewardgen.program import shaping
from rewardgen.records import RewardProgram


def shaping_reference() -> str:
    """Return one entry for each shaping function, as prompts show them: its signature and its docstring."""
    return "\n".join(_entry(name) for name in _by_source_order())


def standalone(program: RewardProgram) -> str:
    """Return the program as a file that needs only torch: with imports and the shaping functions that it uses."""
    # The functions that it uses, and those that these use
    needed = _used(program.source)
    while True:
        more = needed | {other for name in needed for other in _used(inspect.getsource(getattr(shaping, name)))}
        if more == needed:
            break
        needed = more
    # A docstring stays first
    body = ast.parse(program.source).body
    docstring = ast.get_docstring(ast.parse(program.source), clean=False) is not None
    start = body[0].end_lineno if docstring else 0
    lines = program.source.splitlines()
    helpers = [inspect.getsource(getattr(shaping, name)).strip() for name in _by_source_order() if name in needed]
    imports = ["from __future__ import annotations", "", "import math", "", "import torch"]
    imports += ["from torch import Tensor"] if helpers else []
    # A program that was exported before already has the imports
    own = [line for line in lines[start:] if not line or line not in imports]
    parts = ["\n".join([*lines[:start], *([""] if docstring else []), *imports])]
    parts += [*helpers, "\n".join(own).strip("\n")]
    return "\n\n\n".join(parts) + "\n"


def _by_source_order() -> list[str]:
    """Return the names of the shaping functions in the order in which they are defined."""
    return [name for name in vars(shaping) if name in shaping.__all__]


def _entry(name: str) -> str:
    """Return a function's signature with its description on one line."""
    function = getattr(shaping, name)
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        value = parameter.default
        shown = f'"{value}"' if isinstance(value, str) else value
        parameters.append(parameter.name if value is parameter.empty else f"{parameter.name}={shown}")
    about = inspect.getdoc(function) or ""
    text = " ".join(about.partition("\nRaises:")[0].split())
    return f"{name}({', '.join(parameters)}): {text}"


def _used(source: str) -> set[str]:
    """Return the shaping functions that ``source`` calls and does not define itself at its top level."""
    tree = ast.parse(source)
    defined = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name not in shaping.__all__
    } | {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return (read & set(shaping.__all__)) - defined
