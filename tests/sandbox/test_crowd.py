"""A third of a population attacks: what becomes of the others is bit for bit what it would have been without them."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import ExitStack

import pytest

from rewardgen.config import TrainingConfig
from rewardgen.program import check
from rewardgen.records import RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.training import Member, label_rows, train
from tests.sandbox.processes import children, server_of
from tests.training.conftest import Point

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the strict sandbox is Linux's")

HARMLESS = {
    "near": "return 1.0 - next_state.position.abs(), {}",
    "slow": "return -next_state.velocity.abs() - next_state.position.square(), {'p': next_state.position}",
    "progress": "return state.position.abs() - next_state.position.abs(), {}",
    "effort": "e = -0.01 * action.square().sum(-1)\nreturn e - next_state.position.abs(), {'effort': e}",
    "bounded": "return torch.exp(-next_state.position.square()), {}",
    "shaped": "return tolerance(next_state.position, -0.1, 0.1, 1.0), {}",
}

# They behave in the first calls, so that they are in the middle of the training when they begin.
BEGINS = """
import os, sys
CALLS = []
def compute_reward(state, action, next_state):
    CALLS.append(1)
    if len(CALLS) > 2:
        attack(state, action, next_state)
    return next_state.position.abs(), {{}}
def attack(state, action, next_state):
{attack}
"""
HOSTILE = {
    "scribbles": """
    frame = sys._getframe(2)
    area = frame.f_locals['self'].out
    area[:] = b'\\x41' * len(area)
    state._matrix.fill_(9e9)
    frame.f_locals['self'].shared[0].fill_(9e9)""",
    "hangs": "    while True: torch.rand(100, 100) @ torch.rand(100, 100)",
    "forges": """
    for number in range(3, 64):
        try:
            os.write(number, bytes(range(256)) * 16)
        except OSError:
            pass
    os._exit(0)""",
}


def trained(programs: dict[str, RewardProgram]) -> dict[str, TrainingResult]:
    task = Point()
    config = TrainingConfig(
        steps=2048,
        worlds=16,
        rollout=16,
        epochs=2,
        minibatches=4,
        hidden=(16, 16),
        checkpoints=2,
        checkpoint_episodes=4,
        score_episodes=4,
    )
    with Sandbox(SandboxLimits(call_seconds=2.0, memory_gb=2.0)) as box, ExitStack() as workers:
        members = []
        for key, program in programs.items():
            worker = box.open(program, task.layout, task.action_size, max(label_rows(config), 4 * task.horizon))
            members.append(Member(key, 3, workers.enter_context(worker)))
        results = train(task, members, config, threads=1)
        workers.close()
        assert children(server_of(box)) == []
    return {result.key: result for result in results}


@pytest.fixture(scope="module")
def programs() -> dict[str, RewardProgram]:
    """Six harmless programs and, between them, three attackers."""
    layout = Point().layout
    head = "def compute_reward(state, action, next_state):\n    "
    harmless = [(key, check(head + body.replace("\n", "\n    "), layout)) for key, body in HARMLESS.items()]
    hostile = [(key, RewardProgram(BEGINS.format(attack=body.strip("\n")))) for key, body in HOSTILE.items()]
    crowd = []
    for place, attacker in enumerate(hostile):
        crowd += [*harmless[2 * place : 2 * place + 2], attacker]
    return dict(crowd)


@pytest.fixture(scope="module")
def beside_attackers(programs) -> dict[str, TrainingResult]:
    return trained(programs)


def as_told(result: TrainingResult) -> str:
    """All that a training came to but its time; as text, in which NaN equals NaN and every bit of a float shows."""
    return repr(dataclasses.replace(result, seconds=0.0))


@pytest.mark.slow
def test_attackers_fail_and_the_others_score_as_if_they_had_been_harmless(programs, beside_attackers):
    peaceful = trained({key: programs["near"] if key in HOSTILE else program for key, program in programs.items()})
    assert {key for key, result in beside_attackers.items() if result.status == "failed"} == set(HOSTILE)
    for key in HARMLESS:
        assert peaceful[key].status == "done"
        assert as_told(peaceful[key]) == as_told(beside_attackers[key])


@pytest.mark.slow
def test_attackers_leave_the_others_policies_as_if_they_had_not_been_there(programs, beside_attackers):
    alone = trained({key: programs[key] for key in HARMLESS})
    for key in HARMLESS:
        assert alone[key].weights == beside_attackers[key].weights


@pytest.mark.slow
def test_attackers_leave_the_others_scores_as_if_they_had_not_been_there(programs, beside_attackers):
    alone = trained({key: programs[key] for key in HARMLESS})
    for key in HARMLESS:
        assert as_told(alone[key]) == as_told(beside_attackers[key])
