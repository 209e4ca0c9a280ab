"""Screen one text: extract the program, check it statically, and run it in the sandbox on simulated transitions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rewardgen.errors import ProgramRejected, RewardFailed
from rewardgen.program import check, extract, extract_reply
from rewardgen.records import Forecast, Form, Problem, Reply, RewardProgram
from rewardgen.sandbox import Sandbox, smoke_test, unexplained
from rewardgen.sim import make_simulator
from rewardgen.tasks import Task, Worlds

SMOKE_WORLDS = 16
"""Number of worlds, each with a fresh episode, that the transitions come from."""


@dataclass(frozen=True)
class Transitions:
    """``B`` transitions of a task: ``states`` and ``next_states`` ``(B, width)``, ``actions`` ``(B, action_size)``."""

    states: Tensor
    actions: Tensor
    next_states: Tensor


@dataclass(frozen=True)
class Trial:
    """Result of screening one text: its ``source``, the ``program`` if it passed, and the ``problems`` if not.

    ``output`` is what the program printed, which is untrusted and only for the report. ``warning`` describes something
    suspicious about a program that passed; the search trains it anyway. ``forecast`` is what stored episodes say of it,
    None if it was not tried on any.
    """

    source: str | None
    program: RewardProgram | None
    problems: tuple[Problem, ...]
    output: str = ""
    warning: str = ""
    forecast: Forecast | None = None


def random_transitions(task: Task, count: int, seed: int, threads: int = 0) -> Transitions:
    """Simulate at least ``count`` transitions under uniformly random actions, in ``SMOKE_WORLDS`` fresh episodes.

    The same seed gives the same transitions.

    Raises:
        SimulationFailed: MuJoCo reported an error.
    """
    # Start the worlds, with random streams that no other seed uses
    generator = torch.Generator().manual_seed(seed)
    sim = make_simulator(task.model, SMOKE_WORLDS, threads=threads)
    worlds = Worlds(task, sim, torch.arange(SMOKE_WORLDS) + seed * SMOKE_WORLDS)
    worlds.start()

    # Step all worlds with random actions until there are enough transitions
    low, high = task.action_low, task.action_high
    states, actions, next_states = [], [], []
    for _ in range(-(-count // SMOKE_WORLDS)):
        action = task.clip(low + (high - low) * torch.rand(SMOKE_WORLDS, task.action_size, generator=generator))
        # Clone: the worlds reuse their buffers
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
    """Run a program on simulated transitions.

    Args:
        call_seconds: wall-clock limit of each call, in seconds.

    Returns:
        The problems found, what the program printed, and a warning or "".

    Raises:
        SandboxError: no worker can be started.
    """
    # Compile it in a worker
    try:
        worker = sandbox.open(program, task.layout, task.action_size, len(transitions.actions))
    except RewardFailed as failure:
        return [Problem("compile", str(failure), failure.line)], "", ""

    # Call it
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

        # Compare the total with the sum of the components
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
    """Run one text through all checks.

    Args:
        text: a model's ``Reply``, the text of a reply, or the source of a program (``is_reply`` False).
        call_seconds: wall-clock limit of each call of the program, in seconds.
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

    # Run it in the sandbox
    problems, output, warning = try_program(sandbox, task, program, transitions, call_seconds, form)
    return Trial(source, None if problems else program, tuple(problems), output, warning)
