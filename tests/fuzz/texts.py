"""Strategies: replies and programs that are nearly right, and wrong in the ways that matter."""

from __future__ import annotations

import io
import itertools
import tokenize
from pathlib import Path

from hypothesis import strategies as st

from rewardgen.records import Field, Layout

LAYOUT = Layout((Field("height", (), "m", "height"), Field("velocity", (3,), "m/s", "velocity")))

SEEDS = [
    """def compute_reward(state, action, next_state):
    up = next_state.height - state.height
    up -= 1.0
    return up - action.square().sum(-1), {'up': up}
""",
    """import torch
import torch.nn.functional as F

SCALE: float = 2.0


@torch.jit.script
def helper(x, k=SCALE):
    'é \\d'
    for i in range(3):
        x = x + i * k
    return F.relu(x)


def compute_reward(state, action, next_state):
    speed = helper(next_state.velocity[:, 0]); speed  *=  2
    parts = {k: v for k, v in {'speed': speed}.items()}
    return speed, parts


if __name__ == '__main__':
    compute_reward(1, 2, 3)
""",
    """class Reward:
    def compute_reward(self, state, action, next_state):
        return next_state.height, {}
""",
    """GOAL = torch.tensor([0.0, 0.0, 1.0])

def compute_reward(state, action, next_state):
    sq = lambda v: (v * v).sum(-1)
    d = sq(next_state.velocity - GOAL)
    r = torch.where(d < 0.1, 1.0, -d)
    r[r > 3] **= 2
    return r, dict(d=d)
""",
]
# attacks make good material: they are parsed here and never run
SEEDS += [
    file.read_bytes().decode("utf-8", "replace")
    for file in sorted((Path(__file__).parents[1] / "sandbox" / "corpus").glob("*/*.py"))
    if file.stat().st_size < 3000
]

FRAGMENTS = [
    "compute_reward", "state", "next_state", ".height", ".velocity", "torch", "torch.os", ".__class__", "__import__",
    "open", "eval", "'%s'", "f'{x!r:>{w}}'", "lambda:0", "yield", "await", "async ", "def f(", "class A:", "@", "**",
    "*", ":=", "->", "...", "0" * 50, "1e999", "'''", '"""', "\\", "\n", "\n\t", "\n    ", "\r", "\f", "\0",
    "\ufeff", "\u2028", "\u202e", "\u200b", "\U0001d428", "\ud800", "é", "ﬁ", "#", "# type: ignore", "(", "[", "{",
    ")", "]", "}", ",", ";", ":", "=", "-=", "@=", ">>=", "if ", "else ", "for i in range(9): ", "try:", "except*",
    "match x:", "del x", "global x", "import os", "from torch import *", "return", "None", "print(1)", "~" * 9, "`" * 9,
    " " * 200, "-" * 200, "not " * 60, "x if x else " * 30, "(" * 60, "x=" * 60, "+1" * 200, ".a" * 90, "[0]" * 90,
]  # fmt: skip
FENCES = [
    "```python", "```", "~~~", "```py title=x", "   ```", "1. ```python", "````", "```json", "``", "``` ", "<think>",
    "</think>", '{"code": "', '"}', "> ", "Sure! ", "Here is the code:", "<|im_end|>", "</reward>",
]  # fmt: skip

junk = st.one_of(
    st.sampled_from(FRAGMENTS),
    st.text(max_size=12),
    st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zs", "Mn"]), max_size=6),
    st.builds(lambda text, times: text * times, st.sampled_from(FRAGMENTS), st.integers(1, 60)),
)


def tokens_of(source: str) -> list[str]:
    """The source in pieces that, joined, are the source again: words, operators, and what lies between."""
    try:
        lines = source.splitlines(keepends=True)
        marks = []
        start = 0
        offsets = []
        for line in lines:
            offsets.append(start)
            start += len(line)
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.start[0] <= len(offsets):
                marks.append(offsets[token.start[0] - 1] + token.start[1])
    except (tokenize.TokenError, SyntaxError, ValueError):
        return source.split(" ")
    cuts = sorted({0, *marks, len(source)})
    return [source[a:b] for a, b in itertools.pairwise(cuts)]


