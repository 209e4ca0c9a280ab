"""Who is asked for what: the conversations that a generation's programs come from, and the critic's say in them.

A call's key says what it is for: ``r0g1`` asks for a generation, ``r0g1i0`` for one of its candidates where each has
parents of its own, ``r0g1c2v1`` reviews a candidate, ``r0g1c2w1`` is its author's answer to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rewardgen import prompting
from rewardgen.errors import ProgramRejected
from rewardgen.program import extract_reply
from rewardgen.records import Reply
from rewardgen.request import Request
from rewardgen.search import seeds
from rewardgen.search.run import Call, Run


@dataclass(frozen=True)
class Order:
    """One request for programs: for which candidates, made from which, and which island each is for."""

    call: str
    keys: tuple[str, ...]
    request: Request
    parents: tuple[str, ...] = ()
    homes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A reply that is to become a candidate: the ``number``-th of the call ``call``, which answered ``request``.

    ``asked`` is the request that the candidate began with, before anybody objected to anything.
    """

    call: str
    number: int
    request: Request
    reply: Reply
    asked: Request


def write(run: Run, restart: int, generation: int, orders: Sequence[Order]) -> dict[str, Draft]:
    """Every candidate's reply, in the order of the candidates; where the method has a critic, as revised.

    Raises:
        LLMError, BudgetExceeded: see ``Run.ask_all``.
    """
    calls = [
        Call(
            order.call,
            order.request,
            len(order.keys),
            seeds.derive(run.config.seed, "replies", restart, generation, *([place] if len(orders) > 1 else [])),
        )
        for place, order in enumerate(orders)
    ]
    answers = run.ask_all(calls)
    drafts = {
        key: Draft(order.call, number, order.request, reply, order.request)
        for order, replies in zip(orders, answers, strict=True)
        for number, (key, reply) in enumerate(zip(order.keys, replies, strict=True))
    }
    return reviewed(run, restart, generation, drafts)


def reviewed(run: Run, restart: int, generation: int, drafts: Mapping[str, Draft]) -> dict[str, Draft]:
    """The drafts after the critic's rounds: each is the author's answer to the last objections, if there were any."""
    critic = run.method.roles.critic
    current, open_ = dict(drafts), list(drafts)
    for round_ in range(1, critic.rounds + 1 if critic is not None else 1):
        programs = {key: source for key in open_ if (source := _program(current[key].reply)) is not None}
        reviews = run.ask_all(
            [
                Call(
                    f"{key}v{round_}",
                    prompting.review(run.task, source, run.method.form, run.prompts_dir),
                    1,
                    seeds.derive(run.config.seed, "review", restart, generation, list(drafts).index(key), round_),
                )
                for key, source in programs.items()
            ],
        )
        objected = {
            key: objections
            for key, (review,) in zip(programs, reviews, strict=True)
            if (objections := prompting.objections(review.text)) is not None
        }
        requests = {
            key: prompting.revision(current[key].request, current[key].reply.text, objections, run.prompts_dir)
            for key, objections in objected.items()
        }
        answers = run.ask_all(
            [
                Call(
                    f"{key}w{round_}",
                    request,
                    1,
                    seeds.derive(run.config.seed, "revision", restart, generation, list(drafts).index(key), round_),
                )
                for key, request in requests.items()
            ],
        )
        for (key, request), (reply,) in zip(requests.items(), answers, strict=True):
            current[key] = Draft(f"{key}w{round_}", 0, request, reply, drafts[key].asked)
        open_ = list(objected)
    return current


def _program(reply: Reply) -> str | None:
    """The code in a reply; None where there is none to review: the checks will say so."""
    try:
        return extract_reply(reply)
    except ProgramRejected:
        return None
