"""Several models in order: the next one answers if one cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rewardgen.errors import BudgetExceeded, LLMError
from rewardgen.records import Reply
from rewardgen.request import Request

if TYPE_CHECKING:
    from rewardgen.llm.author import Author


class FallbackAuthor:
    """Asks ``authors`` in order. One that failed after all its retries is not asked again by this process.

    One whose next request would exceed the budget is passed over too: a cheaper one after it may still fit.

    Args:
        on_warning: told of each change, which decides who writes the rewards from there on.
        start: the place of the one to ask first; those before it are asked last.
    """

    offline = False

    def __init__(self, authors: Sequence[Author], on_warning: Callable[[str], None], start: int = 0) -> None:
        self._authors, self._warn = (*authors[start:], *authors[:start]), on_warning
        self._name = ", then ".join(author.name for author in authors)
        self._places = [place % len(authors) for place in range(start, start + len(authors))]
        self._first = 0
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        """Index and name of the author that is asked at present."""
        now = min(self._first, len(self._authors) - 1)
        return f"{self._places[now]} {self._authors[now].name}"

    @property
    def name(self) -> str:
        """All names, in order."""
        return self._name

    def reply(self, request: Request, n: int, *, seed: int) -> list[Reply]:
        """Return ``n`` replies, all of one author.

        Raises:
            LLMError, BudgetExceeded: the last author's own error, if it cannot answer either.
            Stopped: ``close`` was called.
        """
        # Another thread may have moved on to a later author meanwhile
        for place in range(self._first, len(self._authors)):
            try:
                return self._authors[place].reply(request, n, seed=seed)
            except (LLMError, BudgetExceeded) as error:
                if place + 1 == len(self._authors):
                    raise
                self._pass_on(place, error)
        raise AssertionError("there is always a last author")

    def close(self) -> None:
        """Close all authors."""
        for author in self._authors:
            author.close()

    def _pass_on(self, place: int, error: Exception) -> None:
        """Continue with the next author, and report why."""
        with self._lock:
            if self._first > place:
                return  # another thread did so before
            self._first = place + 1
        here, after = self._authors[place].name, self._authors[place + 1].name
        self._warn(f"{after} is asked from now on, because {here} cannot answer: {error}")
