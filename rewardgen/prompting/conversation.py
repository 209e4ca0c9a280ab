"""Build the requests to an author: for programs, for corrected programs, and for judgements."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from rewardgen.errors import ProgramRejected
from rewardgen.program import extract, shaping_reference, without_thoughts
from rewardgen.prompting.facts import task_facts
from rewardgen.prompting.manner import Manner
from rewardgen.prompting.templates import in_both_words, render
from rewardgen.prompting.view import TaskView, task_view
from rewardgen.quoting import grouped_errors, long_text, one_line, quoted, quoted_lines
from rewardgen.records import Message, Outcome, Problem, Words
from rewardgen.request import Attempt, Facts, Purpose, Request, Turn
from rewardgen.tasks import Task

REPLY_LIMIT = 24_000
"""Characters of a reply that is sent back for repair; the middle of a longer one is cut out."""
PROBLEM_LIMIT = 400
"""Characters of one problem's message."""
PROBLEMS = 12
"""Problems named in one repair message."""
SAID = 20
"""Remarks of people shown per candidate, the latest."""
CHANGED = 40
"""Lines shown per change of code."""


def generation(
    task: Task,
    turns: Sequence[Turn] = (),
    failures: Sequence[Outcome] = (),
    prompts_dir: Path | None = None,
    manner: Manner | None = None,
) -> Request:
    """Ask for the next programs.

    System and task first; then, for each turn of the history, the code as an assistant message and its results as a
    user message. Roles alternate, which some servers require.

    Args:
        task: what the reward is for.
        turns: the best candidates of the generations so far, oldest first.
        failures: the outcomes of the last generation if all of it failed; shown at the end.
        prompts_dir: templates of the user's own (see ``render``).
        manner: what the prompt contains and asks for; None: as Eureka does it.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    manner = manner or Manner()
    view = task_view(task)
    # Also in rewardgen's own wording: the offline author's random seed depends on it
    own, ours = in_both_words(prompts_dir, lambda folder: _messages(view, turns, failures, manner, folder))
    shown = _shown(turns, manner)
    facts = Facts(
        task=task_facts(task, view),
        form=manner.form,
        ask=manner.ask,
        attempts=tuple(attempt for turn in shown for attempt in _attempts(turn)),
        remarks=tuple(line for words in _heard(shown[-1]) for line in quoted_lines(words.text))
        if shown and manner.words
        else (),
    )
    return Request.worded("generation", own, ours, facts)


def _messages(
    view: TaskView, turns: Sequence[Turn], failures: Sequence[Outcome], manner: Manner, prompts_dir: Path | None
) -> list[Message]:
    conversation = opening(view, manner, prompts_dir)
    changes = _changes(turns) if manner.changes else []
    shown = _shown(turns, manner)
    # The worst of a turn comes before its best, so that the last program shown is the one to improve
    for number, turn in enumerate(shown, start=1):
        last = number == len(shown)
        if turn.worst is not None:
            conversation += _told(view, manner, turn.worst, "worst", prompts_dir)
        # Labelled only if there is another program to compare with
        standing = "best" if turn.worst is not None or manner.ask == "prefer" else ""
        conversation += _told(view, manner, turn, standing, prompts_dir, changes if last else (), last=last)
    # Appended to the last user message, because roles must alternate
    if failures:
        errors = grouped_errors(failures, groups=6, limit=240)
        told = render("all_failed.j2", prompts_dir, task=view, count=len(failures), errors=errors)
        conversation[-1] = replace(conversation[-1], content=f"{conversation[-1].content}\n\n{told}")
    return conversation


def _shown(turns: Sequence[Turn], manner: Manner) -> Sequence[Turn]:
    """Return the turns that are shown with their code: the latest."""
    return turns[max(0, len(turns) - manner.history) :]


def opening(view: TaskView, manner: Manner, prompts_dir: Path | None) -> list[Message]:
    """Return the messages that begin every conversation with an author: the rules and the task."""
    shaping = shaping_reference().strip()
    return [
        Message("system", render("system.j2", prompts_dir, task=view, shaping=shaping, form=manner.form)),
        Message("user", render("task.j2", prompts_dir, task=view, form=manner.form)),
    ]


def _told(
    view: TaskView,
    manner: Manner,
    turn: Turn,
    standing: str,
    prompts_dir: Path | None,
    changes: Sequence[str] = (),
    *,
    last: bool = False,
) -> list[Message]:
    """Render a program as an assistant message and its results as a user message."""
    told = render(
        "feedback.j2",
        prompts_dir,
        task=view,
        reflection=turn.reflection.strip(),
        last=last,
        ask=f"ask_{manner.ask}.j2",
        standing=standing,
        watched=turn.watched.strip(),
        analysis=quoted(turn.analysis),
        words=_said(turn) if manner.words else None,
        changes=changes,
        form=manner.form,
    )
    return [Message("assistant", f"```python\n{turn.source.strip()}\n```"), Message("user", told)]


def _attempts(turn: Turn) -> list[Attempt]:
    """Return the programs of a turn in the order in which they are shown."""
    worst = [Attempt(turn.worst.source.strip(), turn.worst.trained, disliked=True)] if turn.worst is not None else []
    return [*worst, Attempt(turn.source.strip(), turn.trained)]


def _heard(turn: Turn) -> list[Words]:
    """Return the latest ``SAID`` remarks of people about a candidate."""
    return [words for words in turn.verdict.words if turn.candidate in words.about][-SAID:] if turn.verdict else []


def _said(turn: Turn) -> list[str]:
    """Quote what people wrote about a candidate, each remark with what it refers to."""
    return [f"{_occasion(words, turn.candidate)}:\n{text}" for words in _heard(turn) if (text := quoted(words.text))]


def _occasion(words: Words, candidate: str) -> str:
    if len(words.about) == 1:
        return "about this behaviour"
    if words.answer is None:
        place = words.about.index(candidate) + 1
        return f"about all {len(words.about)} behaviours in order, of which this one stood at place {place}"
    # Worded from the side on which this candidate was shown
    first = words.about[0] == candidate
    names = "this behaviour (A) beside another (B)" if first else "another behaviour (A) beside this one (B)"
    liked = {"left": "A was preferred", "right": "B was preferred", "equal": "they count as equally good"}
    liked |= {"unsure": "nobody could tell which is better", "both_bad": "both count as bad"}
    return f"about {names}; {liked[words.answer]}"


def _changes(turns: Sequence[Turn]) -> list[str]:
    """Return the change of code from each turn to the next, as unified diffs of at most ``CHANGED`` lines."""
    told = []
    for former, later in pairwise(turns):
        lines = difflib.unified_diff(former.source.splitlines(), later.source.splitlines(), lineterm="", n=1)
        # A backtick in the code could end the block that the diff is shown in
        changed = [line.replace("`", "'") for line in lines if not line.startswith(("---", "+++"))]
        more = [f"… and {len(changed) - CHANGED} more lines"] if len(changed) > CHANGED else []
        told.append("\n".join([*changed[:CHANGED], *more]) or "(nothing)")
    return told


def repair(request: Request, reply_text: str, problems: Sequence[Problem], prompts_dir: Path | None = None) -> Request:
    """Send a reply to ``request`` back to its author, with what is wrong with it.

    The reply is sent without its reasoning and channel marks: providers ask for that, some chat templates reject them,
    and their tokens would be charged again.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    said = long_text(without_thoughts(reply_text), REPLY_LIMIT).strip() or "(an empty answer)"
    shown = [one_line(f"{problem.stage}: {problem}", PROBLEM_LIMIT) for problem in problems[:PROBLEMS]]
    # A copy of an earlier program gets other advice than an error
    copied = any(problem.stage == "copy" for problem in problems)
    more = max(0, len(problems) - PROBLEMS)
    told = in_both_words(
        prompts_dir, lambda folder: render("repair.j2", folder, problems=shown, more=more, copied=copied)
    )
    told_facts = tuple(
        replace(problem, message=one_line(problem.message, PROBLEM_LIMIT)) for problem in problems[:PROBLEMS]
    )
    return followed(request, "repair", said, told, replace(request.facts, problems=told_facts, objections=()))


