"""Reply → program that may be trained: extract, check, try on real transitions, and send back what fails.

What passes is tried on stored episodes too (``foresight``): a copy of what was tried before goes back like what fails.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from rewardgen import prompting
from rewardgen.errors import ProgramRejected, RewardFailed
from rewardgen.program import check, extract, extract_reply
from rewardgen.records import Forecast, Form, Problem, Reply, RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox, smoke_test, unexplained
from rewardgen.search import seeds
from rewardgen.search.authoring import Draft
from rewardgen.search.foresight import Foresight
from rewardgen.search.run import Call, Run
from rewardgen.sim import make_simulator
from rewardgen.tasks import Task, Worlds
from rewardgen.text import percent

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

    ``output`` is what the program printed: its author's words, for the report alone. ``warning`` is what is odd about a
    program that passed; a search goes on with it.
    """

    source: str | None
    program: RewardProgram | None
    problems: tuple[Problem, ...]
    output: str = ""
    warning: str = ""


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
    """What the smoke test finds wrong with a program on real transitions, what it printed, and what is odd about it."""
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
    """One text through all checks: a model's ``Reply``, the text of one, or a program (``is_reply`` False)."""
    source = None
    try:
        source = extract_reply(text) if isinstance(text, Reply) else extract(text) if is_reply else text
        program = check(source, task.layout)
    except ProgramRejected as rejected:
        return Trial(source, None, tuple(rejected.problems))
    problems, output, warning = try_program(sandbox, task, program, transitions, call_seconds, form)
    return Trial(source, None if problems else program, tuple(problems), output, warning)


def screen(run: Run, restart: int, generation: int, drafts: Mapping[str, Draft]) -> dict[str, Screened]:
    """Screen a generation. What fails goes back to its author, ``search.repairs`` times at most; not so a reply that
    was cut at ``llm.max_tokens`` or withheld by a filter: a repair would end as it did.

    A method that wants all its programs to run then asks for a fresh one in its place, ``fill`` times at most.
    """
    screener, keys = Screener(run, restart, generation), list(drafts)
    pending = dict(drafts)
    done: dict[str, Screened] = {}
    tries = (run.config.search.repairs + 1) * (run.method.fill + 1)
    for attempt in range(tries):
        failed: dict[str, tuple[Draft, tuple[Problem, ...]]] = {}
        for key, draft in pending.items():
            result = screener.attempt(key, keys.index(key), attempt, draft)
            if result.program is not None:
                done[key] = result
            elif any(problem.stage == "ended" for problem in result.problems):
                run.store.reject(key)
                done[key] = result
            else:
                failed[key] = (draft, result.problems)
        if not failed or attempt == tries - 1:
            break
        afresh = (attempt + 1) % (run.config.search.repairs + 1) == 0
        conversations = {
            key: drafts[key].asked
            if afresh
            else tuple(prompting.repair(draft.messages, draft.reply.text, problems, run.prompts_dir))
            for key, (draft, problems) in failed.items()
        }
        calls = [
            Call(
                key=f"{key}a{attempt + 1}",
                messages=messages,
                n=1,
                seed=seeds.derive(run.config.seed, "repair", restart, generation, keys.index(key), attempt),
            )
            for key, messages in conversations.items()
        ]
        answers = run.ask_all("generation" if afresh else "repair", calls)
        pending = {
            key: replace(
                drafts[key],
                call=call.key,
                number=0,
                messages=drafts[key].asked if afresh else failed[key][0].messages,
                reply=answer[0],
            )
            for key, call, answer in zip(failed, calls, answers, strict=True)
        }
    for key, (_, problems) in failed.items():
        run.store.reject(key)
        done[key] = Screened(None, problems)
    done.update(screener.leave_out([key for key in keys if done[key].program is not None]))
    return {key: done[key] for key in keys}


