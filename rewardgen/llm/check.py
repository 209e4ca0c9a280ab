"""Tries a language model on one small request, and says what its endpoint can do: ``rewardgen doctor --llm MODEL``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from rewardgen.config import LLMConfig
from rewardgen.errors import LLMError
from rewardgen.llm.author import make_author
from rewardgen.llm.dialog import is_dialog
from rewardgen.program import without_thoughts
from rewardgen.records import Message, Reply
from rewardgen.request import Request

ASKED = Request(
    "trial",
    (Message("system", "You answer with one word."), Message("user", "Answer with the word: ready")),
)
REPLIES = 2
"""So that it shows whether one request may ask for several."""


@dataclass
class Checked:
    """What came of it. ``error`` is "" where it answered; ``notices`` are what it does not take, and other remarks."""

    model: str
    replies: list[Reply] = field(default_factory=list)
    seconds: float = 0.0
    notices: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def answer(self) -> str:
        return without_thoughts(self.replies[0].text).strip() if self.replies else ""


def check(config: LLMConfig, environ: Mapping[str, str]) -> list[Checked]:
    """Ask each model of ``config`` for two short replies, with the settings that a search would use.

    Raises:
        ConfigError: see ``make_author``; nothing was asked.
    """
    found = []
    for each in config.each:
        made = Checked(each.model)
        if is_dialog(each.model):  # nobody waits to answer a check
            made.notices.append("requests are files that you or an agent answer; none was made")
            found.append(made)
            continue
        author = make_author(
            each.model_copy(update={"retries": min(each.retries, 1)}),  # whoever looks on can try again
            environ=environ,
            cache_dir=None,
            recording=None,
            on_warning=made.notices.append,
            on_notice=made.notices.append,
        )
        began = time.monotonic()
        try:
            made.replies = author.reply(ASKED, REPLIES, seed=0)
        except LLMError as error:
            made.error = str(error)
        made.seconds = time.monotonic() - began
        found.append(made)
    return found
