"""The static check: what it lets pass, what it says, and that it always ends in an answer."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest
import torch

from rewardgen.errors import ProgramRejected
from rewardgen.program import check, extract, standalone
from rewardgen.program.allowlist import METHODS, MODULES
from rewardgen.records import Field, Layout, State

LAYOUT = Layout(
    (
        Field("height", (), "m", "height of the torso"),
        Field("torso_velocity", (3,), "m/s", "velocity of the torso"),
        Field("obs", (20,), "1", "everything"),
    )
)
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "sandbox"


def body(*lines):
    return "def compute_reward(state, action, next_state):\n" + "".join(f"    {line}\n" for line in lines)


def wrong(source):
    """(line, message) of every problem."""
    with pytest.raises(ProgramRejected) as caught:
        check(source, LAYOUT)
    assert all(problem.stage == "check" for problem in caught.value.problems)
    return [(problem.line, problem.message) for problem in caught.value.problems]


RETURN = "return next_state.height, {'h': next_state.height}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x = next_state.torso_velocit[:, 0]", "did you mean torso_velocity"),
        ("x = next_state.colour", "its fields are: height, torso_velocity, obs"),
        ("x = state.shape[0]", "use action.shape"),
        ("x = state[:, 0]", "read its fields by name, such as state.height"),
        ("x = height + 1", "write state.height or next_state.height"),
        ("x = np.exp(next_state.height)", "numpy is not available: use torch"),
        ("x = torch.sqroot(next_state.height)", "torch.sqroot is not available; did you mean sqrt"),
        ("x = torch.rand(3)", "deterministic"),
        ("x = next_state.height.clamp_(0, 1)", "use x = x.clamp(...)"),
        ("x = next_state.height.numpy()", "stay with torch"),
        ("x = next_state.height.cuda()", "are where they belong"),
        ("x = F.relu(next_state.height)", "import torch.nn.functional as F"),
        ("x = self.scale", "there is no self"),
        ("print(next_state.height)", "print is not available: remove it"),
        ("x = getattr(state, 'height')", "getattr is not available"),
        ("x = tolerence(next_state.height)", "did you mean tolerance"),
        ("x = torch.abs(next_state.height, out=action)", "out="),
        ("x = torch.zeros(3, device='cuda')", "device=action.device"),
        ("next_state.height[:] = 0.0", "must stay unchanged"),
        ("next_state.height = 0.0", "cannot be assigned"),
        ("global COUNT", "keeps nothing between calls"),
        ("while True: pass", "while loops"),
        ("try: x = 1\n    except: x = 2", "try/except"),
        ("import os", "os cannot be imported"),
        ("from torch import os", "torch.os is not available"),
        ("x = torch.nn", "is a module"),
        ("x = torch", "torch is a module, not a value"),
        ("torch = 1", "torch is a module here"),
        ("x = ().__class__", "__class__"),
        ("raise ValueError()", "raise is not available"),
        ("yield 1", "yield is not available"),
    ],
)
def test_each_problem_is_told_at_its_line(line, message):
    problems = wrong(body("# first", line, RETURN))
    assert any(message in told and at == 3 for at, told in problems), problems


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "the code is empty"),
        ("x = 1", "there is no function compute_reward(state, action, next_state)"),
        ("def compute_reward(state, action):\n    return state.height, {}", "the function must be"),
        ("def compute_reward(*args):\n    return 1, {}", "the function must be"),
        ("def compute_reward(state, action, next_state, goal):\n    return state.height, {}", "the function must be"),
        (body("x = 1"), "returns nothing"),
        (body("return"), "return the total and a dictionary"),
        (body("return next_state.height * 2"), "return the total and a dictionary"),
        (body("return next_state.height, [1]"), "return the total and a dictionary"),
        (body("return next_state.height, {'to goal': next_state.height}"), "'to goal' must be an identifier"),
        (body("return next_state.height, {" + ", ".join(f"'c{i}': 1.0" for i in range(40)) + "}"), "40 components"),
        (body(RETURN) + body(RETURN), "defined twice"),
        ("class A:\n    pass\n" + body(RETURN), "classes are not available"),
        ("@cache\n" + body(RETURN), "decorators are not available"),
        ("print('hello')\n" + body(RETURN), "top level"),
        ("async " + body(RETURN), "async"),
        ("def compute_reward(state, action, next_state:\n    pass", "not valid Python"),
        ("x = “1”", "not valid Python: invalid character"),
        ("x = 1\x00", "Python"),
        ("x = '" + "\ud800" + "'", "no Python source"),
        ("x = " + "(" * 50 + ")" * 50, "40 brackets"),
        ("x = " + "-" * 5000 + "1", "Python"),
        ("x = " + "+".join(["1"] * 2000), "levels deep"),
        ("x = [" + "1," * 9000 + "]", "syntax elements"),
        ("x = 1\n" * 10_000, "KB long"),
        ("x = " + "9" * 5000, "Python"),
        ("if 1:\n" + " " * 200 + "x = 1", "indented by 200"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_a_program_of_the_wrong_form_is_told(source, message):
    assert any(message in told for _, told in wrong(source))


def test_all_problems_come_at_once_and_each_once():
    problems = wrong("import numpy as np\n" + body("x = np.exp(foo)", "y = foo + bar", "print(x)", RETURN))
    assert [line for line, _ in problems] == [1, 3, 4, 5]
    assert problems[1] == (3, "foo is not defined (also in line 4)")


def test_very_many_problems_are_cut_short():
    problems = wrong(body(*(f"x{i} = unknown_{i}" for i in range(400)), RETURN))
    assert len(problems) == 21
    assert problems[-1] == (None, "and more problems like these further down")


@pytest.mark.parametrize(
    "lines",
    [
        ("with torch.no_grad():", "    x = next_state.height.abs()", RETURN),
        ("n = action.shape[0]", "total = torch.zeros(n)", "total[next_state.height > 1] = 1.0", "return total, {}"),
        ("v = next_state.torso_velocity.norm(dim=-1).values if False else 1.0", RETURN),
        ("parts = {f'joint_{i}': action[:, i] for i in range(2)}", "return sum(parts.values()), parts"),
        ("s = next_state", "return s.height, dict(h=s.height)"),
        ("f = lambda q, k=2.0: k * q.height", "return f(next_state), {}"),
        ("def helper(a, b: float = 1.0) -> Tensor:", "    return a * b", "return helper(next_state.height), {}"),
        ("import math", "return next_state.height * math.pi, {}"),
        ("from torch.nn import functional as F", "return F.softplus(next_state.height), {}"),
        ("if (n := action.shape[1]) > 1:", "    return next_state.height / n, {}", RETURN),
        ("a, (b, *c) = 1, (2, 3, 4)", "assert a < b, 'order'", "return next_state.height * (a + b + c[0]), {}"),
        ("return tolerance(next_state.height, 1.0, float('inf'), margin=0.5), {}",),
        ("x: Tensor = next_state.height", "return x, {}"),
    ],
)
def test_ordinary_ways_to_write_are_accepted(lines):
    check(body(*lines), LAYOUT)


def test_other_parameter_names_and_defaults_are_accepted():
    check("def compute_reward(s, a, s2, weight: float = 1.0):\n    return weight * s2.height, {}", LAYOUT)


def test_every_allowed_name_exists():
    modules = {"torch": torch, "torch.linalg": torch.linalg, "torch.special": torch.special}
    modules["torch.nn.functional"] = torch.nn.functional
    for name, module in modules.items():
        assert [item for item in MODULES[name] if not hasattr(module, item)] == []
    owners = (torch.Tensor, list, dict, str)
    answers = {"values", "indices"}  # of a maximum along a dimension
    assert [item for item in METHODS - answers if not any(hasattr(owner, item) for owner in owners)] == []


# --------------------------------------------------------------------------------------------------------------------
# what the check makes of a program


def run(source):
    namespace = {"torch": torch}
    exec(source, namespace)  # noqa: S102 - texts of this file only
    state = State(LAYOUT, torch.arange(48.0).view(2, 24))
    return namespace["compute_reward"](state, torch.ones(2, 3), state)


def test_in_place_arithmetic_on_names_becomes_arithmetic():
    source = body(
        "up = next_state.height",
        "total = up",
        "total -= (0.5 +",
        "    0.5)  # a comment",
        "total *= 2.0; total += action[:, 0]",
        "return total, {'up': up}",
    )
    program = check(source, LAYOUT)
    assert "total = total - ((0.5 +\n        0.5))  # a comment" in program.source
    total, parts = run(program.source)
    assert total.tolist() == [-1.0, 47.0]
    assert parts["up"].tolist() == [0.0, 24.0]


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "//", "%", "**"])
def test_every_operator_keeps_its_value(operator):
    plain = run(body(f"x = 7.0 + action[:, 0]\n    x {operator}= 1.5 + 2", "return x, {}"))[0]
    rewritten = run(check(body(f"x = 7.0 + action[:, 0]\n    x {operator}= 1.5 + 2", "return x, {}"), LAYOUT).source)[0]
    assert torch.equal(plain, rewritten)


def test_decorators_and_main_blocks_are_dropped_and_comments_stay():
    source = "# head\n@torch.jit.script\n" + body(RETURN + "  # é") + '\nif __name__ == "__main__":\n    print(1)\n'
    program = check(source, LAYOUT)
    assert program.source == "# head\n" + body(RETURN + "  # é")


def test_a_clean_program_is_left_as_it_is():
    source = "import torch\n\nGOAL = 1.0\n\n\n" + body(RETURN)
    assert check(source, LAYOUT).source == source


def test_standalone_carries_what_it_uses_and_runs_on_torch_alone():
    source = '"""An idea."""\nfrom __future__ import annotations\n' + body(
        "near = angle_difference(next_state.height, state.height)",
        "return tolerance(near, margin=1.0), {'near': near}",
    )
    text = standalone(check(source, LAYOUT))
    assert "def wrap_angle" in text
    assert "def quat_rotate" not in text
    assert "rewardgen" not in text
    total, _ = run(text)
    assert total.tolist() == [1.0, 1.0]
    bare = standalone(check(body(RETURN), LAYOUT))
    assert run(bare)[0].tolist() == [0.0, 24.0]


def test_damaged_programs_end_in_an_answer():
    """Characters dropped, doubled and swapped at random: accepted or rejected, and what is accepted is Python."""
    source = "import torch\n\nGOAL = (1.0, 2.0)\n\n" + body(
        "x = next_state.torso_velocity[:, 0] * GOAL[0]",
        "for i in range(3):",
        "    x += torch.exp(-action[:, i] ** 2)",
        "return x, {'x': x, 'up': tolerance(next_state.height, 1.0, 2.0, margin=0.5)}",
    )
    dice = random.Random(7)
    accepted = 0
    for _ in range(300):
        characters = list(source)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(characters))
            characters[at] = dice.choice(["", characters[at] * 2, dice.choice("()[]{}:,.=+-*@ \n\t\"'#x1é\\")])
        try:
            program = check(extract("".join(characters)), LAYOUT)
        except ProgramRejected:
            continue
        ast.parse(program.source)
        accepted += 1
    assert 10 < accepted < 290


# --------------------------------------------------------------------------------------------------------------------
# the shared corpus, where it is at hand

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus of programs beside the repository")


@needs_corpus
def test_every_benign_program_is_accepted():
    layout = Layout((Field("obs", (20,), "1", "observation"),))
    files = sorted((CORPUS / "benign").glob("*.py"))
    assert files
    for file in files:
        check(file.read_text(), layout)


@needs_corpus
def test_hostile_programs_are_refused_with_reasons():
    layout = Layout((Field("obs", (20,), "1", "observation"),))
    passed = []
    for file in sorted((CORPUS / "hostile").glob("*.py")):
        try:
            check(file.read_bytes().decode("utf-8", "replace"), layout)
        except ProgramRejected:
            continue
        passed.append(file.name)
    # writing through a view of an input is what the smoke test finds
    assert passed == ["167_rl_torch_alias_index.py"]
