"""The offline author: takes requests, and replies in a language model's form."""

from __future__ import annotations

import hashlib
import random
import re

from rewardgen.errors import LLMError
from rewardgen.llm.conversation import messages_hash
from rewardgen.llm.offline.designs import Design, UnderstoodTask, designs, extras, understand
from rewardgen.llm.offline.forms import in_form
from rewardgen.llm.offline.improving import crossed, fresh, heeded, shaken, variants
from rewardgen.llm.offline.roles import analyse, criticise
from rewardgen.llm.offline.terms import Program, read, write
from rewardgen.records import Reply
from rewardgen.request import Attempt, Facts, Purpose, Request, asked_for

NAME = "offline (no language model)"
_TRIES = 20
_LINE = re.compile(r"\bline (\d+)")
ANSWERED: frozenset[Purpose] = frozenset({"generation", "repair", "revision", "review", "analysis", "trial"})
"""Purposes of the requests that it can answer."""
_MUTATIONS = (1, 2, 3, 5, 6)
"""Among the variants of a reward, those that change one thing."""


class OfflineAuthor:
    """Writes rewards by fixed rules from the facts of a request; no language model is involved.

    The same request and seed bring the same replies, and a longer batch begins with the shorter one. Templates of the
    user's own change nothing in them.
    """

    name = NAME
    offline = True

    def close(self) -> None:
        """Do nothing: this author never waits."""

    def reply(self, request: Request, n: int, *, seed: int) -> list[Reply]:
        """Return ``n`` different rewards, or fewer different ones if there are not that many; at no cost.

        Raises:
            LLMError: the request asks for something other than a program, a review or an analysis.
        """
        facts = request.facts
        if request.purpose not in ANSWERED:
            raise LLMError(
                f"the offline author cannot answer a request for {asked_for(request.purpose, n)}; "
                "choose a language model with --llm"
            )
        # Critics and analysts get fixed texts
        if request.purpose in ("review", "analysis"):
            answer = criticise(facts.source) if request.purpose == "review" else analyse(facts.episodes)
            return [Reply(text=answer, model=NAME) for _ in range(n)]
        # The random draws follow from the request and the seed
        task = understand(facts.task)
        digest = hashlib.sha256(f"{messages_hash(request.standard)}/{seed}".encode()).digest()
        random_ = random.Random(digest)
        # Avoid programs that were tried before
        tried = (_read(attempt, facts) for attempt in facts.attempts)
        seen = {_body(write(program, "")) for program in tried if program is not None}
        replies = []
        # Try until a program is new
        for number in range(n):
            for attempt in range(_TRIES):
                idea, program = _design(task, request, number, random_, again=attempt > 0)
                if not (shaped := in_form(program, facts.form)):  # none of its terms has the requested form
                    idea, program = fresh(task, random_)
                    shaped = in_form(program, facts.form)
                source = write(shaped or program, idea)
                if _body(source) not in seen:
                    break
            seen.add(_body(source))
            replies.append(Reply(text=_text(idea, source), model=NAME))
        return replies


def _design(task: UnderstoodTask, request: Request, number: int, random_: random.Random, *, again: bool) -> Design:
    """Return an idea and its program for reply ``number``; ``again``: the first try was not new."""
    facts = request.facts
    # Repairs and revisions
    if request.purpose == "repair":
        if any(problem.stage == "copy" for problem in facts.problems):
            return fresh(task, random_)  # nothing is wrong with its terms, but another program has them too
        problems = " ".join(f"{problem.stage}: {problem}" for problem in facts.problems)
        return _repaired(task, facts, problems, number, random_, again=again)
    if request.purpose == "revision":
        return _repaired(task, facts, " ".join(facts.objections), number, random_, again=again)
    known = [(attempt, program) for attempt in facts.attempts if (program := _read(attempt, facts)) is not None]
    known = [item for item in known if not item[0].disliked] or known
    # Improve the last program that it can read, unless people disliked it
    if known:
        (attempt, parent), others = known[-1], [program for _, program in known[:-1]]
        if others and facts.ask == "cross":
            return "A cross of the two rewards", crossed(parent, others[-1], random_)
        if facts.ask == "mutate":
            return variants(task, attempt.trained, parent, (), random_.choice(_MUTATIONS), random_)
        words = " ".join(facts.remarks)
        heeding = heeded(parent, extras(task), words) if words and number == 0 and not again else None
        if heeding is not None:
            return "The parent, with what people spoke of", heeding
        idea, program = variants(task, attempt.trained, parent, others, number, random_)
        return (idea, shaken(program, random_)) if again else (idea, program)
    first = designs(task)
    # Without one, write fresh designs, the best first
    if number < len(first) and not again:
        return first[number]
    return fresh(task, random_)


def _repaired(
    task: UnderstoodTask, facts: Facts, problems: str, number: int, random_: random.Random, *, again: bool
) -> Design:
    """Return the rejected program without the terms that the problems are about; a fresh one if that is unclear."""
    refused = facts.attempts[-1] if facts.attempts else Attempt("")
    program = _read(refused, facts)
    if program is not None and number == 0 and not again:
        # Terms that a problem names, or that stand in a line that it names, are dropped
        lines = refused.source.splitlines()
        blamed = " ".join(lines[int(at) - 1] for at in _LINE.findall(problems) if 0 < int(at) <= len(lines))
        remaining = tuple(t for t in program if not re.search(rf"\b{t.name}\b", f"{problems} {blamed}"))
        if remaining and len(remaining) < len(program):
            return ("The reward without what was wrong with it", remaining)
    if number == 0 and not again:
        return designs(task)[0]
    return fresh(task, random_)


def _read(attempt: Attempt, facts: Facts) -> Program | None:
    """Return an earlier program as terms; None if it cannot be read."""
    return read(attempt.source, {field.name for field in facts.task.fields}, facts.task.helpers)


def _body(source: str) -> str:
    """Return a program of this author without its docstring."""
    return source.split('"""', 2)[2]


def _text(idea: str, source: str) -> str:
    """Return a reply as a language model would word it."""
    return (
        f"{idea}. (Written by rewardgen's offline author from the declared fields, by fixed rules: no language model "
        f"is involved.)\n\n```python\n{source}```\n"
    )
