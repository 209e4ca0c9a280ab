"""The static check: whether source has the form of a reward, and if not, what its author should change.

It reads the syntax tree against an allowlist and reports every problem with its line. It takes time linear in the
source, whose size, nesting and number of nodes are bounded before anything recursive looks at it. Nothing relies on it
for safety: a program that passes still runs only in the sandbox.
"""

from __future__ import annotations

import ast
import warnings

from rewardgen.errors import ProgramRejected
from rewardgen.program.exported import added_by_export
from rewardgen.program.normalise import normalise
from rewardgen.program.rules import Checker
from rewardgen.records import Layout, Problem, RewardProgram

MAX_SOURCE = 32_768  # bytes
MAX_NODES = 8_000
MAX_DEPTH = 80  # levels of the syntax tree
MAX_BRACKETS = 40  # open at the same time
MAX_INDENT = 120  # columns
MAX_PROBLEMS = 20


def check(source: str, layout: Layout) -> RewardProgram:
    """Check a reward's source against the form of rewards and the state fields in ``layout``.

    Statements that an export added to a checked program are removed again.

    Returns:
        The program, lightly normalised (see ``normalise``).

    Raises:
        ProgramRejected: with all problems (up to 20) and their lines, worded so that the author can act on them.
    """
    # Unify line breaks, and parse within bounds
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\f", "")
    tree = parse(source)
    # Check what is the program's own
    added = added_by_export(tree)
    tree.body = [node for node in tree.body if node not in added]
    problems = Checker(layout).check(tree)
    if problems:
        raise ProgramRejected(_merged(problems))
    return RewardProgram(normalise(source, tree, added))


def parse(source: str) -> ast.Module:
    """Return the syntax tree of ``source``, small enough for recursive functions.

    Raises:
        ProgramRejected: the source is too large, too deeply nested or not Python.
    """
    # Bound the size before the parser sees it, and the tree after
    size = len(source.encode("utf-8", "replace"))
    if size > MAX_SOURCE:
        raise _rejected(f"the code is {size // 1024} KB long; at most {MAX_SOURCE // 1024} KB: write it shorter")
    if not source.strip():
        raise _rejected("the code is empty: define compute_reward(state, action, next_state)")
    _bound_nesting(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as for an invalid escape in a docstring
            tree = ast.parse(source)
    except SyntaxError as error:
        raise _rejected(_syntax_message(error), error.lineno) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise _rejected(f"this is no Python source: {str(error) or 'it is too complex'}") from error
    _bound_tree(tree)
    return tree


def _merged(problems: list[Problem]) -> list[Problem]:
    """Return the problems by line; one that occurs in several lines is reported once, at the first of them."""
    lines: dict[str, list[int]] = {}
    for problem in problems:
        lines.setdefault(problem.message, []).append(problem.line or 0)
    merged = []
    for message, numbers in lines.items():
        first, *others = sorted(set(numbers))
        shown = ", ".join(str(number) for number in others[:5]) + (", ..." if len(others) > 5 else "")
        merged.append(Problem("check", f"{message} (also in line {shown})" if others else message, first or None))
    merged.sort(key=lambda problem: problem.line or 0)
    if len(merged) > MAX_PROBLEMS:
        merged = [*merged[:MAX_PROBLEMS], Problem("check", "and more problems like these further down")]
    return merged


def _bound_nesting(source: str) -> None:
    """Raise ProgramRejected if indentation or brackets nest too deep for the parser."""
    open_brackets = 0
    for number, line in enumerate(source.split("\n"), start=1):
        indent = len(line) - len(line.lstrip(" \t"))
        if indent > MAX_INDENT and line.strip():
            raise _rejected(f"indented by {indent} columns; at most {MAX_INDENT}: nest less", number)
        for character in line:
            if character in "([{":
                open_brackets += 1
                if open_brackets > MAX_BRACKETS:
                    raise _rejected(f"more than {MAX_BRACKETS} brackets are open at once: nest less", number)
            elif character in ")]}":
                open_brackets = max(0, open_brackets - 1)


def _bound_tree(tree: ast.Module) -> None:
    """Raise ProgramRejected if the tree is too deep or too large; this does not recurse."""
    nodes = 0
    waiting: list[tuple[ast.AST, int, int]] = [(tree, 0, 1)]
    while waiting:
        node, depth, line = waiting.pop()
        nodes += 1
        line = getattr(node, "lineno", line)
        if depth > MAX_DEPTH:
            raise _rejected(f"the code nests more than {MAX_DEPTH} levels deep: split the expression up", line)
        if nodes > MAX_NODES:
            raise _rejected(f"the code has more than {MAX_NODES} syntax elements: write it shorter", line)
        waiting.extend((child, depth + 1, line) for child in ast.iter_child_nodes(node))


def _syntax_message(error: SyntaxError) -> str:
    """Return a syntax error with its line."""
    shown = (error.text or "").strip()
    where = f", in: {shown[:120]}" if shown else ""
    return f"not valid Python: {error.msg}{where}"


def _rejected(message: str, line: int | None = None) -> ProgramRejected:
    """Return a rejection with a single problem."""
    return ProgramRejected([Problem("check", message, line)])
