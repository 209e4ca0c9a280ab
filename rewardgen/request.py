"""A request to a language model: its purpose, its messages, and the facts that they tell.

The messages are for language models, which read English. Everything else that needs to know about a request (the
offline author, recordings and their replay, the terminal, the report) reads its purpose and its facts, so that whoever
rewords the templates changes nothing but the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rewardgen.records import Field, Form, Message, Problem, Verdict
from rewardgen.text import count

Purpose = Literal["generation", "repair", "revision", "review", "analysis", "judging", "trial"]
"""generation: write new programs, from the task alone or from the results of earlier ones; repair: correct a program
that failed its checks; revision: answer a critic's objections to a program; review: criticise a program; analysis:
explain the episodes of a trained policy; judging: compare two replays; trial: answer anything, to show that the model
can be reached."""

Ask = Literal["improve", "refine", "prefer", "mutate", "cross"]
"""What a generation that follows earlier programs requests: the template ``ask_NAME.j2``."""

_NOUNS: Mapping[Purpose, tuple[str, str]] = {
    "generation": ("reward", "rewards"),
    "repair": ("repair", "repairs"),
    "revision": ("revision", "revisions"),
    "review": ("review", "reviews"),
    "analysis": ("analysis", "analyses"),
    "judging": ("judgement", "judgements"),
    "trial": ("reply", "replies"),
}


def asked_for(purpose: Purpose, n: int) -> str:
    """Return what ``n`` replies for a purpose are, such as "8 rewards" or "1 review", for the terminal."""
    return count(n, *_NOUNS[purpose])


@dataclass(frozen=True)
class TaskFacts:
    """The task as every prompt describes it.

    ``fields`` are those that a reward may read. The columns of an action are at most ``action_limit`` in size.
    ``control_step`` is in s. ``causes`` end an episode before its time limit. ``helpers`` are the names of the shaping
    library, which a program may call.
    """

    description: str = ""
    fields: tuple[Field, ...] = ()
    action_size: int = 0
    action_limit: float = 1.0
    control_step: float = 0.05
    fitness_unit: str = "1"
    causes: tuple[str, ...] = ()
    helpers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ComponentFacts:
    """One component of a reward over a training: per-step ``means`` at some checkpoints, the finite ones.

    ``share`` in [0, 1] is how much of the reward's total size it makes up, ``correlation`` Pearson's r of its episode
    sum with the fitness. None: not defined, or not reported by the method.
    """

    means: tuple[float, ...]
    share: float | None = None
    correlation: float | None = None


@dataclass(frozen=True)
class TrainingFacts:
    """What a method reports of a candidate's trainings: means over its seeds, rounded as in a prompt.

    ``fitness`` holds the finite values of some checkpoints. ``success_rate`` in [0, 1] is that of the best ones.
    """

    fitness: tuple[float, ...] = ()
    success_rate: float | None = None
    components: Mapping[str, ComponentFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """One generation of a search's history as the prompt describes it: the best program and its results.

    ``reflection`` has the results as text, ``trained`` as values. ``candidate`` is its key, and ``verdict``
    people's judgements of its generation, where they were asked. ``watched`` describes its policy's behaviour, and
    ``analysis`` is a language model's analysis of that. ``worst`` is the last-ranked program of its generation, for
    methods that show both.
    """

    source: str
    reflection: str
    candidate: str = ""
    verdict: Verdict | None = None
    watched: str = ""
    analysis: str = ""
    worst: Turn | None = None
    trained: TrainingFacts = TrainingFacts()


@dataclass(frozen=True)
class EpisodeFacts:
    """One episode of a trained policy: its length in control steps, what ended it, and its reward's components.

    ``components`` holds per-step means over equal parts of the episode, rounded as in a prompt; 0 for one
    that is not finite.
    """

    steps: int
    ended_by: str
    components: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """An earlier program in a conversation, and its results.

    ``disliked``: of two that were shown, people preferred the other one.
    """

    source: str
    trained: TrainingFacts = TrainingFacts()
    disliked: bool = False


@dataclass(frozen=True)
class Facts:
    """The content of a request's messages, as values.

    Args:
        task: the task that programs are for.
        form: what a program is to return.
        ask: what is requested where there are attempts.
        attempts: the programs that the conversation shows, oldest first. The last one is what a generation builds on,
            and what a repair or revision corrects.
        remarks: what people wrote about the last attempt, line by line.
        problems: what a repair is to correct.
        objections: a critic's objections, for a revision, line by line.
        source: the program that a review or an analysis is about.
        episodes: what an analysis explains, the fittest episode first.
    """

    task: TaskFacts = TaskFacts()
    form: Form = "reward"
    ask: Ask = "improve"
    attempts: tuple[Attempt, ...] = ()
    remarks: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    objections: tuple[str, ...] = ()
    source: str = ""
    episodes: tuple[EpisodeFacts, ...] = ()


@dataclass(frozen=True)
class Request:
    """A request to a language model. Only the ``messages`` are sent to a server.

    ``in_our_words`` are the messages as the templates that come with rewardgen word them, where the user has templates
    of their own; None where there are none. Choices that are drawn at random follow from these: they are the same
    whatever the user's templates say.
    """

    purpose: Purpose
    messages: tuple[Message, ...]
    facts: Facts = Facts()
    in_our_words: tuple[Message, ...] | None = None

    @property
    def standard(self) -> tuple[Message, ...]:
        """The messages in the words of the templates that come with rewardgen."""
        return self.messages if self.in_our_words is None else self.in_our_words

    @classmethod
    def worded(
        cls, purpose: Purpose, messages: Sequence[Message], in_our_words: Sequence[Message], facts: Facts
    ) -> Request:
        """Return a request whose messages are given in both wordings, which may be the same."""
        messages, in_our_words = tuple(messages), tuple(in_our_words)
        return cls(purpose, messages, facts, None if messages == in_our_words else in_our_words)
