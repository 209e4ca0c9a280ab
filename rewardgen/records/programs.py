"""What goes to a language model and comes back, and the reward programs in its replies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Message:
    """One message of a conversation, as in the chat APIs. ``images`` are PNG files, shown after the text."""

    role: Literal["system", "user", "assistant"]
    content: str
    images: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Reply:
    """One reply of a language model and its cost.

    ``prompt_tokens`` of a request with several replies are counted on the first. ``estimated``: the server reported no
    token counts, so they were estimated from the length of the text. ``cached`` replies cost nothing.
    """

    text: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float = 0.0
    seconds: float = 0.0
    cached: bool = False
    estimated: bool = False
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Outcome:
    """How another candidate of the same generation ended: its ``score`` (None without one) and its problems.

    ``stopped``: its trainings were stopped early, and the score is the best until then.
    """

    key: str
    score: float | None
    problems: tuple[Problem, ...] = ()
    stopped: bool = False


Form = Literal["reward", "progress", "factors"]
"""What a program returns: a reward, measures of progress, or factors for a learned decoder."""


@dataclass(frozen=True)
class RewardProgram:
    """Reward code that has passed the static check. Nothing but the sandbox may run it."""

    source: str

    @property
    def digest(self) -> str:
        """SHA-256 of the source: two programs with the same text are the same program."""
        return hashlib.sha256(self.source.encode()).hexdigest()


@dataclass(frozen=True)
class Problem:
    """What is wrong with a reply or a program, worded so that its author can act on it.

    ``stage`` is where it was found: ended (the reply was cut off or withheld, which no repair can fix), extract, check,
    compile, smoke, screen, copy, train.
    """

    stage: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


@dataclass(frozen=True)
class Labels:
    """The rewards of ``B`` transitions: ``reward`` ``(B,)``, ``components`` ``(B, C)`` and their ``names``."""

    reward: Tensor
    components: Tensor
    names: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """What ``episodes`` stored episodes predict of a program before it is trained.

    ``agreement`` is the share of ``pairs`` of episodes that its return orders as their fitness does; 0.5 is chance,
    None means too few pairs. ``nearest`` is the key of the most similar earlier program and ``distance`` how far that
    is: 0 for equal up to a positive factor and potential shaping, 1 for its opposite; None where they could not be
    compared. ``audit``: it was a copy and was trained anyway. ``left_out``: it was not trained because other programs
    of its generation agreed better with the fitness.
    """

    episodes: int
    pairs: int
    agreement: float | None
    nearest: str | None
    distance: float | None
    audit: bool = False
    left_out: bool = False
