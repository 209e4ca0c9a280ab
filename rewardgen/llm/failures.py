"""Classifies what goes wrong with a request: whether a retry can help, and what to do.

    a temporary failure (retried)    408, 409, 425, 429, 5xx, no connection, reset, timeout, broken JSON, no choices
    a lasting one (raised at once)   401, 403 → LLMAuthError; any other 4xx or 3xx, a used-up quota, an untrusted
                                     certificate, a web page instead of JSON, a giant body → LLMError

An ``error`` in the body of a 200, or in one of its choices, counts as the status that it names. Each message has the
server's own words. Exceptions of the SDK are never kept or chained: they hold whole requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from tenacity import RetryCallState

from rewardgen.llm.capabilities import PLAIN, SYSTEM
from rewardgen.llm.patience import asked_wait
from rewardgen.llm.transport import MAX_BODY_BYTES, BodyTooLarge, Proxy

_PASSING_STATUS = {408, 409, 425, 429}
_NOT_ABOUT_PARAMETERS = {401, 402, 403, 404, 405, 407, 408, 413, 429}
_MAX_SHOWN = 300
NO_CREDIT = "add credit there, or name another endpoint (llm.models)"


@dataclass
class Failure:
    """A failed attempt.

    ``passing``: a retry may help. ``retry_after``: seconds that the server asked to wait. ``billed``: the server may
    have charged for the attempt anyway. ``refused``: what the server says it does not support (see ``Capabilities``);
    ``suspect``: it may not support something without saying what. ``advice``: what to do.
    """

    message: str
    passing: bool
    status: int | None = None
    retry_after: float | None = None
    billed: bool = False
    refused: frozenset[str] = field(default_factory=frozenset)
    suspect: bool = False
    timed_out: bool = False
    advice: str = ""


class PassingFailure(Exception):
    """Carries a failure through the retries."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


def describe(error: BaseException, now: datetime, base_url: str, proxy: Proxy | None) -> Failure:
    """Classify an exception of the SDK, or of the total timeout around it."""
    if isinstance(error, openai.APIStatusError):
        return _status_failure(error, now, base_url, proxy)
    if isinstance(error, TimeoutError):
        return _timeout()
    if isinstance(error, openai.APIConnectionError):
        return _connection_failure(error, base_url, proxy)
    if isinstance(error, openai.APIResponseValidationError | ValueError | TypeError | RecursionError):
        # The SDK passes JSON errors on, and turns a body of another form into whatever its model makes of it
        return Failure("an answer that is no complete JSON of a chat completion", passing=True, billed=True)
    return Failure(f"an unexpected {type(error).__name__}", passing=False)


def web_page(content: bytes, content_type: str) -> str | None:
    """Return the title of an HTML page, or its first words; None if ``content`` is not HTML."""
    start = content[:2000].lstrip().lower()
    if "html" not in content_type.lower() and not start.startswith((b"<!doctype html", b"<html")):
        return None
    text = content[:20_000].decode("utf-8", "replace")
    title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
    return _short(title[1] if title and title[1].strip() else re.sub(r"<[^>]*>", " ", text)) or "no text"


def in_band(error: Any, headers: Mapping[str, str], now: datetime, base_url: str) -> Failure:
    """Classify an ``error`` in the body of a 200, or in one of its choices."""
    message_text = _message_of({"error": error})
    # The status that it names, else one that fits its words
    code = error.get("code") if isinstance(error, dict) else None
    code = int(code) if isinstance(code, str) and code.isdigit() else code
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    message = f"an error in its answer{f', code {status}' if status else ''}: {message_text or 'without words'}"
    if status is None and not _LASTING_WORDS.search(message_text):
        status = 402 if _is_used_up(error, message_text) else 500
    return _classify(message, status or 400, message_text, error, headers, now, base_url)


_LASTING_WORDS = re.compile(r"unexpected endpoint|not found|invalid|unsupported|does not exist", re.IGNORECASE)


