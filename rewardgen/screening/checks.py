"""One text through all checks: extract the program, check it, and try it in the sandbox on real transitions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rewardgen.errors import ProgramRejected, RewardFailed
from rewardgen.program import check, extract, extract_reply
from rewardgen.records import Form, Problem, Reply, RewardProgram
from rewardgen.sandbox import Sandbox, smoke_test, unexplained
from rewardgen.sim import make_simulator
from rewardgen.tasks import Task, Worlds

SMOKE_WORLDS = 16
"""Worlds, and fresh starts, that the transitions of the trial come from."""


@dataclass(frozen=True)
class Transitions:
    """``B`` transitions of a task: ``states`` and ``next_states`` ``(B, width)``, ``actions`` ``(B, action_size)``."""

    states: Tensor
    actions: Tensor
    next_states: Tensor


@dataclass(frozen=True)
class Trial:
    """One text after all checks: the ``source`` found in it, the ``program`` if it passed, and what is wrong if not.

    ``output`` is what the program printed: its author's words, for the report alone. ``warning`` is what is odd about a
    program that passed; a search goes on with it.
    """

    source: str | None
    program: RewardProgram | None
    problems: tuple[Problem, ...]
    output: str = ""
    warning: str = ""


def random_transitions(task: Task, count: int, seed: int, threads: int = 0) -> Transitions:
    """Return at least ``count`` transitions under uniformly random actions, from ``SMOKE_WORLDS`` fresh starts.

    The same seed gives the same transitions.

    Raises:
        SimulationFailed: MuJoCo reported an error.
    """
    generator = torch.Generator().manual_seed(seed)
    sim = make_simulator(task.model, SMOKE_WORLDS, threads=threads)
    worlds = Worlds(task, sim, torch.arange(SMOKE_WORLDS) + seed * SMOKE_WORLDS)
    worlds.start()
    low, high = task.action_low, task.action_high
    states, actions, next_states = [], [], []
    for _ in range(-(-count // SMOKE_WORLDS)):
        action = task.clip(low + (high - low) * torch.rand(SMOKE_WORLDS, task.action_size, generator=generator))
        states.append(worlds.matrix.clone())
        actions.append(action)
        next_states.append(worlds.step(action).next_matrix.clone())
    return Transitions(torch.cat(states), torch.cat(actions), torch.cat(next_states))


def try_program(
    sandbox: Sandbox,
    task: Task,
    program: RewardProgram,
    transitions: Transitions,
    call_seconds: float,
    form: Form = "reward",
) -> tuple[list[Problem], str, str]:
    """Try a program on real transitions; return its problems, what it printed, and a warning about what is odd.

    Raises:
        SandboxError: no worker can be started.
    """
    try:
        worker = sandbox.open(program, task.layout, task.action_size, len(transitions.actions))
    except RewardFailed as failure:
        return [Problem("compile", str(failure), failure.line)], "", ""
    try:
        problems = smoke_test(
            worker,
            task.layout,
            transitions.states,
            transitions.actions,
            transitions.next_states,
            call_seconds=call_seconds,
            form=form,
        )
        warning = ""
        if not problems and form == "reward":
            try:
                warning = unexplained(worker, transitions.states, transitions.actions, transitions.next_states)
            except RewardFailed as failure:
                problems = [Problem("smoke", str(failure), failure.line)]
        return problems, worker.output, warning
    finally:
        worker.close()


def screen_source(
    sandbox: Sandbox,
    task: Task,
    transitions: Transitions,
    text: str | Reply,
    *,
    call_seconds: float,
    is_reply: bool = True,
    form: Form = "reward",
) -> Trial:
    """Put one text through all checks: a model's ``Reply``, the text of one, or a program (``is_reply`` False).

    Args:
        call_seconds: limit on the wall clock of each call of the program.
        form: what the program returns.

    Raises:
        SandboxError: no worker can be started.
    """
    # Extract the program and check it without running it
    source = None
    try:
        source = extract_reply(text) if isinstance(text, Reply) else extract(text) if is_reply else text
        program = check(source, task.layout)
    except ProgramRejected as rejected:
        return Trial(source, None, tuple(rejected.problems))

    # Run it
    problems, output, warning = try_program(sandbox, task, program, transitions, call_seconds, form)
    return Trial(source, None if problems else program, tuple(problems), output, warning)
