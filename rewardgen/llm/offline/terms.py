"""Programs as lists of weighted terms: written as Python and, for most programs of any author, read back.

The form that this author writes::

    def compute_reward(state, action, next_state):
        \"\"\"Idea in a line.\"\"\"
        forward_speed = 1.0 * torch.clamp(next_state.torso_velocity[:, 0], -10.0, 10.0)
        effort = -0.05 * action.square().mean(-1)
        reward = forward_speed + effort
        return reward, {"forward_speed": forward_speed, "effort": effort}
"""

from __future__ import annotations

import ast
import copy
import keyword
import random
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

MAX_EXPRESSION = 500
MAX_LINE = 110
MAX_TERMS = 8
INPUTS = frozenset({"state", "action", "next_state"})
_RESERVED = INPUTS | {"reward", "torch", "math"}


@dataclass(frozen=True)
class Term:
    """``weight * code``, reported as the component ``name``; ``code`` is an ``(n,)`` expression in the inputs only."""

    name: str
    weight: float
    code: str


Program = tuple[Term, ...]


def write(program: Sequence[Term], idea: str) -> str:
    """Return the program as Python text."""
    named = _distinct(program)
    lines = ["def compute_reward(state, action, next_state):", f'    """{_plain(idea)}"""']
    for term in named:
        lines += _statement(term)
    lines.append(f"    reward = {' + '.join(term.name for term in named)}")
    entries = ", ".join(f'"{term.name}": {term.name}' for term in named)
    lines.append(f"    return reward, {{{entries}}}")
    return "\n".join(lines) + "\n"


def read(source: str, fields: Collection[str], helpers: Collection[str]) -> Program | None:
    """Return the weighted terms of a program that computes its components in a straight line; None for any other.

    Every component becomes one expression in the inputs, with local names and constants substituted.
    ``fields`` and ``helpers`` are the names that may be read from a state and called.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    function = next((s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == "compute_reward"), None)
    if function is None:
        return None
    # Substitute assignments from top to bottom; any other statement makes the program unreadable
    values: dict[str, ast.expr] = {}
    for statement in [*tree.body, *function.body]:
        if not _assign(statement, values) and statement in function.body and not _harmless(statement):
            return None
    components = _components(function, values)
    if not components:
        return None
    # Keep the components that can be understood
    terms = []
    for name, expression in components:
        term = _term(name, expression, fields, helpers)
        if term is not None:
            terms.append(term)
    return tuple(terms[:MAX_TERMS]) or None


def rescaled(code: str, random_: random.Random) -> str:
    """Return ``code`` with one of its scales (a divisor) changed; unchanged if it has none."""
    tree = ast.parse(code, mode="eval")
    # Scales are the float divisors
    scales = [
        node.right
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_float(node.right)
    ]
    if not scales:
        return code
    chosen = random_.choice(scales)
    assert isinstance(chosen, ast.Constant)
    assert isinstance(chosen.value, float)
    chosen.value = float(f"{chosen.value * random_.choice((0.4, 0.6, 1.6, 2.5)):.3g}")
    return ast.unparse(tree)


def _statement(term: Term) -> list[str]:
    """Return ``name = weight * code``, with one factor per line if it is too long for one."""
    line = f"    {term.name} = {_number(term.weight)} * {term.code}"
    if len(line) <= MAX_LINE:
        return [line]
    # Split the product into its factors
    node = ast.parse(line.strip().split(" = ", 1)[1], mode="eval").body
    factors: list[str] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        right = ast.unparse(node.right)
        factors.insert(0, f"({right})" if isinstance(node.right, ast.BinOp) else right)
        node = node.left
    factors.insert(0, ast.unparse(node))
    return [
        f"    {term.name} = (",
        *(f"        {'* ' if place else ''}{f}" for place, f in enumerate(factors)),
        "    )",
    ]


def _assign(statement: ast.stmt, values: dict[str, ast.expr]) -> bool:
    """Record ``name = expression`` with its names resolved. Return False for any other statement."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value = statement.target, statement.value
    else:
        return False
    if not isinstance(target, ast.Name):
        return False
    values[target.id] = _resolve(value, values)
    return True


def _harmless(statement: ast.stmt) -> bool:
    """Return whether a statement computes nothing."""
    docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return docstring or isinstance(statement, ast.Return | ast.Pass)


