"""What can go wrong with a request, and whether trying again can help.

    a passing failure (retried)      429, 408, 409, 5xx, no connection, reset, timeout, broken JSON, no choices
    a lasting one (raised at once)   401 and 403 → LLMAuthError; any other 4xx or 3xx, a giant body → LLMError

Nothing that the SDK raised is kept or chained: its errors hold whole requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai
from tenacity import RetryCallState

from rewardgen.llm.transport import MAX_BODY_BYTES, BodyTooLarge

FIRST_WAIT = 1.0
"""Seconds that the first retry waits at most; each further one at most twice as long as the one before."""
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 600.0
"""A server that asks for more patience than this is taken to be down."""

_PASSING_STATUS = {408, 409, 425, 429}
_MAX_SHOWN = 300


@dataclass
class Failure:
    """One failed attempt in words.

    ``retry_after`` is the seconds that the server asked to wait. ``billed`` says that the server may have charged for
    the attempt all the same. ``refused`` are the request's parameters that the server would not take.
    """

    message: str
    passing: bool
    status: int | None = None
    retry_after: float | None = None
    billed: bool = False
    refused: frozenset[str] = field(default_factory=frozenset)


class PassingFailure(Exception):
    """Carries a failure through the retries."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


def describe(error: BaseException, now: datetime) -> Failure:
    """What an error that the SDK (or the total timeout around it) raised means."""
    if isinstance(error, openai.APIStatusError):
        return _status_failure(error, now)
    if isinstance(error, TimeoutError):
        return Failure("no answer within the time limit (llm.timeout)", passing=True, billed=True)
    if isinstance(error, openai.APIConnectionError):
        return _connection_failure(error)
    if isinstance(error, openai.APIResponseValidationError | ValueError | TypeError | RecursionError):
        # the SDK lets a JSON error through as it is, and a body of another form as whatever its model makes of it
        return Failure("an answer that is no complete JSON of a chat completion", passing=True, billed=True)
    return Failure(f"an unexpected {type(error).__name__}", passing=False)


def _status_failure(error: openai.APIStatusError, now: datetime) -> Failure:
    status = error.status_code
    said = _said(error)
    message = f"HTTP {status}" + (f": {said}" if said else "")
    if status in _PASSING_STATUS or status >= 500:
        return Failure(message, passing=True, status=status, retry_after=retry_after(error.response.headers, now))
    if 300 <= status < 400:
        where = error.response.headers.get("location", "elsewhere")
        return Failure(f"HTTP {status}: redirected to {where}; give that address as the base URL", False, status)
    refused = _refused_parameters(error, said) if status in (400, 422) else frozenset()
    return Failure(message, passing=False, status=status, refused=refused)


def _connection_failure(error: openai.APIConnectionError) -> Failure:
    cause = error.__cause__
    if isinstance(cause, BodyTooLarge):
        size = MAX_BODY_BYTES // 2**20
        return Failure(f"the answer is larger than {size} MiB, which no reply needs to be", passing=False, billed=True)
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Failure(f"no connection: {str(cause) or 'timed out'}", passing=True)
    if isinstance(cause, httpx2.TimeoutException):
        return Failure("no answer within the time limit (llm.timeout)", passing=True, billed=True)
    if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | httpx2.ProxyError):
        return Failure(f"{type(cause).__name__}: {cause}", passing=False)
    return Failure(f"the connection broke: {cause or error}", passing=True, billed=True)


def _said(error: openai.APIStatusError) -> str:
    """What the server said, as one short line."""
    body: Any = error.body
    if isinstance(body, dict):
        inner = body.get("error", body)
        body = inner.get("message") or inner.get("detail") or "" if isinstance(inner, dict) else inner
    text = " ".join(str(body or "").split())
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


# A 400 that is about one of these parameters can be cured by leaving it out.
_OPTIONAL_PARAMETERS = ("max_completion_tokens", "max_tokens", "temperature", "seed", "n")


def _refused_parameters(error: openai.APIStatusError, said: str) -> frozenset[str]:
    if error.param in _OPTIONAL_PARAMETERS:
        return frozenset([error.param])
    words = set(said.replace("'", " ").replace('"', " ").replace("`", " ").replace(":", " ").replace(",", " ").split())
    named = [name for name in _OPTIONAL_PARAMETERS if name in words]
    # "Unsupported parameter: 'max_tokens' … Use 'max_completion_tokens' instead" names both: the first is refused
    if "max_tokens" in named and "max_completion_tokens" in named:
        first = min(("max_tokens", "max_completion_tokens"), key=said.find)
        named = [name for name in named if not name.startswith("max_") or name == first]
    return frozenset(named)


def retry_after(headers: httpx2.Headers, now: datetime) -> float | None:
    """The seconds of a ``Retry-After`` header, which gives seconds or an HTTP date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    return max(seconds, 0.0) if seconds == seconds else None


class Backoff:
    """How long a retry waits: what the server asked for, else exponentially longer with full jitter."""

    def __init__(self, uniform: Any) -> None:
        self._uniform = uniform

    def __call__(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, PassingFailure) and error.failure.retry_after is not None:
            return error.failure.retry_after
        ceiling = min(FIRST_WAIT * 2.0 ** (state.attempt_number - 1), LONGEST_WAIT)
        return float(self._uniform(0.0, ceiling))
