"""Turn replies into programs to train: check each, try it, and send failures back for repair.

The rules for one program are in ``rewardgen.screening``; here is who is asked again, how often, and what is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from rewardgen import prompting
from rewardgen.records import Problem, RewardProgram
from rewardgen.request import Request
from rewardgen.screening import Foresight, Screening
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
    return leave_out(services, [done[candidate.key] for candidate in candidates])


def _repair(services: Services, candidate: Candidate) -> Request:
    assert candidate.reply is not None  # it was screened
    problems = candidate.problems
    return prompting.repair(candidate.request, candidate.reply.text, problems, services.prompts_dir)


class Screener:
    """Screens the candidates of one generation and keeps what is found.

    ``accepted`` holds the programs of this restart that were accepted so far, by key: a copy of one is refused.
    """

    def __init__(self, services: Services, place: Place, history: History) -> None:
        self._services, self._place = services, place
        self.accepted: dict[str, RewardProgram] = dict(history.tried)
        self._screening = Screening(
            services.sandbox,
            services.task,
            services.trials.transitions,
            services.config,
            services.method.form,
            self._make_foresight,
        )

    def _make_foresight(self) -> Foresight | None:
        """Load the stored episodes of the earlier generations; None if none has a finite fitness."""
        services, place = self._services, self._place
        episodes = services.trials.episodes.of(earlier.key for earlier in place.earlier())
        if not episodes:
            return None
        return Foresight(services.sandbox, services.task, episodes, services.config.training.gamma, place.probes_seed())

    def attempt(self, candidate: Candidate, attempt: int) -> Candidate:
        """Return the candidate with its program or its problems, from the store if this attempt was made before."""
        key = candidate.key
        stored = self._services.store.attempts(key)
        if len(stored) > attempt:  # a resumed run
            source, problems = stored[attempt]
            program = RewardProgram(source) if source is not None and not problems else None
        else:
            program, problems = self._screen(candidate, attempt)
        if program is not None:
            self.accepted[key] = program
        return replace(candidate, program=program, problems=problems, attempt=attempt)

    def _screen(self, candidate: Candidate, attempt: int) -> tuple[RewardProgram | None, tuple[Problem, ...]]:
        """Screen a new reply, keep and report what is found."""
        services, search = self._services, self._services.config.search
        assert candidate.reply is not None  # it was written
        trial = self._screening.screen(
            candidate.reply,
            self.accepted,
            may_repair=attempt < search.repairs,
            audit=self._place.audit_seed(candidate.index, attempt) / RANGE < search.screening.audit,
        )
        # Keep the attempt before it is reported, so that a resumed run does not check it again
        services.store.add_attempt(
            candidate.key,
            attempt,
            candidate.call,
            candidate.reply_index,
            trial.source,
            trial.problems,
            trial.output,
            trial.forecast,
        )
        shown = tuple(str(problem) for problem in trial.problems)
        services.reporter.say(events.AttemptScreened(candidate.key, attempt, not trial.problems, shown))
        return trial.program, trial.problems


def leave_out(services: Services, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Reject those whose returns agree least with the fitness of stored episodes, if not all are to be trained."""
    settings, store = services.config.search.screening, services.store
    accepted = [candidate.key for candidate in candidates if candidate.program is not None]
    count = math.ceil(settings.keep * len(accepted))
    if not settings.enabled or count >= len(accepted):
        return list(candidates)
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
        replace(each, program=None, problems=(why(each.key),)) if each.key in left_out else each for each in candidates
    ]