class Screener:
    """The checks of one generation."""

    def __init__(self, run: Run, restart: int, generation: int) -> None:
        self._run, self._place = run, (restart, generation)
        self._settings = run.config.search.screening

    def attempt(self, key: str, place: int, attempt: int, draft: Draft) -> Screened:
        """The verdict on one reply for the candidate at ``place``, from the store if it stands there."""
        run = self._run
        stored = run.store.attempts(key)
        if len(stored) > attempt:
            source, problems = stored[attempt]
            program = RewardProgram(source) if source is not None and not problems else None
        else:
            trial = screen_source(
                run.sandbox,
                run.task,
                run.transitions,
                draft.reply,
                call_seconds=run.config.sandbox.smoke_seconds,
                form=run.method.form,
            )
            program, problems, forecast = trial.program, trial.problems, None
            if program is not None and (twin := run.twin(program)) is not None:
                told = f"this is the same program as {twin}, which is tried already; write another one"
                problems = (Problem("copy", told),)
            elif program is not None and self._settings.enabled:
                forecast, problems = self._foresee(program, place, attempt)
            source = program.source if program else trial.source
            run.store.add_attempt(key, attempt, draft.call, draft.number, source, problems, trial.output, forecast)
            program = None if problems else program
            run.say(
                "verdict",
                candidate=key,
                attempt=attempt,
                accepted=not problems,
                problems=[str(item) for item in problems],
            )
        if program is not None:
            run.accepted[key] = program
        return Screened(program, problems)

    def leave_out(self, accepted: Sequence[str]) -> dict[str, Screened]:
        """Those whose returns agree least with the fitness of stored episodes, if not all are to be trained."""
        count = math.ceil(self._settings.keep * len(accepted))
        if not self._settings.enabled or count >= len(accepted):
            return {}
        run = self._run
        forecasts = {key: run.store.forecast(key) for key in accepted}
        shares = {key: found.agreement for key, found in forecasts.items() if found is not None}
        # where nothing is known it is as good as chance
        order = sorted(accepted, key=lambda key: -(0.5 if (share := shares.get(key)) is None else share))
        run.store.leave_out(order[count:])
        left = {}
        for key in order[count:]:
            del run.accepted[key]
            told = (
                f"not trained: its return orders {percent(shares.get(key))} of the pairs of stored episodes as their "
                f"fitness does, and {count} of its generation do better"
            )
            left[key] = Screened(None, (Problem("screen", told),))
        return left

    @cached_property
    def _foresight(self) -> Foresight | None:
        run = self._run
        episodes = run.episodes.before(*self._place)
        seed = seeds.derive(run.config.seed, "probes", *self._place)
        if not episodes:  # not one with a finite fitness
            return None
        return Foresight(run.sandbox, run.task, episodes, run.config.training.gamma, seed)

    def _foresee(self, program: RewardProgram, place: int, attempt: int) -> tuple[Forecast | None, tuple[Problem, ...]]:
        """What stored episodes say of a program, and what is wrong with it by that."""
        run, settings = self._run, self._settings
        if self._foresight is None:
            return None, ()
        try:
            forecast = self._foresight.forecast(program, run.accepted)
        except RewardFailed as failure:
            return None, (Problem("screen", f"on whole episodes: {failure}", failure.line),)
        if (
            (share := forecast.agreement) is not None
            and share < settings.agreement
            and attempt < run.config.search.repairs
        ):
            told = (
                f"on {forecast.pairs} pairs of stored episodes its return is higher for the better episode in "
                f"{percent(share)} of cases, and {percent(settings.agreement)} are asked for: what does it pay for in "
                "the worse ones?"
            )
            return forecast, (Problem("preference", told),)
        if forecast.distance is None or forecast.distance > settings.copy_distance:
            return forecast, ()
        lot = seeds.derive(run.config.seed, "audit", *self._place, place, attempt) / seeds.RANGE
        if lot < settings.audit:
            return replace(forecast, audit=True), ()
        told = (
            f"this pays for the same as {forecast.nearest}, which is tried already: up to a positive factor and "
            f"potential shaping the two agree (distance {forecast.distance:.2g}); change what is paid for, not how much"
        )
        return forecast, (Problem("copy", told),)