def _status_failure(error: openai.APIStatusError, now: datetime, base_url: str, proxy: Proxy | None) -> Failure:
    """Classify an answer with an error status."""
    response, status = error.response, error.status_code
    if 300 <= status < 400:
        where = response.headers.get("location", "elsewhere")
        return Failure(f"HTTP {status}: redirected to {where}; give that address as the base URL", False, status)
    title = web_page(response.content, response.headers.get("content-type", ""))
    message_text = _message_of(error.body) if title is None else f"a web page, {title!r}"
    message = f"HTTP {status}" + (f": {message_text}" if message_text else "")
    failure = _classify(message, status, message_text, _error_object(error.body), response.headers, now, base_url)
    # A proxy on the way may have answered in the endpoint's place
    if proxy is not None and (status in (403, 407) or title is not None):
        failure.passing = failure.passing and status != 407
        failure.advice = f"the request went through {proxy.shown}: see whether it lets you through, or set NO_PROXY"
    return failure


def _classify(
    message: str, status: int, message_text: str, error: Any, headers: Mapping[str, str], now: datetime, base_url: str
) -> Failure:
    """Classify a failure by the server's status and words."""
    # A limit per minute passes; an account without money does not
    wait = asked_wait(headers, error, message_text, now)
    if _is_used_up(error, message_text) and (wait is None or status == 402):
        return Failure(message, passing=False, status=status, advice=NO_CREDIT)
    # Temporary statuses, unless the server says that it does not support something
    refused = _refused(status, message_text, error)
    if status in _PASSING_STATUS or (status >= 500 and not refused and status != 501):
        advice = (
            "it is still loading: wait until it is ready" if status == 503 and "load" in message_text.lower() else ""
        )
        return Failure(message, passing=True, status=status, retry_after=wait, advice=advice)
    return Failure(
        message,
        passing=False,
        status=status,
        refused=refused,
        suspect=status < 500 and status not in _NOT_ABOUT_PARAMETERS and not _BLAMED.search(message_text),
        advice=_advice(status, message_text, base_url),
    )


_BLAMED = re.compile(
    r"does not exist|not found|unexpected endpoint|no such model|(?:context|model) (?:length|window|size)|too long|"
    r"too many tokens|api key|billing",
    re.IGNORECASE,
)
_TOO_LARGE = re.compile(r"too large|at most|exceed|maximum|less than|<=", re.IGNORECASE)
_CONTEXT = re.compile(r"(?:context|model) (?:length|window|size)|too long|too many tokens", re.IGNORECASE)


def _advice(status: int, message_text: str, base_url: str) -> str:
    """Return what to do about a lasting failure; "" if it is unclear."""
    if _CONTEXT.search(message_text):
        return "raise the context length at the server, or lower llm.max_tokens or search.generations"
    if "max_tokens" in message_text and _TOO_LARGE.search(message_text):
        return "lower llm.max_tokens"
    if status in (404, 405) or "unexpected endpoint" in message_text.lower():
        return f"check the model's name and the base URL{path_hint(base_url)}"
    return ""


def path_hint(base_url: str) -> str:
    """Return what is probably missing from a base URL without a path."""
    parts = urlsplit(base_url)
    return "" if parts.path.strip("/") else f", which usually ends in /v1: {parts._replace(path='/v1').geturl()}"


def _is_used_up(error: Any, message_text: str) -> bool:
    """Return whether the account is out of money, which no waiting fixes. A limit per minute is called a quota too."""
    names = {str(error.get(name)) for name in ("code", "type")} if isinstance(error, dict) else set()
    return bool(names & {"insufficient_quota", "billing_hard_limit_reached", "402"}) or bool(
        _USED_UP.search(message_text)
    )


_USED_UP = re.compile(
    r"insufficient[ _](?:quota|credits?|balance|funds)|credit balance is too low|billing hard limit|out of credits?|"
    r"payment required",
    re.IGNORECASE,
)


def _timeout() -> Failure:
    """Return the failure of a request that took too long."""
    return Failure("no answer within the time limit (llm.timeout)", passing=True, billed=True, timed_out=True)


