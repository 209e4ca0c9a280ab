"""The author that is a language model behind an OpenAI-compatible endpoint.

``reply`` asks for what its cache does not hold, in as few requests as the server allows, and asks again until it has
exactly as many replies as it was asked for. Each reply is in the cache before it is handed on. The requests run in an
event loop of their own, so that Ctrl-C cancels them at once, wherever they are.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from datetime import UTC, datetime
from typing import Any

import anyio.from_thread
import httpx2
import openai
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from rewardgen.config import LLMConfig
from rewardgen.errors import LLMAuthError, LLMError, LLMUnavailable, Stopped
from rewardgen.llm.budget import Budget, Reservation
from rewardgen.llm.cache import ReplyCache, reply_key
from rewardgen.llm.conversation import estimated_prompt_tokens, estimated_tokens
from rewardgen.llm.failures import LONGEST_RETRY_AFTER, Backoff, Failure, PassingFailure, describe
from rewardgen.llm.prices import Prices
from rewardgen.llm.transport import Secret, make_transport
from rewardgen.records import Message, Reply

CONNECT_SECONDS = 10.0
REPLIES_PER_REQUEST = 16
"""A server that honours ``n`` is asked for at most so many replies at once."""
MAX_TEXT = 2**18
"""A reply is cut to so many characters: far more than any reward, and what a run can keep and show."""


class ClientAuthor:
    """A language model.

    Args:
        config: the ``llm`` section; ``config.model`` names the model.
        base_url: the endpoint, such as ``https://api.openai.com/v1``.
        key: the key; None for an endpoint that asks for none.
        sleep, now, uniform: the clock and the jitter of the retries, for tests to control.

    ``reply`` may be called from several threads at once; the bound on concurrency holds for each call.
    """

    offline = False

    def __init__(
        self,
        config: LLMConfig,
        *,
        base_url: str,
        key: str | None,
        environ: Mapping[str, str],
        prices: Prices,
        cache: ReplyCache,
        budget: Budget,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self._config, self._base_url, self._environ = config, base_url, environ
        self._key = Secret(key or "none")
        self._price = prices.of(config.model)
        self._cache, self._budget = cache, budget
        self._sleep, self._now = sleep, now
        self._uniform = uniform or random.Random(0).uniform
        # what this endpoint has been found not to take; shared by threads, and each change only makes it larger
        self._refused: set[str] = set()
        self._under_way: set[Future[dict[int, Reply]]] = set()
        self._closed = False
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._config.model

    def __repr__(self) -> str:
        return f"ClientAuthor({self._config.model!r} at {self._base_url})"

    def reply(self, messages: Sequence[Message], n: int, *, seed: int) -> list[Reply]:
        """Exactly ``n`` replies, the same ones for the same messages and seed while the cache holds them.

        Raises:
            BudgetExceeded: the next request could cost more than is left; nothing was sent.
            LLMAuthError: the endpoint refused the key.
            LLMUnavailable: it failed in passing ways until the retries were used up.
            LLMError: it refused the request.
            Stopped: ``close`` was called.
            DiskFull, StoreError: the cache could not be written.
        """
        keys = [self._cache_key(messages, seed, index) for index in range(n)]
        replies = {index: found for index, key in enumerate(keys) if (found := self._cache.get(key)) is not None}
        for found in replies.values():
            if not found.cached:
                self._budget.count(found.dollars, found.prompt_tokens + found.completion_tokens)
        missing = [index for index in range(n) if index not in replies]
        if missing:
            replies |= self._fetch(messages, missing, keys, seed)
        return [replies[index] for index in range(n)]

    def close(self) -> None:
        """Cancel what is under way, in whatever thread, and refuse what comes later; both raise Stopped there."""
        with self._lock:
            self._closed = True
            under_way = list(self._under_way)
        for future in under_way:
            future.cancel()

    def _fetch(self, messages: Sequence[Message], missing: list[int], keys: list[str], seed: int) -> dict[int, Reply]:
        """Run ``_fill`` in an event loop of its own; leaving it in any way, Ctrl-C included, cancels what is left."""
        with anyio.from_thread.start_blocking_portal() as portal:
            with self._lock:
                if self._closed:
                    raise Stopped("stopped before the language model was asked")
                future = portal.start_task_soon(self._fill, messages, missing, keys, seed)
                self._under_way.add(future)
            try:
                return future.result()
            except CancelledError:
                raise Stopped(
                    "stopped while the language model was asked; what it had answered is in the cache"
                ) from None
            finally:
                with self._lock:
                    self._under_way.discard(future)

    # ---- from missing replies to requests

    async def _fill(
        self, messages: Sequence[Message], missing: list[int], keys: list[str], seed: int
    ) -> dict[int, Reply]:
        replies: dict[int, Reply] = {}
        limit = asyncio.Semaphore(self._config.concurrency)

        async def fetch(client: openai.AsyncOpenAI, wanted: list[int]) -> None:
            async with limit:
                answers = await self._request(client, messages, len(wanted), _request_seed(seed, wanted[0]))
            for index, answer in zip(wanted, answers, strict=False):
                self._cache.put(keys[index], answer)
                replies[index] = answer

        async with self._open() as client:
            while missing:
                size = 1 if "n" in self._refused else REPLIES_PER_REQUEST
                parts = [missing[start : start + size] for start in range(0, len(missing), size)]
                # what others under way bring is paid for, so a failure waits until they are in the cache
                outcomes = await asyncio.gather(*(fetch(client, part) for part in parts), return_exceptions=True)
                for outcome in outcomes:
                    if isinstance(outcome, BaseException):
                        raise outcome
                missing = [index for index in missing if index not in replies]
        return replies

    def _open(self) -> openai.AsyncOpenAI:
        timeout = httpx2.Timeout(self._config.timeout, connect=min(CONNECT_SECONDS, self._config.timeout))
        return openai.AsyncOpenAI(
            api_key="added-by-the-transport",
            base_url=self._base_url,
            timeout=timeout,
            max_retries=0,
            http_client=httpx2.AsyncClient(
                transport=make_transport(self._base_url, self._key, self._environ),
                timeout=timeout,
                limits=httpx2.Limits(max_connections=self._config.concurrency),
                # the transport puts the key on every request, so it must not follow one to another host
                follow_redirects=False,
            ),
        )

    # ---- one request and its retries

    async def _request(self, client: openai.AsyncOpenAI, messages: Sequence[Message], n: int, seed: int) -> list[Reply]:
        """Between 1 and ``n`` replies."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._config.retries + 1),
            wait=Backoff(self._uniform),
            retry=retry_if_exception_type(PassingFailure),
            sleep=self._sleep,
            reraise=True,
        )
        failure: Failure | None = None
        try:
            return await retrying(self._attempt, client, messages, n, seed)
        except PassingFailure as last:
            failure = last.failure
        raise LLMUnavailable(
            f"{self._where()} gave no usable answer in {self._config.retries + 1} tries; the last one failed with "
            f"{failure.message}. Try again later, or check the base URL"
        )

    async def _attempt(self, client: openai.AsyncOpenAI, messages: Sequence[Message], n: int, seed: int) -> list[Reply]:
        failure: Failure | None
        while True:
            parameters = self._parameters(n, seed)
            held = self._reserve(messages, parameters.get("n", 1))
            started = time.monotonic()
            try:
                completion, failure = await self._send(client, messages, parameters)
            except BaseException:
                held.keep()  # cancelled on the way: it may have been billed
                raise
            if completion is not None:
                return self._accept(completion, messages, n, held, time.monotonic() - started)
            assert failure is not None
            (held.keep if failure.billed else held.release)()
            if failure.refused and self._leave_out(failure.refused, parameters):
                continue  # the same request without what this endpoint does not take
            break
        failure.message = self._key.mask(failure.message)
        if not failure.passing:
            raise self._lasting(failure)
        if failure.retry_after is not None and failure.retry_after > LONGEST_RETRY_AFTER:
            raise LLMUnavailable(
                f"{self._where()} asks to wait {failure.retry_after:.0f} s before the next try ({failure.message}); "
                "resume the run then"
            )
        raise PassingFailure(failure)

    async def _send(
        self, client: openai.AsyncOpenAI, messages: Sequence[Message], parameters: Mapping[str, Any]
    ) -> tuple[dict[str, Any] | None, Failure | None]:
        """The completion as plain JSON, or what went wrong. No error of the SDK leaves here."""
        caught: Exception
        try:
            async with asyncio.timeout(self._config.timeout):
                answer = await client.chat.completions.with_raw_response.create(
                    model=self._config.model,
                    messages=[{"role": message.role, "content": _content(message)} for message in messages],  # type: ignore[misc]
                    **parameters,
                )
            completion = answer.http_response.json()
            if _choices(completion):
                return completion, None
            return None, Failure("an answer without choices", passing=True, billed=True)
        except Exception as error:
            caught = error
        return None, describe(caught, self._now())

    def _parameters(self, n: int, seed: int) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "temperature": self._config.temperature,
            "max_tokens": self._config.max_tokens,
            "seed": seed,
        }
        if n > 1:
            parameters["n"] = n
        with self._lock:
            if "max_tokens" in self._refused:
                parameters["max_completion_tokens"] = self._config.max_tokens
            return {name: value for name, value in parameters.items() if name not in self._refused}

    def _leave_out(self, names: frozenset[str], parameters: Mapping[str, Any]) -> bool:
        """Remember what the endpoint does not take; False if the request had none of it."""
        sent = names & set(parameters)
        with self._lock:
            self._refused |= sent
        return bool(sent)

    # ---- what an answer is worth

    def _reserve(self, messages: Sequence[Message], n: int) -> Reservation:
        prompt, completion = estimated_prompt_tokens(messages), n * self._config.max_tokens
        dollars = self._price.dollars(prompt, completion) if self._price else 0.0
        return self._budget.reserve(dollars, prompt + completion)

    def _accept(
        self, completion: Mapping[str, Any], messages: Sequence[Message], n: int, held: Reservation, seconds: float
    ) -> list[Reply]:
        """The replies of a completion, with its cost shared out among them."""
        choices = _choices(completion)
        if len(choices) < n:
            with self._lock:
                self._refused.add("n")
        texts = [_text(choice) for choice in choices]
        prompt, answered, cached = _usage(completion)
        estimated = prompt is None or answered is None
        prompt = estimated_prompt_tokens(messages) if prompt is None else prompt
        answered = sum(estimated_tokens(text) for text in texts) if answered is None else answered
        dollars = self._price.dollars(prompt, answered, cached) if self._price else 0.0
        held.settle(dollars, prompt + answered)
        kept = min(len(texts), n)
        shares = _shares(answered, [len(text) for text in texts[:kept]])
        for_prompt = self._price.dollars(prompt, 0, cached) if self._price else 0.0
        model = completion.get("model")
        return [
            Reply(
                text=self._key.mask(texts[place][:MAX_TEXT]),
                model=self._key.mask(model[:200]) if isinstance(model, str) and model else self._config.model,
                prompt_tokens=prompt if place == 0 else 0,
                completion_tokens=shares[place],
                dollars=(for_prompt if place == 0 else 0.0)
                + (self._price.dollars(0, shares[place]) if self._price else 0.0),
                seconds=seconds,
                estimated=estimated,
                finish_reason=_finish_reason(choices[place], texts[place]),
            )
            for place in range(kept)
        ]

    # ---- words

    def _lasting(self, failure: Failure) -> LLMError:
        if failure.status in (401, 403):
            return LLMAuthError(
                f"{self._where()} refused the key in {self._config.key_variable} ({failure.message}); "
                f"set {self._config.key_variable} to a key that may use this model"
            )
        hint = "; check the model's name and the base URL" if failure.status == 404 else ""
        return LLMError(f"{self._where()} refused the request ({failure.message}){hint}")

    def _where(self) -> str:
        return f"{self._config.model} at {self._base_url}"

    def _cache_key(self, messages: Sequence[Message], seed: int, index: int) -> str:
        return reply_key(
            self._base_url, self._config.model, messages, temperature=self._config.temperature,
            max_tokens=self._config.max_tokens, seed=seed, index=index,
        )  # fmt: skip


