"""How long a failed request waits before it is tried again.

Servers say it in many places:

    Retry-After: 20                   seconds, or an HTTP date (RFC 9110, 10.2.3)
    retry-after-ms: 20000             OpenAI, Azure
    x-ratelimit-reset-requests: 6m0s  OpenAI, Groq; x-ratelimit-reset: a point in time, OpenRouter
    "retryDelay": "20s"               google.rpc.RetryInfo in the body
    "Please try again in 20s"         words

Where one says nothing, the wait doubles with each try.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tenacity import RetryCallState

FIRST_WAIT = 1.0
"""Max. seconds of the first wait; the maximum doubles with each retry."""
LONGEST_WAIT = 60.0
AFTER_HINT = 1.0
"""Max. seconds that are added to the wait that a server asks for, so that parallel searches do not return at once."""

_TIME = r"\d[\d.]*\s*(?:h|ms?|s)[a-z]*"
_WORDS = re.compile(
    rf"(?:again|retry|wait|available|reset\w*)\b[^.\n]{{0,40}}?\b(?:in|after|for|within)?\s*({_TIME}(?:\s*{_TIME})*)",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)
_SECONDS = dict.fromkeys(("ms", "milliseconds"), 0.001) | dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0)
_SECONDS |= dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0) | dict.fromkeys(
    ("h", "hour", "hours"), 3600.0
)


def asked_wait(headers: Mapping[str, str], error: Any, words: str, now: datetime) -> float | None:
    """Return the seconds that the server asks to wait; None if it does not say.

    Args:
        headers: of the answer; looked up in lower case.
        error: its ``error`` object, or whatever stands in its place.
        words: the server's message.
    """
    # The most precise source first
    for found in (
        _milliseconds(headers.get("retry-after-ms", "")),
        _seconds_or_date(headers.get("retry-after", ""), now),
        _retry_info(error),
        _in_words(words),
        _reset(headers, now),
    ):
        if found is not None:
            return max(found, 0.0)
    return None


def _milliseconds(value: str) -> float | None:
    """Return seconds from a number of milliseconds."""
    number = _number(value)
    return None if number is None else number / 1000


def _seconds_or_date(value: str, now: datetime) -> float | None:
    """Return seconds from a Retry-After header: a number, an HTTP date, or a duration."""
    if not value.strip() or (number := _number(value)) is not None:
        return None if not value.strip() else number
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return duration(value)
    return (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()


def _retry_info(error: Any) -> float | None:
    """Return seconds from google.rpc.RetryInfo."""
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(delay := detail.get("retryDelay"), str):
            return duration(delay)
    return None


def _in_words(words: str) -> float | None:
    """Return seconds from a message in English."""
    match = _WORDS.search(words)
    return duration(match[1]) if match else None


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds until the last of the exhausted limits is reset."""
    waits = []
    for name, value in headers.items():
        kind = name.lower().partition("ratelimit-reset")
        if not kind[1]:
            continue
        # A limit that is not exhausted is no reason to wait
        left = headers.get(f"{kind[0]}ratelimit-remaining{kind[2]}")
        if left is not None and _number(left) != 0:
            continue
        number = _number(value)
        if number is not None and number > 1e9:  # a point in time, in seconds or milliseconds
            number = (number / 1000 if number > 1e11 else number) - now.timestamp()
        waits.append(duration(value) if number is None else number)
    return max((wait for wait in waits if wait is not None), default=None)


def duration(text: str) -> float | None:
    """Return the seconds of "20s", "1m30s", "350 ms" or "2 minutes"; None if ``text`` is not a duration."""
    parts = _PART.findall(text)
    if not parts or any(unit.lower() not in _SECONDS for _, unit in parts):
        return None
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)


def _number(value: str) -> float | None:
    """Return a finite number; None for anything else."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


class Backoff:
    """The wait before a retry: what the server asked for and a little more, else exponential backoff with equal jitter:
    between half and all of a maximum that doubles. So it outlasts a limit per minute, or a model that is still loading.

    Args:
        uniform: draws between two numbers, from a generator that the search owns.
        asked: returns the seconds that a failure asks to wait, or None.
    """

    def __init__(
        self, uniform: Callable[[float, float], float], asked: Callable[[BaseException | None], float | None]
    ) -> None:
        self._uniform, self._asked = uniform, asked

    def __call__(self, state: RetryCallState) -> float:
        asked = self._asked(state.outcome.exception() if state.outcome else None)
        if asked is not None:
            return asked + self._uniform(0.0, AFTER_HINT)
        # The exponent is bounded, so that the power cannot overflow
        ceiling = min(FIRST_WAIT * 2.0 ** min(state.attempt_number - 1, 30), LONGEST_WAIT)
        return self._uniform(ceiling / 2, ceiling)
