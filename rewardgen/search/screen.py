"""Turn replies into programs to train: check each, try it, and send failures back for repair.

The checks of one program are in ``rewardgen.screening``. Programs that pass are also tried on stored episodes; copies
of earlier programs are sent back like failures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from rewardgen import prompting
from rewardgen.errors import RewardFailed
from rewardgen.records import Forecast, Problem, RewardProgram
from rewardgen.request import Request
from rewardgen.screening import Foresight, screen_source
from rewardgen.search import events
from rewardgen.search.candidate import Candidate, History, Place
from rewardgen.search.services import Call, Services
from rewardgen.seeds import RANGE
from rewardgen.text import percent


def screen(services: Services, place: Place, history: History, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with their programs, or with the problems of their last attempt.

    What fails goes back to its author, at most ``search.repairs`` times. A reply that was cut at ``llm.max_tokens`` or
    withheld by a filter does not: a repair would end the same way. A method that wants all its programs to run then
    asks for a fresh one, at most ``fill`` times.

    Raises:
        LLMError, BudgetExceeded: see ``Services.ask``.
    """
    screener = Screener(services, place, history)
    repairs = services.config.search.repairs
    attempts = (repairs + 1) * (services.method.fill + 1)
    original = {candidate.key: candidate for candidate in candidates}
    done: dict[str, Candidate] = {}
    pending = list(candidates)
    for attempt in range(attempts):
        # Check the replies
        tried = [screener.attempt(candidate, attempt) for candidate in pending]
        failed = []
        for each in tried:
            hopeless = any(problem.stage == "ended" for problem in each.problems)
            if hopeless:
                services.store.reject(each.key)
            if hopeless or each.program is not None:
                done[each.key] = each
            else:
                failed.append(each)
        if not failed or attempt == attempts - 1:
            break

        # Send back what failed, or ask for fresh programs once all repairs are used up
        fresh = (attempt + 1) % (repairs + 1) == 0
        calls = [
            Call(
                key=place.repair_call(each.index, attempt),
                request=original[each.key].asked if fresh else _repair(services, each),
                n=1,
                seed=place.repair_seed(each.index, attempt),
            )
            for each in failed
        ]
        answers = services.ask(calls)
        pending = [
            replace(
                original[each.key],
                call=call.key,
                reply_index=0,
                request=original[each.key].asked if fresh else each.request,
                reply=answer[0],
            )
            for each, call, answer in zip(failed, calls, answers, strict=True)
        ]
    for each in failed:
        services.store.reject(each.key)
        done[each.key] = each
    return screener.leave_out([done[candidate.key] for candidate in candidates])


def _repair(services: Services, candidate: Candidate) -> Request:
    assert candidate.reply is not None  # it was screened
    problems = candidate.problems
    return prompting.repair(candidate.request, candidate.reply.text, problems, services.prompts_dir)