def followed(request: Request, purpose: Purpose, reply: str, told: tuple[str, str], facts: Facts) -> Request:
    """Continue a conversation with the author's reply, the last attempt, and a user message about it.

    Args:
        told: the user message, from the templates in use and from those that come with rewardgen.
        facts: of the new request, without the attempt.
    """
    own, ours = (
        (*messages, Message("assistant", reply), Message("user", words))
        for messages, words in zip((request.messages, request.standard), told, strict=True)
    )
    try:
        source = extract(reply)
    except ProgramRejected:
        source = ""  # there is no program in it
    facts = replace(facts, attempts=(*facts.attempts, Attempt(source)), remarks=())
    return Request.worded(purpose, own, ours, facts)


def render_prompt(task: Task, prompts_dir: Path | None = None, manner: Manner | None = None) -> str:
    """Render the first request for ``task`` as text for people to read; see ``generation``.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    return "\n\n".join(
        f"──── {message.role} ────\n\n{message.content}"
        for message in generation(task, (), (), prompts_dir, manner).messages
    )


def judging(task: Task, left: Sequence[bytes], right: Sequence[bytes], prompts_dir: Path | None = None) -> Request:
    """Ask a vision model which of two replays does the task better; their frames are PNG files.

    Raises:
        ConfigError: a template is missing or wrong.
    """
    view = task_view(task)
    own, ours = in_both_words(
        prompts_dir, lambda folder: render("compare.j2", folder, task=view, left=len(left), right=len(right))
    )
    # The template explains that the first frames are the left replay's
    pictures = (*left, *right)
    return Request.worded(
        "judging",
        [Message("user", own, pictures)],
        [Message("user", ours, pictures)],
        Facts(task=task_facts(task, view)),
    )
