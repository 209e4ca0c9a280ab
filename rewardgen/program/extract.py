"""Extracts the source of a reward from a language model's reply.

Replies differ: prose around a fence, several fences, a tilde fence, none at all, a class around the function, a
refusal. What is unambiguous is accepted; otherwise the message says how to answer.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from rewardgen.errors import ProgramRejected
from rewardgen.program.check import MAX_SOURCE, parse
from rewardgen.program.thoughts import without_thoughts
from rewardgen.records import Problem, Reply

MAX_REPLY = 400_000  # characters
MAX_BLOCKS = 64
MAX_ENDS = 16
"""Max. number of fences that are tried as the end of one block."""

ENTRY = "compute_reward"
_ASK = "answer with one ```python block that defines compute_reward(state, action, next_state)"
LENGTH, FILTERED, TOOL_CALLS = "length", "content_filter", "tool_calls"
"""Values of ``finish_reason`` in the chat completions API."""
# Python accepts none of these as indentation or separator, but models that copy typeset text write them
_SPACES = {
    ord(character): " " for character in "\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"
}
_SPACES[0xFEFF] = ""  # a byte order mark; the check rejects other invisible characters
# Possessive throughout: in a reply of spaces, backtracking would take hours
_OPENING = re.compile(r"(?:^|(?<=\s))(`{3,}+|~{3,}+)[ \t]*+([^`~\s]*+)[^`~]*+$")
# Lines of code, for replies without fences
_DEFINES = re.compile(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{ENTRY}\b", re.MULTILINE)
_CODE_LINE = re.compile(
    r"(?:import\s+[\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+(?:\s+as\s+\w+)?)*\s*(?:#.*)?$"
    r"|from\s+[\w.]+\s+import\s"
    r"|(?:async\s+)?def\s+\w+\s*\("
    r"|class\s+\w+\s*[(:]"
    r"|@\w"
    r"|[)\]}]"
    r"|[A-Za-z_]\w*\s*(?::[^=]+)?=[^=])"
)


@dataclass(frozen=True)
class _Block:
    """A fenced block."""

    text: str
    language: str
    closed: bool


def extract(reply_text: str) -> str:
    """Return the source of the reward in a reply, ready for ``check``.

    Raises:
        ProgramRejected: (stage "extract") the reply is empty or far too long, or has no code or no single reward.
    """
    # Clean the text
    if len(reply_text) > MAX_REPLY:
        size = len(reply_text) / 1e6
        raise _rejected(f"the reply is {size:.1f} million characters long, a reward has a few thousand: {_ASK}")
    text = reply_text.replace("\r\n", "\n").replace("\r", "\n").translate(_SPACES)
    if not text.strip():
        raise _rejected(f"the reply is empty: {_ASK}")
    text = without_thoughts(text)
    if not text:
        raise _rejected(f"the reply breaks off inside its thoughts, or holds nothing else: {_ASK}")
    # Look into fences, then into JSON, then at the whole text
    blocks = _blocks(text)
    source = _choose(blocks) if blocks else None
    if source is None:
        source = next(
            (found for part in (text, *(block.text for block in blocks)) if (found := _from_json(part))), None
        )
    source = source or _unfenced(text)
    if source is None:
        what = "no Python code" if blocks else "no code"
        raise _rejected(f"the reply holds {what}: {_ASK}")
    return _unwrapped(source)


def extract_reply(reply: Reply) -> str:
    """``extract`` for a model's reply, considering how the server says it ended.

    Raises:
        ProgramRejected: as ``extract``; or (stage "ended") the reply is no answer, and a repair request cannot help: it
        was cut off at ``llm.max_tokens`` or withheld by a filter.
    """
    answer = without_thoughts(reply.text)
    if reply.finish_reason == LENGTH:
        reason = (
            "the reply was cut off at llm.max_tokens"
            if answer
            else "all of llm.max_tokens was used up by thoughts, so there is no answer"
        )
        raise _rejected(f"{reason}; raise it (--set llm.max_tokens=N)", stage="ended")
    if reply.finish_reason == FILTERED and not answer:
        raise _rejected("the endpoint's content filter withheld the reply", stage="ended")
    if reply.finish_reason == TOOL_CALLS and not answer:
        raise _rejected(f"the reply is a call of a tool, and there are no tools here: {_ASK}")
    return extract(reply.text)


# --------------------------------------------------------------------------------------------------------------------
# fences


def _blocks(text: str) -> list[_Block]:
    """Return the fenced blocks in order; a fence that is never closed extends to the end."""
    blocks: list[_Block] = []
    lines = text.split("\n")
    number = 0
    while number < len(lines) and len(blocks) < MAX_BLOCKS:
        opening = _OPENING.search(lines[number])
        number += 1
        if opening:
            block, number = _block(lines, number, opening[1], opening[2].lower())
            blocks.append(block)
    return [block for block in blocks if block.text.strip()]


def _block(lines: Sequence[str], first: int, fence: str, language: str) -> tuple[_Block, int]:
    """Return the block whose first line is ``first``, and the line after it.

    It ends at the first fence that completes a program: a fence inside a docstring does not, because the text before it
    does not parse; and text may follow the closing fence. If no fence completes a program, it ends at the first one
    that is alone on its line, or that opens another block.
    """
    fallback: tuple[_Block, int] | None = None
    tried = 0
    for number in range(first, len(lines)):
        line = lines[number]
        position = line.find(fence)
        if position < 0 or "#" in line[:position]:  # a fence in a comment belongs to the code
            continue
        # A closing fence may follow code; an opening one may end a block that was never closed
        before, after = line[:position], line[position:].lstrip(fence[0]).strip()
        opens = not before.strip() and _is_opening(after)
        body = [*lines[first:number], *([before] if before.strip() else [])]
        block = _Block(_dedented(body), language, not opens)
        following = number if opens else number + 1
        tried += 1
        if tried <= MAX_ENDS and _tree(block.text) is not None and block.text.strip():
            return block, following
        if fallback is None and not before.strip() and (opens or not after):
            fallback = block, following
        if tried >= MAX_ENDS and fallback is not None:
            break
    return fallback or (_Block(_dedented(lines[first:]), language, False), len(lines))


def _is_opening(after: str) -> bool:
    """Return whether a fence followed by ``after`` opens a block of Python."""
    return after != "" and _is_python(after.lower())


def _choose(blocks: Sequence[_Block]) -> str | None:
    """Return the source in the best block, the last that defines the reward, with helpers from earlier blocks."""
    # Choose the block
    trees = [_tree(block.text) for block in blocks]
    ranks = [_rank(block, tree) for block, tree in zip(blocks, trees, strict=True)]
    best = max(range(len(blocks)), key=lambda index: (ranks[index], index))
    if ranks[best] == 0:
        return None
    block, tree = blocks[best], trees[best]
    if tree is None:
        if not block.closed:
            raise _rejected("the code block breaks off in the middle: reply shorter, and close the block with ```")
        return block.text
    # Add earlier blocks that define names which it lacks
    parts = [block.text]
    missing = _free_names(tree)
    for index in reversed(range(best)):
        earlier = trees[index]
        if earlier is None or ranks[index] >= 4:
            continue
        bound = _top_names(earlier)
        if bound & missing:
            parts.insert(0, blocks[index].text)
            missing = (missing - bound) | _free_names(earlier)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _rank(block: _Block, tree: ast.Module | None) -> int:
    """Return how sure it is that ``block`` contains the reward; 0: certainly not."""
    if _DEFINES.search(block.text):
        return 5 if tree is not None else 4
    if not _is_python(block.language):
        return 0
    if tree is None:
        return 1 if re.search(r"^[ \t]*def[ \t]", block.text, re.MULTILINE) else 0
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body):
        return 2
    return 1 if block.language in ("python", "py") and any(not isinstance(node, ast.Expr) for node in tree.body) else 0


def _is_python(language: str) -> bool:
    """Return whether a block of this language may be Python."""
    return language in ("", "python", "py", "python3", "py3", "pytorch", "torch")


def _dedented(lines: Sequence[str]) -> str:
    """Return the lines without their common indentation (a block inside of a list is indented as a whole)."""
    filled = [line for line in lines if line.strip()]
    shared = min((len(line) - len(line.lstrip(" \t")) for line in filled), default=0)
    return "\n".join(line[shared:] if line.strip() else "" for line in lines) + "\n"


# --------------------------------------------------------------------------------------------------------------------
# no fence


def _unfenced(text: str) -> str | None:
    """Return the code in a reply without fences: lines that look like code, with what is indented below them."""
    tree = _tree(text)
    if tree is not None and any(isinstance(node, ast.FunctionDef | ast.Assign | ast.ClassDef) for node in tree.body):
        return text
    if not _DEFINES.search(text):
        return None
    code: list[str] = []
    inside = False
    for line in text.split("\n"):
        if line[:1] in (" ", "\t", "") or line.startswith("#"):
            code += [line] if inside else []
            continue
        inside = _CODE_LINE.match(line) is not None
        if inside:
            code.append(line)
        elif code and code[-1].strip():
            code.append("")
    return _dedented(code).strip("\n") + "\n" if any(code) else text


def _from_json(text: str) -> str | None:
    """Return the code in a reply that is a JSON object with the source as one of its values."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    for value in content.values() if isinstance(content, dict) else ():
        if isinstance(value, str) and _DEFINES.search(value):
            blocks = _blocks(value)
            return (_choose(blocks) if blocks else None) or value
    return None


