"""The offline author: requests in, replies in a language model's form out."""

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
"""Of the variants of a reward, those that change one thing."""


class OfflineAuthor:
    """Writes rewards by plain rules from the facts of a request; no language model is involved.

    The same request and seed bring the same replies, and a longer batch begins with the shorter one. Templates of the
    user's own change nothing in them.
    """

    name = NAME
    offline = True

    def close(self) -> None:
        """Nothing is ever under way."""

    def reply(self, request: Request, n: int, *, seed: int) -> list[Reply]:
        """Return ``n`` different rewards, or fewer different ones if there are not as many; free of cost.

        Raises:
            LLMError: the request is for something else than a program, a review or an analysis.
        """
        facts = request.facts
        if request.purpose not in ANSWERED:
            raise LLMError(
                f"the offline author cannot answer a request for {asked_for(request.purpose, n)}; "
                "choose a language model with --llm"
            )
        if request.purpose in ("review", "analysis"):
            answer = criticise(facts.source) if request.purpose == "review" else analyse(facts.episodes)
            return [Reply(text=answer, model=NAME) for _ in range(n)]
        task = understand(facts.task)
        digest = hashlib.sha256(f"{messages_hash(request.standard)}/{seed}".encode()).digest()
        random_ = random.Random(digest)
        # what was tried before is not tried again
        tried = (_read(attempt, facts) for attempt in facts.attempts)
        seen = {_body(write(program, "")) for program in tried if program is not None}
        replies = []
        for number in range(n):
            for attempt in range(_TRIES):
                idea, program = _design(task, request, number, random_, again=attempt > 0)
                if not (shaped := in_form(program, facts.form)):  # nothing of it is what is asked for
                    idea, program = fresh(task, random_)
                    shaped = in_form(program, facts.form)
                source = write(shaped or program, idea)
                if _body(source) not in seen:
                    break
            seen.add(_body(source))
            replies.append(Reply(text=_text(idea, source), model=NAME))
        return replies


def _design(task: UnderstoodTask, request: Request, number: int, random_: random.Random, *, again: bool) -> Design:
    facts = request.facts
    if request.purpose == "repair":
        if any(problem.stage == "copy" for problem in facts.problems):
            return fresh(task, random_)  # there is nothing wrong with its terms, others have them too
        problems = " ".join(f"{problem.stage}: {problem}" for problem in facts.problems)
        return _mended(task, facts, problems, number, random_, again=again)
    if request.purpose == "revision":
        return _mended(task, facts, " ".join(facts.objections), number, random_, again=again)
    known = [(attempt, program) for attempt in facts.attempts if (program := _read(attempt, facts)) is not None]
    known = [item for item in known if not item[0].disliked] or known
    if known:
        (attempt, parent), others = known[-1], [program for _, program in known[:-1]]
        if others and facts.ask == "cross":
            return "A cross of the two rewards", crossed(parent, others[-1], random_)
        if facts.ask == "mutate":
            return variants(task, attempt.trained, parent, (), random_.choice(_MUTATIONS), random_)
        said = " ".join(facts.remarks)
        heeding = heeded(parent, extras(task), said) if said and number == 0 and not again else None
        if heeding is not None:
            return "The parent, with what people spoke of", heeding
        idea, program = variants(task, attempt.trained, parent, others, number, random_)
        return (idea, shaken(program, random_)) if again else (idea, program)
    first = designs(task)
    # a reward was shown that this author cannot read: its own best designs were probably not tried yet
    if number < len(first) and not again:
        return first[number]
    return fresh(task, random_)


def _mended(
    task: UnderstoodTask, facts: Facts, problems: str, number: int, random_: random.Random, *, again: bool
) -> Design:
    """The refused program without the terms that the problems are about; a fresh one where that cannot be told."""
    refused = facts.attempts[-1] if facts.attempts else Attempt("")
    program = _read(refused, facts)
    if program is not None and number == 0 and not again:
        lines = refused.source.splitlines()
        blamed = " ".join(lines[int(at) - 1] for at in _LINE.findall(problems) if 0 < int(at) <= len(lines))
        kept = tuple(t for t in program if not re.search(rf"\b{t.name}\b", f"{problems} {blamed}"))
        if kept and len(kept) < len(program):
            return ("The reward without what was wrong with it", kept)
    if number == 0 and not again:
        return designs(task)[0]
    return fresh(task, random_)


def _read(attempt: Attempt, facts: Facts) -> Program | None:
    return read(attempt.source, {field.name for field in facts.task.fields}, facts.task.helpers)


def _body(source: str) -> str:
    """A program of ours without its docstring."""
    return source.split('"""', 2)[2]


def _text(idea: str, source: str) -> str:
    return (
        f"{idea}. (Written by rewardgen's offline author from the declared fields, by fixed rules: no language model "
        f"is involved.)\n\n```python\n{source}```\n"
    )
