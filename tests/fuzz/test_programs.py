"""Program text → static check: it answers, and what it lets through holds to the rules by another reading of them."""

from __future__ import annotations

import ast
import warnings

import pytest

pytest.importorskip("hypothesis")

from hypothesis import example, given
from hypothesis import strategies as st

from rewardgen.errors import ProgramRejected
from rewardgen.program import check
from rewardgen.program.check import MAX_PROBLEMS
from tests.fuzz.conftest import profile
from tests.fuzz.texts import LAYOUT, SEEDS, bodies, programs

pytestmark = pytest.mark.fuzz

NEVER = [
    "open", "exec", "eval", "compile", "input", "getattr", "setattr", "delattr", "globals", "locals", "vars", "dir",
    "id", "hash", "type", "object", "super", "print", "__import__", "__builtins__", "memoryview", "bytearray",
    "breakpoint", "help", "exit", "quit",
]  # fmt: skip
MODULES = {"torch", "math", "typing", "collections", "__future__"}
STATEMENTS = (
    ast.While, ast.Try, ast.ClassDef, ast.Global, ast.Nonlocal, ast.AsyncFunctionDef, ast.Delete, ast.Raise, ast.Match,
    ast.AsyncFor, ast.AsyncWith, ast.TryStar,
)  # fmt: skip
EXPRESSIONS = (ast.Yield, ast.YieldFrom, ast.Await)


def look_through(source: str) -> None:
    """Assert that an accepted program has none of what no reward has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes
        tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    bound |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    annotations = [getattr(node, name, None) for node in nodes for name in ("annotation", "returns")]
    unread = {id(inner) for note in annotations if note is not None for inner in ast.walk(note)}  # never evaluated
    for node in nodes:
        if id(node) in unread:
            continue
        assert not isinstance(node, STATEMENTS + EXPRESSIONS), ast.dump(node)[:200]
        if isinstance(node, ast.Name) and node.id not in bound:
            assert node.id not in NEVER, node.id
        elif isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_") and not node.attr.endswith("_"), node.attr
            assert isinstance(node.ctx, ast.Load)
        elif isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= MODULES
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and (node.module or "").partition(".")[0] in MODULES
            assert all(alias.name != "*" for alias in node.names)
        elif isinstance(node, ast.FunctionDef):
            assert not node.decorator_list
            assert not node.name.startswith("__")
        elif isinstance(node, ast.keyword):
            assert node.arg not in ("out", "inplace", "generator", "requires_grad")
    assert any(isinstance(node, ast.FunctionDef) and node.name == "compute_reward" for node in tree.body)


class Rewrites(ast.NodeTransformer):
    """What normalisation may change, done to the syntax tree."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.decorator_list = []
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        self.generic_visit(node)
        if not isinstance(node.target, ast.Name):
            return node
        return ast.Assign([node.target], ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value))


def as_rewritten(source: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "__name__" in ast.dump(node.test))]
    return ast.dump(Rewrites().visit(tree))


@pytest.mark.parametrize("strategy", [programs(), bodies(), st.text()], ids=["nearly right", "few lines", "any text"])
def test_a_source_gives_a_program_or_problems(strategy):
    @profile()
    @given(strategy)
    @example("x = " + "-" * 20_000 + "1")
    @example("x = a" + ".b" * 15_000)
    @example("\ud800")
    def examine(source: str) -> None:
        try:
            program = check(source, LAYOUT)
        except ProgramRejected as rejected:
            assert 1 <= len(rejected.problems) <= MAX_PROBLEMS + 1
            lines = source.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
            for problem in rejected.problems:
                assert problem.stage == "check"
                assert len(problem.message) < 1000
                assert problem.line is None or 1 <= problem.line <= lines + 1
            return
        look_through(program.source)
        same = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\f", "")
        assert as_rewritten(same) == as_rewritten(program.source)
        assert check(program.source, LAYOUT) == program  # what passed passes again, unchanged

    examine()


def test_some_of_the_material_passes():
    passed = 0
    for source in SEEDS:
        try:
            check(source, LAYOUT)
            passed += 1
        except ProgramRejected:
            pass
    assert passed >= 3