# --------------------------------------------------------------------------------------------------------------------
# a class around the function


def _unwrapped(source: str) -> str:
    """Return ``source`` with ``compute_reward`` as a function, if it is a method that does not use its object."""
    tree = _tree(source)
    if tree is None or any(_defines_entry(node) for node in tree.body):
        return source
    for item in tree.body:
        if not isinstance(item, ast.ClassDef):
            continue
        for method in item.body:
            if isinstance(method, ast.FunctionDef) and method.name == ENTRY:
                return _without_class(source, item, method)
    return source


def _defines_entry(node: ast.stmt) -> bool:
    """Return whether a statement defines ``compute_reward``."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == ENTRY


def _without_class(source: str, item: ast.ClassDef, method: ast.FunctionDef) -> str:
    """Return ``source`` with a class replaced by one of its methods, as a function without ``self``."""
    # The method must not use its object
    static = any(isinstance(node, ast.Name) and node.id == "staticmethod" for node in method.decorator_list)
    arguments = [*method.args.posonlyargs, *method.args.args]
    own = None if static or not arguments else arguments[0]
    if own is not None:
        for node in ast.walk(method):
            if isinstance(node, ast.Name) and node.id == own.arg:
                raise _rejected(
                    f"compute_reward is a method of {item.name[:40]} that uses {own.arg[:40]}: write it as a plain "
                    "function compute_reward(state, action, next_state), its helpers and constants at the top level",
                    node.lineno,
                )
    # Remove the argument
    lines = source.split("\n")
    body = lines[method.lineno - 1 : method.end_lineno]
    if own is not None:
        following = arguments[1] if len(arguments) > 1 else None
        if following is None or own.lineno != method.lineno or following.lineno != method.lineno:
            if following is not None:  # "self," is on a line of its own, or before a line break
                row = own.lineno - method.lineno
                body[row] = re.sub(rf"\b{re.escape(own.arg)}\b[^,]*,", "", body[row], count=1)
        else:
            head = body[0].encode()
            body[0] = (head[: own.col_offset] + head[following.col_offset :]).decode()
    # Dedent the method, and put it in the place of its class
    indent = method.col_offset
    function = [line[indent:] if not line[:indent].strip() else line for line in body]
    first = min([item.lineno, *(decorator.lineno for decorator in item.decorator_list)])
    rest = [*lines[: first - 1], *function, "", *lines[item.end_lineno :]]
    return "\n".join(rest).strip("\n") + "\n"


# --------------------------------------------------------------------------------------------------------------------
# names


def _tree(source: str) -> ast.Module | None:
    """Return the syntax tree; None if the source is not Python, empty or too large."""
    if len(source) > MAX_SOURCE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse(source)
    except ProgramRejected:
        return None


def _top_names(tree: ast.Module) -> set[str]:
    """Return the names that a module binds at its top level."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            inside = [item for item in ast.walk(node) if isinstance(item, ast.Name)]
            names |= {item.id for item in inside if isinstance(item.ctx, ast.Store)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {item.asname or item.name.partition(".")[0] for item in node.names}
    return names


def _free_names(tree: ast.Module) -> set[str]:
    """Return the names that are read somewhere and bound nowhere."""
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
    return read - bound - _top_names(tree)


def _rejected(message: str, line: int | None = None, stage: str = "extract") -> ProgramRejected:
    """Return a rejection with a single problem."""
    return ProgramRejected([Problem(stage, message, line)])
