"""The smoke test: each problem is found, told once, and good rewards pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rewardgen.program import check
from rewardgen.records import Field, Layout
from rewardgen.sandbox import smoke_test

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "sandbox" / "benign"


def problems(worker, layout, transitions, call_seconds=5.0, form="reward"):
    found = smoke_test(worker, layout, *transitions, call_seconds=call_seconds, form=form)
    assert all(problem.stage == "smoke" for problem in found)
    return [problem.message for problem in found]


@pytest.mark.parametrize(
    "program",
    [
        "return next_state.height, {}",
        "x = next_state.velocity.norm(dim=-1)\nreturn torch.exp(-x), {'x': x, 'alive': 1.0}",
        "return quat_upright(torch.cat([state.velocity, action], -1)[:, :4]), {}",
        "return (next_state.velocity @ torch.eye(3).flip(0)).softmax(-1)[:, 0], {}",
        "return 1e-4 * next_state.height, {}",
    ],
)
def test_a_good_reward_has_no_problems(start, layout, transitions, program):
    assert problems(start(program), layout, transitions) == []


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("return next_state.height.mean().expand(len(state)) + next_state.height, {}", "depend on that row alone"),
        ("h = next_state.height\nreturn h - h.mean(), {}", "depend on that row alone"),
        ("h = next_state.height\nreturn (h - h.mean()) / h.std(), {}", "depend on that row alone"),
        ("return next_state.height, {'best': next_state.height.max()}", "depend on that row alone"),
        ("return torch.arange(len(state)) + next_state.height, {}", "depend on that row alone"),
        ("return next_state.height.cumsum(0), {}", "depend on that row alone"),
        ("return next_state.height.unsqueeze(0).squeeze(), {}", "it fails on transitions alone"),
        ("return torch.rand(len(state)), {}", "two calls on the same transitions differ"),
        ("return next_state.height, {'noise': torch.rand(len(state))}", "two calls on the same transitions differ"),
        ("state.height[:] = 0.0\nreturn next_state.height, {}", "writes to its inputs"),
        ("return torch.zeros(len(state)), {}", "the reward is 0 in all of 64"),
        ("return torch.ones(len(state)) * 3, {'h': state.height}", "the reward is 3 in all of 64"),
        ("return 1e12 * next_state.height, {}", "keep it below 1e+06"),
        ("return next_state.heigth, {}", "its fields are"),
        ("return next_state.height / 0.0, {}", "the reward is "),
    ],
)
def test_each_problem_is_told_and_only_it(start, layout, transitions, program, message):
    (told,) = problems(start(program), layout, transitions)
    assert message in told


@pytest.mark.parametrize("form", ["progress", "factors"])
@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("return 1e12 * torch.ones(len(state)), {'h': next_state.height, 'later': 0.0}", ""),
        ("return next_state.height, {}", "it returns no components"),
        (
            "return next_state.height, {'a': 1.0, 'b': torch.ones(len(state))}",
            "every component is the same in all of 64",
        ),
        ("return next_state.height, {'a': next_state.height, 'b': 1e9 * state.height}", "beyond 1e+06 in size: b;"),
        ("return next_state.height, {'a': next_state.height.cumsum(0)}", "depend on that row alone"),
    ],
)
def test_of_what_is_no_reward_the_components_count(start, layout, transitions, program, message, form):
    told = problems(start(program), layout, transitions, form=form)
    assert [message in each for each in told] == ([True] if message else [])


def test_several_problems_come_together(start, layout, transitions):
    told = problems(start("state.height.zero_()\nreturn 1e9 + torch.rand(len(state)) * 1e9, {}"), layout, transitions)
    assert len(told) == 3


def test_state_kept_between_calls_is_found(start, layout, transitions):
    worker = start("N = []\ndef compute_reward(s, a, n):\n    N.append(1)\n    return n.height + len(N), {}\n")
    assert "two calls" in problems(worker, layout, transitions)[0]


def test_a_slow_call_is_told(start, layout, transitions):
    worker = start("import time\ntime.sleep(0.05)\nreturn next_state.height, {}")
    (told,) = problems(worker, layout, transitions, call_seconds=0.01)
    assert "a call on 64 transitions takes" in told


def test_too_few_transitions_are_an_error_of_the_caller(start, layout, transitions):
    with pytest.raises(ValueError, match="at least 8"):
        smoke_test(start("return 1, {}"), layout, *(matrix[:7] for matrix in transitions), call_seconds=1.0)
    with pytest.raises(ValueError, match="columns"):
        smoke_test(start("return 1, {}"), layout, transitions[1], *transitions[1:], call_seconds=1.0)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus of programs beside the repository")
def test_every_benign_program_passes(sandbox):
    layout = Layout((Field("obs", (20,), "1", "observation"),))
    generator = torch.Generator().manual_seed(2)
    # small enough that no success bonus is out of reach of every transition
    states, actions, next_states = (0.3 * torch.randn(512, count, generator=generator) for count in (20, 3, 20))
    files = sorted(CORPUS.glob("*.py"))
    assert files
    for file in files:
        program = check(file.read_text(), layout)
        with sandbox.open(program, layout, 3, 512) as worker:
            assert smoke_test(worker, layout, states, actions, next_states, call_seconds=5.0) == [], file.name
