"""The offline author: messages in, replies in a language model's form out."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence

from rewardgen.llm.conversation import Purpose, messages_hash, purpose_of
from rewardgen.llm.offline.brief import Attempt, Brief, read_brief
from rewardgen.llm.offline.designs import Design, Task, designs, extras, understand
from rewardgen.llm.offline.forms import in_form
from rewardgen.llm.offline.improving import crossed, fresh, heeded, shaken, variants
from rewardgen.llm.offline.roles import analyse, criticise
from rewardgen.llm.offline.terms import Program, read, write
from rewardgen.records import Message, Reply

NAME = "offline (no language model)"
_TRIES = 20
_TRIED = "tried already"
_LINE = re.compile(r"\bline (\d+)")
_QUOTED = re.compile(r"^> (.*)$", re.MULTILINE)
_CROSS, _MUTATE = "Cross the two rewards", "Mutate this reward"
_MUTATIONS = (1, 2, 3, 5, 6)
"""Of the variants of a reward, those that change one thing."""


class OfflineAuthor:
    """Writes rewards by plain rules from the text of the messages; no language model is involved.

    The same messages and seed bring the same replies, and a longer batch begins with the shorter one.
    """

    name = NAME
    offline = True

    def close(self) -> None:
        """Nothing is ever under way."""

    def reply(self, messages: Sequence[Message], n: int, *, seed: int) -> list[Reply]:
        """``n`` different rewards (as far as there are so many), free of cost."""
        purpose = purpose_of(messages)
        if purpose in ("review", "analysis"):
            answer = (criticise if purpose == "review" else analyse)(messages[-1].content)
            return [Reply(text=answer, model=NAME) for _ in range(n)]
        brief = read_brief(messages)
        task = understand(brief)
        digest = hashlib.sha256(f"{messages_hash(messages)}/{seed}".encode()).digest()
        random_ = random.Random(digest)
        # what was tried before is not tried again
        tried = (_read(attempt, brief) for attempt in brief.attempts)
        seen = {_body(write(program, "")) for program in tried if program is not None}
        replies = []
        for number in range(n):
            for attempt in range(_TRIES):
                idea, program = _design(task, messages, number, random_, purpose, again=attempt > 0)
                if not (shaped := in_form(program, messages[0].content)):  # nothing of it is what is asked for
                    idea, program = fresh(task, random_)
                    shaped = in_form(program, messages[0].content)
                source = write(shaped or program, idea)
                if _body(source) not in seen:
                    break
            seen.add(_body(source))
            replies.append(Reply(text=_text(idea, source), model=NAME))
        return replies


def _design(
    task: Task, messages: Sequence[Message], number: int, random_: random.Random, purpose: Purpose, *, again: bool
) -> Design:
    brief, last = task.brief, messages[-1].content
    if purpose == "repair":
        return _mended(task, last, number, random_, again=again)
    if purpose == "revision":
        return _mended(task, " ".join(_QUOTED.findall(last)), number, random_, again=again)
    known = [(attempt, program) for attempt in brief.attempts if (program := _read(attempt, brief)) is not None]
    known = [item for item in known if not item[0].disliked] or known
    if known:
        (attempt, parent), others = known[-1], [program for _, program in known[:-1]]
        if others and _CROSS in last:
            return "A cross of the two rewards", crossed(parent, others[-1], random_)
        if _MUTATE in last:
            return variants(task, attempt, parent, (), random_.choice(_MUTATIONS), random_)
        heeding = heeded(parent, extras(task), brief.said) if brief.said and number == 0 and not again else None
        if heeding is not None:
            return "The parent, with what people spoke of", heeding
        idea, program = variants(task, attempt, parent, others, number, random_)
        return (idea, shaken(program, random_)) if again else (idea, program)
    first = designs(task)
    # a reward was shown that this author cannot read: its own best designs were probably not tried yet
    if number < len(first) and not again:
        return first[number]
    return fresh(task, random_)


def _mended(task: Task, problems: str, number: int, random_: random.Random, *, again: bool) -> Design:
    """The refused program without the terms that the problems are about; a fresh one where that cannot be told."""
    if _TRIED in problems:  # there is nothing wrong with its terms, others have them too
        return fresh(task, random_)
    attempts = task.brief.attempts
    program = _read(attempts[-1], task.brief) if attempts else None
    if program is not None and number == 0 and not again:
        lines = attempts[-1].source.splitlines()
        blamed = " ".join(lines[int(at) - 1] for at in _LINE.findall(problems) if 0 < int(at) <= len(lines))
        kept = tuple(t for t in program if not re.search(rf"\b{t.name}\b", f"{problems} {blamed}"))
        if kept and len(kept) < len(program):
            return ("The reward without what was wrong with it", kept)
    if number == 0 and not again:
        return designs(task)[0]
    return fresh(task, random_)


def _read(attempt: Attempt, brief: Brief) -> Program | None:
    return read(attempt.source, {field.name for field in brief.fields}, brief.helpers)


def _body(source: str) -> str:
    """A program of ours without its docstring."""
    return source.split('"""', 2)[2]


def _text(idea: str, source: str) -> str:
    return (
        f"{idea}. (Written by rewardgen's offline author from the declared fields, by fixed rules: no language model "
        f"is involved.)\n\n```python\n{source}```\n"
    )
