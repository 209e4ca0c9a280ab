"""Tries a language model with one small request and reports what its endpoint supports, for ``rewardgen doctor``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from rewardgen.config import LLMConfig
from rewardgen.config.authors import is_dialog
from rewardgen.errors import LLMError
from rewardgen.llm.author import make_author
from rewardgen.program import without_thoughts
from rewardgen.records import Message, Reply
from rewardgen.request import Request

ASKED = Request(
    "trial",
    (Message("system", "You answer with one word."), Message("user", "Answer with the word: ready")),
)
REPLIES = 2
"""Number of replies: two show whether one request may ask for several."""


@dataclass
class CheckResult:
    """The result. ``error`` is "" if the model answered; ``notices``: what it does not support, and other remarks."""

    model: str
    replies: list[Reply] = field(default_factory=list)
    seconds: float = 0.0
    notices: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def answer(self) -> str:
        """The answer without its thoughts."""
        return without_thoughts(self.replies[0].text).strip() if self.replies else ""


def check(config: LLMConfig, environ: Mapping[str, str]) -> list[CheckResult]:
    """Request two short replies of each model of ``config``, with the settings that a search would use.

    Raises:
        ConfigError: see ``make_author``; nothing was asked.
    """
    results = []
    for each in config.each:
        result = CheckResult(each.model)
        if is_dialog(each.model):  # nobody is there to answer a check
            result.notices.append("requests are files that you or an agent answer; none was made")
            results.append(result)
            continue
        author = make_author(
            each.model_copy(update={"retries": min(each.retries, 1)}),  # the user can try again
            environ=environ,
            cache_dir=None,
            recording=None,
            on_warning=result.notices.append,
            on_notice=result.notices.append,
            # Ask, and note the time
        )
        started = time.monotonic()
        try:
            result.replies = author.reply(ASKED, REPLIES, seed=0)
        except LLMError as error:
            result.error = str(error)
        result.seconds = time.monotonic() - started
        results.append(result)
    return results