PIECES = [tokens_of(source) for source in SEEDS]


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A program in which some pieces are gone, doubled, swapped, replaced, or taken from another one."""
    pieces = list(draw(st.sampled_from(PIECES)))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(pieces)))
        match draw(st.sampled_from(["drop", "double", "junk", "other", "swap", "cut"])):
            case "drop":
                del pieces[place : place + draw(st.integers(1, 3))]
            case "double":
                pieces[place:place] = pieces[place : place + 8] * draw(st.integers(1, 20))
            case "junk":
                pieces.insert(place, draw(junk))
            case "other":
                other = draw(st.sampled_from(PIECES))
                start = draw(st.integers(0, len(other)))
                pieces[place:place] = other[start : start + 12]
            case "swap":
                pieces[place : place + 2] = pieces[place : place + 2][::-1]
            case "cut":
                del pieces[place:]
    return "".join(pieces)


NAMES = [
    "state", "action", "next_state", "x", "torch", "math", "F", "t", "str", "dict", "map", "max", "abs", "tolerance",
    "open", "getattr", "type", "compute_reward", "__name__", "Tensor", "print",
]  # fmt: skip
ATTRIBUTES = [
    "height", "velocity", "os", "sum", "zero_", "numpy", "data", "format", "__class__", "_matrix", "nn", "functional",
    "linalg", "norm", "relu", "rand", "exp", "shape", "item", "values", "T", "update", "Tensor", "jit", "script", "pi",
]  # fmt: skip
atoms = st.one_of(
    st.sampled_from(NAMES), st.sampled_from(["1", "0.5", "'a'", "[]", "{}", "None", "(1, 2)", "b'x'", "..."])
)
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("{}.{}".format, inner, st.sampled_from(ATTRIBUTES)),
        st.builds("{}.{}".format, inner, st.sampled_from(ATTRIBUTES)),
        st.builds("{}({})".format, inner, inner),
        st.builds("{}({}={})".format, inner, st.sampled_from(["out", "dim", "key", "inplace", "device"]), inner),
        st.builds("{}(**{{'out': {}}})".format, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "%", "@", "if 1 else", "and", "in", "**"]), inner),
        st.builds("(lambda {}: {})".format, st.sampled_from([*NAMES, "*a", "**k", "x={}"]), inner),
        st.builds("[{} for {} in {}]".format, inner, st.sampled_from([*NAMES, "state.height"]), inner),
        st.builds("f'{{{}!r:>{{{}}}}}'".format, inner, inner),
        st.builds("({} := {})".format, st.sampled_from(NAMES), inner),
    ),
    max_leaves=6,
)
statements = st.one_of(
    st.builds("x = {}".format, expressions),
    st.builds("x = {}".format, expressions),
    st.builds("{} = {}".format, expressions, expressions),
    st.builds("{} -= {}".format, expressions, expressions),
    st.builds("{}: {} = {}".format, st.sampled_from(NAMES), expressions, expressions),
    st.builds("for {} in {}: pass".format, st.sampled_from([*NAMES, "x.height", "state.height[0]"]), expressions),
    st.builds("if {}: return {}".format, expressions, expressions),
    st.builds("with {} as {}: pass".format, expressions, st.sampled_from(NAMES)),
    st.builds("def {}(a={}): return a".format, st.sampled_from(NAMES), expressions),
    st.builds(
        "import {} as {}".format,
        st.sampled_from(["torch", "math", "os", "torch.nn", "torch.os"]),
        st.sampled_from(NAMES),
    ),
    st.builds("from torch import {} as {}".format, st.sampled_from(ATTRIBUTES), st.sampled_from(NAMES)),
    st.builds("assert {}".format, expressions),
)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """A whole program around a few lines that may pass the check."""
    lines = draw(st.lists(statements, min_size=1, max_size=3))
    imports = draw(st.sampled_from(["", "import torch as t\n", "import torch.nn.functional as F\n"]))
    body = "".join(f"    {line}\n" for line in ["x = 1", *lines])
    return f"{imports}def compute_reward(state, action, next_state):\n{body}    return next_state.height, {{}}\n"


@st.composite
def replies(draw: st.DrawFn) -> str:
    """Prose, fences, thoughts and programs in any order."""
    part = st.one_of(programs(), programs(), st.sampled_from(FENCES), junk)
    joints = st.sampled_from(["\n", "\n", "\n\n", "", " ", "\r\n"])
    return "".join(text + draw(joints) for text in draw(st.lists(part, max_size=9)))
