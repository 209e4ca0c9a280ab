"""What people and other judges said of replays, and the ranking that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Answer = Literal["left", "right", "equal", "unsure", "both_bad"]
JudgeKind = Literal["person", "simulated", "vlm"]


@dataclass(frozen=True)
class Judgement:
    """One answer about two replays that were shown side by side.

    ``id`` is made by whoever asks, so that an answer sent twice is kept once. ``left`` and ``right`` are replays
    ("r0g1c3.0": candidate r0g1c3, start 0) on the sides on which they were shown. ``words`` may be empty. ``judge`` is
    who answered and ``kind`` what that is. ``created`` is UTC, ISO 8601; ``seconds`` is from the showing to the answer.
    """

    id: str
    left: str
    right: str
    answer: Answer
    words: str
    judge: str
    kind: JudgeKind
    created: str
    seconds: float
    undone: bool = False


@dataclass(frozen=True)
class Order:
    """A ranking of a whole generation: the keys of its ``candidates``, best first. The rest as in Judgement."""

    id: str
    restart: int
    generation: int
    candidates: tuple[str, ...]
    words: str
    judge: str
    kind: JudgeKind
    created: str
    seconds: float
    undone: bool = False


@dataclass(frozen=True)
class Remark:
    """A comment on a single replay. The rest as in Judgement."""

    id: str
    replay: str
    words: str
    judge: str
    kind: JudgeKind
    created: str
    undone: bool = False


@dataclass(frozen=True)
class Words:
    """A comment ``about`` one candidate, or about two that were shown side by side, which ``answer`` compares.

    Of two, the one shown on the left stands first; ``answer`` is None where the words are about one alone, or about a
    whole generation put in order, the best first. ``text`` is as it was typed: data, never instructions. Whoever puts
    it into a prompt passes it through ``quoting``.
    """

    about: tuple[str, ...]
    text: str
    judge: str
    answer: Answer | None = None


@dataclass(frozen=True)
class Standing:
    """A candidate's strength by judgements: ``value`` in log-odds around 0, between ``low`` and ``high``.

    ``comparisons`` counts the judgements and orders that it took part in.
    """

    candidate: str
    value: float
    low: float
    high: float
    comparisons: int


@dataclass(frozen=True)
class Verdict:
    """The judgements of a generation at the time when the search continued.

    ``ranking`` holds its candidates that have a policy to show, the best first; ``overall`` everyone of the run that
    was ever up for judging, on the same scale. ``words`` are about its candidates, in the order in which they came.
    ``judgements`` counts what had been said in the whole run by then, ``heard`` what of it bears on this generation
    (an order of n candidates counts n − 1) and ``wanted`` how much the search had asked for.
    """

    restart: int
    generation: int
    ranking: tuple[Standing, ...]
    overall: tuple[Standing, ...]
    words: tuple[Words, ...]
    judgements: int
    heard: int
    wanted: int


def candidate_of(replay: str) -> str:
    """Return the key of the candidate that a replay shows."""
    return replay.rpartition(".")[0]
