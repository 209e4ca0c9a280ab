"""What a generation is asked for, and by whom: history and islands → requests → replies, and the critic's reviews.

``propose`` makes candidates that say what is asked for each: those with the same call share one request, whose replies
they get in order. ``write`` makes the requests and, where the method has a critic, has the replies reviewed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from rewardgen import prompting
from rewardgen.errors import ProgramRejected
from rewardgen.program import extract_reply
from rewardgen.records import Reply
from rewardgen.request import Request
from rewardgen.search.candidate import Candidate, History, Place
from rewardgen.search.feedback import shown
from rewardgen.search.islands import births, finite_ranks
from rewardgen.search.services import Call, Services


def propose(services: Services, place: Place, history: History) -> list[Candidate]:
    """Return the candidates of a generation with what is asked for each: one request for all, or one for each.

    On islands each candidate is made from parents of its own, once somebody lives there.
    """
    method, prompts_dir = services.method, services.prompts_dir
    keys = place.candidates(services.config.search.candidates)
    if method.islands is None or not any(history.islands):
        # One request for all: the next step from the last generation's best
        asked = prompting.generation(services.task, history.turns, history.failures, prompts_dir, method.manner)
        parents = (history.parent,) if history.parent is not None else ()
        islands = method.islands.count if method.islands is not None else 1
        return [
            Candidate(
                key,
                index,
                parents=parents,
                island=index % islands,
                asked=asked,
                request=asked,
                call=place.key,
                reply_index=index,
            )
            for index, key in enumerate(keys)
        ]

    # One request for each: parents drawn by their scores, combined by mutation or crossover
    everyone = [key for island in history.islands for key in island]
    scores = finite_ranks(history, everyone)
    chance = random.Random(place.births_seed())
    candidates = []
    for index, birth in enumerate(births(method.islands, history.islands, scores, len(keys), chance)):
        ask = birth.operator if birth.operator != "new" else method.manner.ask
        manner = replace(method.manner, ask=ask, history=2)
        turns = [shown(services, parent) for parent in history.of(birth.parents)]
        asked = prompting.generation(services.task, turns, history.failures, prompts_dir, manner)
        candidates.append(
            Candidate(
                keys[index],
                index,
                parents=birth.parents,
                island=birth.island,
                asked=asked,
                request=asked,
                call=place.own_call(index),
            )
        )
    return candidates


def write(services: Services, place: Place, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with their replies, revised where the method has a critic.

    Raises:
        LLMError, BudgetExceeded: see ``Services.ask``.
    """
    # Gather the candidates that share a request
    requests: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        requests.setdefault(candidate.call, []).append(candidate)
    several = len(requests) > 1
    calls = [
        Call(key, sharing[0].request, len(sharing), place.replies_seed(number if several else None))
        for number, (key, sharing) in enumerate(requests.items())
    ]

    # Ask, give each its reply, and have the replies reviewed
    replies = dict(zip(requests, services.ask(calls), strict=True))
    written = [replace(each, reply=replies[each.call][each.reply_index]) for each in candidates]
    return review(services, place, written)


def review(services: Services, place: Place, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates after the critic's rounds: each has the author's answer to the last objections, if any."""
    critic = services.method.roles.critic
    current = {candidate.key: candidate for candidate in candidates}
    open_ = list(current)
    for round_ in range(1, critic.rounds + 1 if critic is not None else 1):
        # Have the critic review every program that is still open
        programs = {key: source for key in open_ if (source := _program(current[key].reply)) is not None}
        reviews = services.ask(
            [
                Call(
                    place.review_call(current[key].index, round_),
                    prompting.review(services.task, source, services.method.form, services.prompts_dir),
                    1,
                    place.review_seed(current[key].index, round_),
                )
                for key, source in programs.items()
            ],
        )
        objected = {
            key: objections
            for key, (reply,) in zip(programs, reviews, strict=True)
            if (objections := prompting.objections(reply.text)) is not None
        }

        # Send the objections back to the author
        requested = {key: _revise(current[key], objections, services) for key, objections in objected.items()}
        answers = services.ask(
            [
                Call(
                    place.revision_call(current[key].index, round_),
                    request,
                    1,
                    place.revision_seed(current[key].index, round_),
                )
                for key, request in requested.items()
            ],
        )
        for (key, request), (reply,) in zip(requested.items(), answers, strict=True):
            call = place.revision_call(current[key].index, round_)
            current[key] = replace(current[key], call=call, reply_index=0, request=request, reply=reply)
        open_ = list(objected)
    return list(current.values())


def _revise(candidate: Candidate, objections: str, services: Services) -> Request:
    assert candidate.reply is not None  # it was reviewed
    return prompting.revision(candidate.request, candidate.reply.text, objections, services.prompts_dir)


def _program(reply: Reply | None) -> str | None:
    """Return the code in a reply; None where there is none to review, which screening will report."""
    try:
        return extract_reply(reply) if reply is not None else None
    except ProgramRejected:
        return None