class Screener:
    """The checks of one generation's candidates.

    ``accepted`` holds the programs of this restart that were accepted so far, by key: a copy of one is refused.
    """

    def __init__(self, services: Services, place: Place, history: History) -> None:
        self._services, self._place = services, place
        self._settings = services.config.search.screening
        self.accepted: dict[str, RewardProgram] = dict(history.tried)

    def attempt(self, candidate: Candidate, attempt: int) -> Candidate:
        """Return the candidate with its program or its problems, from the store if this attempt was made before."""
        key, store = candidate.key, self._services.store
        # A resumed run takes earlier attempts from the store
        stored = store.attempts(key)
        if len(stored) > attempt:
            source, problems = stored[attempt]
            program = RewardProgram(source) if source is not None and not problems else None
        else:
            program, problems = self._check(candidate, attempt)
        if program is not None:
            self.accepted[key] = program
        return replace(candidate, program=program, problems=problems, attempt=attempt)

    def _check(self, candidate: Candidate, attempt: int) -> tuple[RewardProgram | None, tuple[Problem, ...]]:
        """Check a new reply, keep and report what was found."""
        services = self._services
        assert candidate.reply is not None  # it was written
        trial = screen_source(
            services.sandbox,
            services.task,
            services.trials.transitions,
            candidate.reply,
            call_seconds=services.config.sandbox.smoke_seconds,
            form=services.method.form,
        )
        program, problems, forecast = trial.program, trial.problems, None
        # A copy is not worth a training; otherwise try the program on stored episodes
        if program is not None and (twin := self._twin(program)) is not None:
            message = f"this is the same program as {twin}, which is tried already; write another one"
            problems = (Problem("copy", message),)
        elif program is not None and self._settings.enabled:
            forecast, problems = self._try_on_episodes(program, candidate.index, attempt)
        # Keep the attempt before it is reported, so that a resumed run does not check it again
        source = program.source if program else trial.source
        services.store.add_attempt(
            candidate.key,
            attempt,
            candidate.call,
            candidate.reply_index,
            source,
            problems,
            trial.output,
            forecast,
        )
        shown = tuple(str(problem) for problem in problems)
        services.reporter.say(events.AttemptScreened(candidate.key, attempt, not problems, shown))
        return (None if problems else program), problems

    def _twin(self, program: RewardProgram) -> str | None:
        """Return the accepted candidate that has this very program already."""
        return next((key for key, other in self.accepted.items() if other.digest == program.digest), None)

    def leave_out(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Reject those whose returns agree least with the fitness of stored episodes, if not all are to be trained."""
        accepted = [candidate.key for candidate in candidates if candidate.program is not None]
        count = math.ceil(self._settings.keep * len(accepted))
        if not self._settings.enabled or count >= len(accepted):
            return list(candidates)
        store = self._services.store
        forecasts = {key: store.forecast(key) for key in accepted}
        shares = {key: forecast.agreement for key, forecast in forecasts.items() if forecast is not None}
        # A program without a forecast counts as chance, 0.5
        order = sorted(accepted, key=lambda key: -(0.5 if (share := shares.get(key)) is None else share))
        left_out = set(order[count:])
        store.leave_out(order[count:])

        def why(key: str) -> Problem:
            """Say how it compares with those that are trained."""
            return Problem(
                "screen",
                f"not trained: its return orders {percent(shares.get(key))} of the pairs of stored episodes as their "
                f"fitness does, and {count} of its generation do better",
            )

        return [
            replace(each, program=None, problems=(why(each.key),)) if each.key in left_out else each
            for each in candidates
        ]

    @cached_property
    def _foresight(self) -> Foresight | None:
        """Stored episodes to try programs on; None if none has a finite fitness."""
        services, place = self._services, self._place
        episodes = services.trials.episodes.of(earlier.key for earlier in place.earlier())
        if not episodes:
            return None
        return Foresight(services.sandbox, services.task, episodes, services.config.training.gamma, place.probes_seed())

    def _try_on_episodes(
        self, program: RewardProgram, index: int, attempt: int
    ) -> tuple[Forecast | None, tuple[Problem, ...]]:
        """Return what stored episodes say of a program, and what is wrong with it by that."""
        settings = self._settings
        if self._foresight is None:
            return None, ()
        try:
            forecast = self._foresight.forecast(program, self.accepted)
        except RewardFailed as failure:
            return None, (Problem("screen", f"on whole episodes: {failure}", failure.line),)

        # Does its return order episodes as their fitness does?
        share = forecast.agreement
        if share is not None and share < settings.agreement and attempt < self._services.config.search.repairs:
            message = (
                f"on {forecast.pairs} pairs of stored episodes its return is higher for the better episode in "
                f"{percent(share)} of cases, and {percent(settings.agreement)} are asked for: what does it pay for in "
                "the worse ones?"
            )
            return forecast, (Problem("preference", message),)

        # Is it new? Some copies are trained anyway, to check the rule
        if forecast.distance is None or forecast.distance > settings.copy_distance:
            return forecast, ()
        if self._place.audit_seed(index, attempt) / RANGE < settings.audit:
            return replace(forecast, audit=True), ()
        message = (
            f"this pays for the same as {forecast.nearest}, which is tried already: up to a positive factor and "
            f"potential shaping the two agree (distance {forecast.distance:.2g}); change what is paid for, not how much"
        )
        return forecast, (Problem("copy", message),)
