"""Reply → program that may be trained: extract, check, try on real transitions, and send back what fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rewardgen import prompting
from rewardgen.errors import ProgramRejected, RewardFailed
from rewardgen.program import check, extract
from rewardgen.records import Message, Problem, Reply, RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox, smoke_test
from rewardgen.search import seeds
from rewardgen.search.run import Call, Run
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds

SMOKE_WORLDS = 16


@dataclass(frozen=True)
class Transitions:
    """``B`` transitions of a task: ``states`` and ``next_states`` ``(B, width)``, ``actions`` ``(B, action_size)``."""

    states: Tensor
    actions: Tensor
    next_states: Tensor


@dataclass(frozen=True)
class Trial:
    """One text after all checks: the ``source`` found in it, the ``program`` if it passed, and what is wrong if not.

    ``output`` is what the program printed: its author's words, for the report alone.
    """

    source: str | None
    program: RewardProgram | None
    problems: tuple[Problem, ...]
    output: str = ""


@dataclass(frozen=True)
class Screened:
    """A candidate after screening: its program, or None and what is wrong with its last attempt."""

    program: RewardProgram | None
    problems: tuple[Problem, ...]

    def training_problem(self, result: TrainingResult) -> Problem:
        return Problem("train", result.message)


def random_transitions(task: Task, count: int, seed: int, threads: int = 0) -> Transitions:
    """At least ``count`` transitions under uniformly random actions, from as many fresh starts as there are worlds.

    The same seed gives the same transitions.
    """
    generator = torch.Generator().manual_seed(seed)
    sim = MujocoSim(task.model, SMOKE_WORLDS, threads)
    worlds = Worlds(task, sim, torch.arange(SMOKE_WORLDS) + seed * SMOKE_WORLDS)
    worlds.start()
    low, high = task.action_low, task.action_high
    states, actions, next_states = [], [], []
    for _ in range(-(-count // SMOKE_WORLDS)):
        action = low + (high - low) * torch.rand(SMOKE_WORLDS, task.action_size, generator=generator)
        states.append(worlds.matrix.clone())
        actions.append(action)
        next_states.append(worlds.step(action).next_matrix.clone())
    return Transitions(torch.cat(states), torch.cat(actions), torch.cat(next_states))


def try_program(
    sandbox: Sandbox, task: Task, program: RewardProgram, transitions: Transitions, call_seconds: float
) -> tuple[list[Problem], str]:
    """What the smoke test finds wrong with a program on real transitions, and what the program printed."""
    try:
        worker = sandbox.open(program, task.layout, task.action_size, len(transitions.actions))
    except RewardFailed as failure:
        return [Problem("compile", str(failure), failure.line)], ""
    try:
        problems = smoke_test(
            worker,
            task.layout,
            transitions.states,
            transitions.actions,
            transitions.next_states,
            call_seconds=call_seconds,
        )
        return problems, worker.output
    finally:
        worker.close()


def screen_source(
    sandbox: Sandbox,
    task: Task,
    transitions: Transitions,
    text: str,
    *,
    call_seconds: float,
    is_reply: bool = True,
) -> Trial:
    """One text through all checks."""
    source = None
    try:
        source = extract(text) if is_reply else text
        program = check(source, task.layout)
    except ProgramRejected as rejected:
        return Trial(source, None, tuple(rejected.problems))
    problems, output = try_program(sandbox, task, program, transitions, call_seconds)
    return Trial(source, None if problems else program, tuple(problems), output)


def screen(
    run: Run, restart: int, generation: int, keys: Sequence[str], messages: Sequence[Message], replies: Sequence[Reply]
) -> dict[str, Screened]:
    """Screen a generation. What fails goes back to its author, ``search.repairs`` times at most."""
    pending = {
        key: (f"r{restart}g{generation}", number, reply)
        for number, (key, reply) in enumerate(zip(keys, replies, strict=True))
    }
    done: dict[str, Screened] = {}
    for attempt in range(run.config.search.repairs + 1):
        failed: dict[str, tuple[Reply, tuple[Problem, ...]]] = {}
        for key, (call, number, reply) in pending.items():
            result = _attempt(run, key, attempt, call, number, reply)
            if result.program is not None:
                done[key] = result
            else:
                failed[key] = (reply, result.problems)
        if not failed or attempt == run.config.search.repairs:
            break
        calls = [
            Call(
                key=f"{key}a{attempt + 1}",
                messages=tuple(prompting.repair(messages, reply.text, problems, run.prompts_dir)),
                n=1,
                seed=seeds.derive(run.config.seed, "repair", restart, generation, keys.index(key), attempt),
            )
            for key, (reply, problems) in failed.items()
        ]
        repaired = run.ask_all("repair", calls)
        pending = {key: (call.key, 0, answer[0]) for key, call, answer in zip(failed, calls, repaired, strict=True)}
    for key, (_, problems) in failed.items():
        run.store.reject(key)
        done[key] = Screened(None, problems)
    return {key: done[key] for key in keys}


def _attempt(run: Run, key: str, attempt: int, call: str, number: int, reply: Reply) -> Screened:
    """The verdict on one reply, from the store if it stands there."""
    stored = run.store.attempts(key)
    if len(stored) > attempt:
        source, problems = stored[attempt]
        program = RewardProgram(source) if source is not None and not problems else None
    else:
        trial = screen_source(
            run.sandbox, run.task, run.transitions, reply.text, call_seconds=run.config.sandbox.smoke_seconds
        )
        program, problems = trial.program, trial.problems
        twin = run.known.get(program.digest) if program is not None else None
        if twin is not None:
            told = f"this is the same program as {twin}, which is tried already; write another one"
            program, problems = None, (Problem("check", told),)
        source = program.source if program else trial.source
        run.store.add_attempt(key, attempt, call, number, source, problems, trial.output)
        run.say(
            "verdict", candidate=key, attempt=attempt, accepted=not problems, problems=[str(item) for item in problems]
        )
    if program is not None:
        run.known[program.digest] = key
    return Screened(program, problems)