def _content(message: Message) -> str | list[dict[str, Any]]:
    """A message as the API has it: its text, or, with pictures, parts of text and of pictures as data URLs."""
    if not message.images:
        return message.content
    pictures = [f"data:image/png;base64,{base64.b64encode(image).decode()}" for image in message.images]
    return [
        {"type": "text", "text": message.content},
        *({"type": "image_url", "image_url": {"url": picture}} for picture in pictures),
    ]


def _request_seed(seed: int, index: int) -> int:
    """A seed for the server, different for each request of a call: equal seeds might bring equal replies."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{index}".encode()).digest()[:4], "big") >> 1


def _choices(completion: Any) -> list[dict[str, Any]]:
    found = completion.get("choices") if isinstance(completion, dict) else None
    return [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []


def _text(choice: Mapping[str, Any]) -> str:
    """What a choice says: its content, else its refusal, else nothing."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return ""
    content = message.get("content")
    if isinstance(content, list):  # some endpoints answer in parts
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) and content else str(message.get("refusal") or "")


def _finish_reason(choice: Mapping[str, Any], text: str) -> str:
    return "cut" if len(text) > MAX_TEXT else str(choice.get("finish_reason") or "stop")[:40]


def _usage(completion: Mapping[str, Any]) -> tuple[int | None, int | None, int]:
    """Prompt tokens, completion tokens (None where the server names none), and how many of the prompt were cached."""
    usage = completion.get("usage")
    if not isinstance(usage, dict):
        return None, None, 0
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), cached or 0


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _shares(total: int, lengths: Sequence[int]) -> list[int]:
    """``total`` split in proportion to ``lengths``, in whole numbers that add up to it."""
    whole = sum(lengths)
    if whole == 0:
        return [total] + [0] * (len(lengths) - 1)
    ends = [round(total * sum(lengths[: place + 1]) / whole) for place in range(len(lengths))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