def _connection_failure(error: openai.APIConnectionError, base_url: str, proxy: Proxy | None) -> Failure:
    """Classify a failure of the connection by its cause."""
    cause = error.__cause__
    if isinstance(cause, BodyTooLarge):
        size = MAX_BODY_BYTES // 2**20
        return Failure(f"the answer is larger than {size} MiB, which no reply needs to be", passing=False, billed=True)
    # The proxy
    if proxy is not None and isinstance(cause, httpx2.ProxyError | httpx2.ConnectError | httpx2.ConnectTimeout):
        refused = isinstance(cause, httpx2.ProxyError)
        return Failure(
            f"{proxy.shown} {'refused' if refused else 'cannot be reached'}: {str(cause) or 'timed out'}",
            passing=not refused,
            advice=f"check {proxy.variable}, or list the endpoint's host in NO_PROXY",
        )
    words = str(cause)
    # TLS
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return Failure(
            f"its certificate cannot be trusted: {words}",
            passing=False,
            advice="if your network has a certificate authority of its own, name its file in SSL_CERT_FILE",
        )
    if "WRONG_VERSION_NUMBER" in words or "record layer failure" in words.lower():
        return Failure(
            f"it speaks no TLS: {words}", passing=False, advice="the base URL may have to begin with http://"
        )
    # The server cannot be reached, or stopped answering
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
        advice = f"see whether the server runs, and check the base URL {base_url}"
        return Failure(f"no connection: {words or 'timed out'}", passing=True, advice=advice)
    if isinstance(cause, httpx2.TimeoutException):
        return _timeout()
    if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError | httpx2.ProxyError):
        return Failure(f"{type(cause).__name__}: {cause}", passing=False)
    return Failure(f"the connection broke: {cause or error}", passing=True, billed=True)


def _error_object(body: Any) -> Any:
    """Return the ``error`` in a body, which some endpoints (Gemini) wrap into a list."""
    if isinstance(body, list) and body:
        body = body[0]
    return body.get("error", body) if isinstance(body, dict) else body


def _message_of(body: Any) -> str:
    """Return the server's message as one short line."""
    error = _error_object(body)
    if isinstance(error, dict):
        metadata = error.get("metadata")
        raw = metadata.get("raw") if isinstance(metadata, dict) else None  # OpenRouter: what the provider said
        detail = error.get("message") or error.get("detail") or error.get("error") or ""
        error = f"{detail} ({raw})" if raw else detail
    return _short(error if isinstance(error, str) else json.dumps(error) if error else "")


def _short(text: str) -> str:
    """Return text on one line, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= _MAX_SHOWN else line[:_MAX_SHOWN] + "…"


# ---- what the server does not support

_LIMITS = ("max_tokens", "max_completion_tokens")
_NAMES = {
    "n": r"(?<![\\\w])n(?!\w)|candidate_?count|candidates|completion choices?|num_choices|best_of",
    "seed": r"\bseed\b",
    "temperature": r"\btemperature\b",
    "max_tokens": r"\bmax_tokens\b",
    "max_completion_tokens": r"\bmax_completion_tokens\b",
    "stream_options": r"\bstream_options\b",
    SYSTEM: r"system[ _](?:role|message|prompt|instruction)|developer instruction|role[ :'\"]+system|"
    r"roles must alternate|only (?:support )?user and (?:assistant|model) roles",
    PLAIN: r"stream mode|only supports? stream|stream parameter|stream(?:ing)?['\"`]? (?:must|should) be|"
    r"streaming is required|non-stream|without stream|requires? stream",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _NAMES.items()}


def _refused(status: int, message_text: str, error: Any) -> frozenset[str]:
    """Return what the server says it does not support. llama.cpp says so with a 500, of ``n`` and templates only."""
    if not (400 <= status < 500 and status not in _NOT_ABOUT_PARAMETERS) and status not in (500, 501):
        # Some servers name the parameter; of others, search the message
        return frozenset()
    param = error.get("param") if isinstance(error, dict) else None
    if param in _PATTERNS:
        return frozenset([param]) if param not in _LIMITS or not _is_too_large(message_text) else frozenset()
    named = {name for name, pattern in _PATTERNS.items() if pattern.search(message_text)}
    if status == 500:
        named &= {"n", SYSTEM, PLAIN}
    # "Unsupported parameter: 'max_tokens' … Use 'max_completion_tokens' instead" names both: the first is refused
    if set(_LIMITS) <= named:
        named.discard(max(_LIMITS, key=message_text.find))
    if _is_too_large(message_text):
        named -= set(_LIMITS)
    return frozenset(named)


def _is_too_large(message_text: str) -> bool:
    """Return whether a limit on tokens was refused for its size, not for its name."""
    return bool(_TOO_LARGE.search(message_text)) and not re.search(
        r"not supported|unsupported|instead", message_text, re.IGNORECASE
    )


def sentence(text: str, advice: str) -> str:
    """Return a message with its advice, if there is any."""
    return f"{text}; {advice}" if advice else text


def failure_of(state: RetryCallState) -> Failure:
    """Return the failure of the last try."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, PassingFailure)  # nothing else is retried
    return error.failure