class _Substitution(ast.NodeTransformer):
    """Replaces names by their expressions."""

    def __init__(self, values: dict[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a known name by a copy of its expression."""
        return copy.deepcopy(self._values[node.id]) if node.id in self._values else node


def _resolve(expression: ast.expr, values: dict[str, ast.expr]) -> ast.expr:
    """Return an expression with known names replaced."""
    resolved = _Substitution(values).visit(copy.deepcopy(expression))
    assert isinstance(resolved, ast.expr)
    # A chain of names that each use the last one twice would grow without bound
    return resolved if sum(1 for _ in ast.walk(resolved)) < 4 * MAX_EXPRESSION else expression


def _components(function: ast.FunctionDef, values: dict[str, ast.expr]) -> list[tuple[str, ast.expr]]:
    """Return the components that a function returns; none if it returns something else."""
    # The last return value must be a pair whose second part is a dictionary
    returned = next((s.value for s in reversed(function.body) if isinstance(s, ast.Return)), None)
    if isinstance(returned, ast.Name):
        returned = values.get(returned.id)
    if not isinstance(returned, ast.Tuple) or len(returned.elts) != 2:
        return []
    entries = _resolve(returned.elts[1], values)
    if not isinstance(entries, ast.Dict):
        return []
    return [
        (key.value, value)
        for key, value in zip(entries.keys, entries.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]


def _term(name: str, expression: ast.expr, fields: Collection[str], helpers: Collection[str]) -> Term | None:
    """Return a component as a term; None if it is too long or not understood."""
    weight, rest = _split(expression)
    code = ast.unparse(rest)
    if len(code) > MAX_EXPRESSION or not _understood(rest, fields, helpers) or weight == 0:
        return None
    if isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.Add | ast.Sub):
        code = f"({code})"
    return Term(identifier(name), weight, code)


def _split(expression: ast.expr) -> tuple[float, ast.expr]:
    """Return a constant factor and what it multiplies."""
    if isinstance(expression, ast.UnaryOp) and isinstance(expression.op, ast.USub):
        weight, rest = _split(expression.operand)
        return -weight, rest
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Mult):
        for factor, other in ((expression.left, expression.right), (expression.right, expression.left)):
            value = _constant(factor)
            if value is not None:
                weight, rest = _split(other)
                return value * weight, rest
        # a * b * c is (a * b) * c: the constant may stand further left
        weight, rest = _split(expression.left)
        return weight, ast.BinOp(rest, ast.Mult(), expression.right)
    return 1.0, expression


def _constant(node: ast.expr) -> float | None:
    """Return the value of a constant, with its sign; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _constant(node.operand)
        return None if value is None else -value
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return float(node.value)
    return None


def _is_float(node: ast.expr) -> bool:
    """Return whether a node is a positive float."""
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value > 0


def _understood(expression: ast.expr, fields: Collection[str], helpers: Collection[str]) -> bool:
    """Return whether an expression reads declared fields or the action, and only names that are in scope."""
    # A constant is no term
    reads = False
    for node in ast.walk(expression):
        if isinstance(node, ast.Name):
            if node.id not in INPUTS and node.id not in ("torch", "math") and node.id not in helpers:
                return False
            reads = reads or node.id in INPUTS
        elif isinstance(node, ast.Attribute):
            of_state = isinstance(node.value, ast.Name) and node.value.id in ("state", "next_state")
            if of_state and node.attr not in fields:
                return False
        elif isinstance(node, ast.Lambda | ast.comprehension | ast.NamedExpr):
            return False
    return reads


def identifier(name: str) -> str:
    """Return ``name`` as a valid name of a local variable."""
    plain = re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_")[:40] or "term"
    usable = plain.isidentifier() and not keyword.iskeyword(plain) and plain not in _RESERVED
    return plain if usable else f"term_{plain}"


def _distinct(program: Sequence[Term]) -> list[Term]:
    """Return the terms with distinct names."""
    used: set[str] = set()
    named = []
    for term in program:
        name, number = identifier(term.name), 2
        while name in used:
            name, number = f"{identifier(term.name)}_{number}", number + 1
        used.add(name)
        named.append(replace(term, name=name))
    return named


def _number(value: float) -> str:
    """Return a weight with three digits; never zero."""
    short = float(f"{value:.3g}")
    return repr(short if short != 0 else 0.001)


def _plain(text: str) -> str:
    """Return text that can stand in a docstring."""
    return text.replace("\\", "").replace('"', "'").replace("\n", " ").strip()[:160]
