"""Small rewrites of checked source that keep the rest, comments and line breaks included, as its author wrote it.

* Decorators such as ``@torch.jit.script`` and ``if __name__ == "__main__":`` blocks are removed.
* ``x -= e`` on a name becomes ``x = x - (e)``: in place, it would also change what shares x's memory, a component or
    an input, which is hardly ever intended and hard to see.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

_OPERATORS = {
    ast.Add: b"+",
    ast.Sub: b"-",
    ast.Mult: b"*",
    ast.Div: b"/",
    ast.FloorDiv: b"//",
    ast.Mod: b"%",
    ast.Pow: b"**",
    ast.MatMult: b"@",
    ast.BitAnd: b"&",
    ast.BitOr: b"|",
    ast.BitXor: b"^",
    ast.LShift: b"<<",
    ast.RShift: b">>",
}


def normalise(source: str, tree: ast.Module, dropped: Sequence[ast.stmt] = ()) -> str:
    """Return the rewritten ``source``; ``tree`` is its syntax tree, without the statements ``dropped``."""
    # Collect edits as byte ranges, because the tree's columns are bytes
    text = source.encode()
    starts = _line_starts(text)
    edits: list[tuple[int, int, bytes]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                edits.append(_whole_lines(starts, decorator))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            edits += _out_of_place(text, starts, node)
    edits += [_whole_lines(starts, node) for node in tree.body if is_main_block(node)]
    edits += [_whole_lines(starts, node) for node in dropped]

    # Apply them from start to end
    pieces, position = [], 0
    for start, end, replacement in sorted(edits):
        if start < position:  # within something that is removed
            continue
        pieces += [text[position:start], replacement]
        position = end
    pieces.append(text[position:])
    return b"".join(pieces).decode().strip("\n") + "\n"


def is_main_block(node: ast.stmt) -> bool:
    """Return whether ``node`` is ``if __name__ == "__main__":``."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
        and not node.orelse
    )


def _line_starts(text: bytes) -> list[int]:
    """Return the byte at which each line begins, and the end of the text."""
    starts = [0]
    for line in text.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    starts[-1] = len(text)
    return starts


def _whole_lines(starts: list[int], node: ast.expr | ast.stmt) -> tuple[int, int, bytes]:
    """Return the edit that removes the lines of a node."""
    return starts[node.lineno - 1], starts[node.end_lineno or node.lineno], b""


def _out_of_place(text: bytes, starts: list[int], node: ast.AugAssign) -> list[tuple[int, int, bytes]]:
    """Return the edits that turn ``x -= e`` into ``x = x - (e)``."""
    assert isinstance(node.target, ast.Name)
    symbol = _OPERATORS[type(node.op)]
    after_name = starts[(node.target.end_lineno or 1) - 1] + (node.target.end_col_offset or 0)
    operator = text.index(symbol + b"=", after_name)
    end = starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)
    rewritten = b"= " + node.target.id.encode() + b" " + symbol + b" ("
    value = operator + len(symbol) + 1
    value += len(text[value:end]) - len(text[value:end].lstrip(b" "))
    return [(operator, value, rewritten), (end, end, b")")]
