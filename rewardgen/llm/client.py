"""The author that is a language model at an OpenAI-compatible endpoint.

``reply`` requests what its cache does not hold, in as few requests as the server allows, and again until it has exactly
as many replies as it was asked for. Each reply is cached before it is returned. The requests run in an event loop of
their own, so that Ctrl-C cancels them at once, wherever they are. What the endpoint does not support is found out once
and remembered (``capabilities``).
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import anyio.from_thread
import httpx2
import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from rewardgen.config import LLMConfig
from rewardgen.errors import LLMAuthError, LLMError, LLMUnavailable, Stopped
from rewardgen.llm import answers
from rewardgen.llm.budget import Budget, Reservation
from rewardgen.llm.cache import ReplyCache, reply_key
from rewardgen.llm.capabilities import Capabilities, Slots
from rewardgen.llm.conversation import estimated_prompt_tokens, estimated_tokens
from rewardgen.llm.failures import Failure, PassingFailure, describe, failure_of, in_band, path_hint, sentence, web_page
from rewardgen.llm.patience import Backoff
from rewardgen.llm.payload import content_of, parsed, request_seed
from rewardgen.llm.prices import Prices
from rewardgen.llm.probe import look
from rewardgen.llm.secrets import Secret
from rewardgen.llm.transport import make_transport, proxy_for
from rewardgen.program import without_thoughts
from rewardgen.program.extract import FILTERED, LENGTH
from rewardgen.records import Message, Reply
from rewardgen.request import Request

CONNECT_SECONDS = 10.0
REPLIES_PER_REQUEST = 16
"""Max. number of replies per request to a server that honours ``n``."""
TIMEOUTS_ALONE = 3
"""Max. tries of a request that times out although it is the only one: what it needs is a longer timeout."""


class ClientAuthor:
    """Requests replies of a language model.

    Args:
        config: the ``llm`` section; ``config.model`` names the model.
        base_url: the endpoint, such as ``https://api.openai.com/v1``.
        key: the key; None for an endpoint that asks for none.
        on_notice: told why a request is tried again, and what the endpoint is found not to take; from any thread.
        sleep, now, uniform: the clock and the jitter of the retries; ``uniform`` None draws the same for each client.

    ``reply`` may be called from several threads at once; ``config.concurrency`` bounds the requests of all of them.
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
        on_notice: Callable[[str], None] = lambda message: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        uniform: Callable[[float, float], float] | None = None,
    ) -> None:
        self._config, self._base_url = config, base_url
        # Secrets are kept masked; what the endpoint supports is learned as requests run
        self._key = Secret(key) if key else None
        self._proxy = proxy_for(base_url, environ)
        self._secrets = Secret(*([key] if key else []), *(self._proxy.passwords if self._proxy else []))
        self._price = prices.of(config.model, base_url)
        self._cache, self._budget = cache, budget
        self._notice, self._sleep, self._now = on_notice, sleep, now
        self._uniform = uniform or random.Random(0).uniform
        self._capabilities = Capabilities()
        self._slots = Slots(config.concurrency, config.timeout)
        self._probed = self._answered = False
        self._under_way: set[Future[dict[int, Reply]]] = set()
        self._closed = False
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model's name."""
        return self._config.model

    def __repr__(self) -> str:
        return f"ClientAuthor({self._config.model!r} at {self._base_url})"

    def reply(self, request: Request, n: int, *, seed: int) -> list[Reply]:
        """Return exactly ``n`` replies, the same for the same messages and seed as long as the cache holds them.

        Only the messages of ``request`` are sent. A reply may not be an answer, by its ``finish_reason``: it was cut
        off at the limit, or withheld. Such a reply is not cached.

        Raises:
            BudgetExceeded: the next request could cost more than is left; nothing was sent.
            LLMAuthError: the endpoint refused the key.
            LLMUnavailable: it kept failing in temporary ways until the patience was used up.
            LLMError: it refused the request; or none of its first replies is an answer.
            Stopped: ``close`` was called.
            DiskFull, StoreError: the cache could not be written.
        """
        messages = request.messages
        # Take what the cache holds; a reply that this run itself paid for before it was killed counts as spent
        keys = [self._cache_key(messages, seed, index) for index in range(n)]
        replies = {index: cached for index, key in enumerate(keys) if (cached := self._cache.get(key)) is not None}
        for cached in replies.values():
            if not cached.cached:
                self._budget.count(cached.dollars, cached.prompt_tokens + cached.completion_tokens)
        # Request the rest
        missing = [index for index in range(n) if index not in replies]
        if missing:
            replies |= self._fetch(messages, missing, keys, seed)
            self._check_answers([replies[index] for index in range(n)])
        return [replies[index] for index in range(n)]

    def _check_answers(self, replies: Sequence[Reply]) -> None:
        """Raise LLMError if no reply so far is an answer: further requests would be paid for in vain."""
        self._answered = self._answered or any(answers.is_answer(reply.text, reply.finish_reason) for reply in replies)
        if self._answered or not replies:
            return
        reason, limit = replies[0].finish_reason, self._config.max_tokens
        # Thoughts used up the limit, or the answer was cut off
        if reason == LENGTH:
            empty = not any(without_thoughts(reply.text) for reply in replies)
            detail = (
                "was used up by thoughts before an answer began" if empty else "was used up before the answer ended"
            )
            raise LLMError(
                f"{self._where()}: all of its {limit} tokens (llm.max_tokens) {detail}, in every reply; raise the "
                f"limit, as with --set llm.max_tokens={4 * limit}, or lower the effort with llm.extra (docs/models.md)"
            )
        if reason == FILTERED:
            raise LLMError(
                f"{self._where()}: its content filter withheld every reply (finish_reason {reason}); ask another model"
            )
        raise LLMError(
            f"{self._where()}: every reply is a call of a tool (finish_reason {reason}), and none was offered; switch "
            "tools off at the server, or ask another model"
        )

    def close(self) -> None:
        """Cancel running requests in all threads and refuse later ones; both raise Stopped there."""
        with self._lock:
            self._closed = True
            under_way = list(self._under_way)
        for future in under_way:
            future.cancel()

    def _fetch(self, messages: Sequence[Message], missing: list[int], keys: list[str], seed: int) -> dict[int, Reply]:
        """Run ``_fill`` in an event loop of its own; leaving it in any way, Ctrl-C included, cancels the rest."""
        with anyio.from_thread.start_blocking_portal() as portal:
            with self._lock:
                if self._closed:
                    raise Stopped("stopped before the language model was asked")
                future = portal.start_task_soon(self._fill, messages, missing, keys, seed)
                self._under_way.add(future)
            # Wait; ``close`` cancels from another thread
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
        """Request the missing replies until all of them are there; return index → reply."""
        replies: dict[int, Reply] = {}

        async def fetch(client: openai.AsyncOpenAI, wanted: list[int]) -> None:
            """Request some of the replies, which may bring fewer; cache what is an answer."""
            received = await self._request(client, messages, len(wanted), request_seed(seed, wanted[0]))
            for index, reply in zip(wanted, received, strict=False):
                if answers.is_answer(reply.text, reply.finish_reason):
                    self._cache.put(keys[index], reply)
                replies[index] = reply

        async with self._open() as client:
            await self._probe(client, messages)
            while missing:
                # Share the missing replies out among requests that run concurrently
                size = REPLIES_PER_REQUEST if self._capabilities.takes("n") else 1
                parts = [missing[start : start + size] for start in range(0, len(missing), size)]
                # A failure waits for the other requests: they are paid for, and their replies must reach the cache
                outcomes = await asyncio.gather(*(fetch(client, part) for part in parts), return_exceptions=True)
                for outcome in outcomes:
                    if isinstance(outcome, BaseException):
                        raise outcome
                missing = [index for index in missing if index not in replies]
        return replies

    def _open(self) -> openai.AsyncOpenAI:
        """Return the SDK's client with our transport, which adds the key, and without the SDK's own retries."""
        timeout = httpx2.Timeout(self._config.timeout, connect=min(CONNECT_SECONDS, self._config.timeout))
        parts = urlsplit(self._base_url)
        return openai.AsyncOpenAI(
            api_key="added-by-the-transport",
            base_url=urlunsplit(parts._replace(query="")),
            default_query=dict(parse_qsl(parts.query)),  # such as api-version
            timeout=timeout,
            max_retries=0,
            http_client=httpx2.AsyncClient(
                transport=make_transport(self._proxy, self._key),
                timeout=timeout,
                limits=httpx2.Limits(max_connections=self._config.concurrency),
                # The transport adds the key to every request, so it must not follow a redirect to another host
                follow_redirects=False,
            ),
        )

    async def _probe(self, client: openai.AsyncOpenAI, messages: Sequence[Message]) -> None:
        """Check once, before anything is paid for, that there is such an endpoint."""
        if self._probed:
            return
        probed = await look(client, self._base_url, self._now(), self._proxy)
        if probed.failure is not None:
            probed.failure.message = self._secrets.mask(probed.failure.message)
            if probed.failure.passing:
                raise LLMUnavailable(sentence(f"{self._where()}: {probed.failure.message}", probed.failure.advice))
            raise self._lasting(probed.failure)
        self._probed = True
        if advice := probed.advice(self._config.model, estimated_prompt_tokens(messages), self._config.max_tokens):
            self._notice(self._secrets.mask(f"{self._base_url}: {advice}"))

    # ---- one request and its retries

    async def _request(self, client: openai.AsyncOpenAI, messages: Sequence[Message], n: int, seed: int) -> list[Reply]:
        """Send one request with retries; return between 1 and ``n`` replies."""
        timeouts_alone = 0  # timeouts while no other request was running
        waited = 0.0

        def stop(state: RetryCallState) -> bool:
            """Return whether to give up: after too many tries, timeouts or seconds of waiting."""
            nonlocal timeouts_alone, waited
            failure = failure_of(state)
            timeouts_alone += failure.timed_out
            waited = state.idle_for
            return (
                state.attempt_number > self._config.retries
                or timeouts_alone >= TIMEOUTS_ALONE
                or state.idle_for + state.upcoming_sleep > self._config.patience
            )

        def report(state: RetryCallState) -> None:
            """Report why and when the request is tried again."""
            self._notice(
                f"{self._where()}: {failure_of(state).message}; trying again in {state.upcoming_sleep:.0f} s "
                f"(try {state.attempt_number + 1} of {self._config.retries + 1})"
            )

        retrying = AsyncRetrying(
            stop=stop,
            wait=Backoff(self._uniform, lambda error: getattr(getattr(error, "failure", None), "retry_after", None)),
            retry=retry_if_exception_type(PassingFailure),
            sleep=self._sleep,
            before_sleep=report,
            reraise=True,
        )
        # The exception of the last try is replaced outside of its handler, so that it is not chained
        failure: Failure | None = None
        try:
            return await retrying(self._attempt, client, messages, n, seed)
        except PassingFailure as last:
            failure = last.failure
        raise self._unavailable(failure, int(retrying.statistics["attempt_number"]), waited)

    async def _attempt(self, client: openai.AsyncOpenAI, messages: Sequence[Message], n: int, seed: int) -> list[Reply]:
        """Try once; what the endpoint does not support is left out, and the request is sent again at once."""
        first: Failure | None = None
        without: frozenset[str] = frozenset()
        while True:
            parameters = self._capabilities.parameters(self._config, n, seed, without)
            completion, failure, seconds, reservation = await self._send(client, messages, parameters)
            # An answer: what had to be left out for it is not supported
            if completion is not None:
                if without:
                    self._refuse(without, first)
                return self._accept(completion, messages, n, reservation, seconds)
            # A failure: keep the reserved cost if the server may have charged it
            assert failure is not None
            (reservation.keep if failure.billed else reservation.release)()
            offered = self._capabilities.offered(parameters, messages)
            if self._refuse(failure.refused & offered, failure):
                continue  # the same request without what this endpoint does not support
            # The server does not support something and does not say what: leave out suspects, one step after the other
            steps = [step & offered for step in _SUSPECTS if step & offered]
            if failure.suspect and steps:
                first, without = first or failure, without | steps[0]
                continue
            break
        # Report the first failure, which is about the request as it was meant
        failure = first if first is not None and not failure.passing else failure
        failure.message = self._secrets.mask(failure.message)
        if not failure.passing:
            raise self._lasting(failure)
        raise PassingFailure(failure)

    async def _send(
        self, client: openai.AsyncOpenAI, messages: Sequence[Message], parameters: Mapping[str, Any]
    ) -> tuple[dict[str, Any] | None, Failure | None, float, Reservation]:
        """Send a request; return its completion as plain JSON or what went wrong, the seconds, and the reserved cost.

        No exception of the SDK leaves this function, because they hold whole requests.
        """
        # Wait for a slot, and reserve the most that the request can cost
        turn = await self._slots.enter()
        seconds: float | None = None
        try:
            reservation = self._reserve(messages, parameters.get("n", 1))
            started = time.monotonic()
            caught: Exception
            # Send it
            try:
                async with asyncio.timeout(self._config.timeout):
                    answer = await client.chat.completions.with_raw_response.create(
                        model=self._config.model,
                        messages=[
                            {"role": message.role, "content": content_of(message)}  # type: ignore[misc]
                            for message in self._capabilities.messages(messages)
                        ],
                        extra_body=self._config.extra or None,
                        **parameters,
                    )
                response = answer.http_response
                seconds = time.monotonic() - started
                failure = self._read_failure(response)
                return (None if failure else parsed(response)), failure, seconds, reservation
            except Exception as error:
                caught = error
            except BaseException:
                reservation.keep()  # cancelled while it was running: it may have been billed
                raise
            # A timeout next to other requests says that the server works on fewer at once
            failure = describe(caught, self._now(), self._base_url, self._proxy)
            if failure.timed_out and self._slots.timed_out(turn):
                failure.timed_out = False
                failure.message += (
                    f" while {turn.most} requests were under way; a server that works on one at a time lets the others "
                    f"wait, so from now on {self._slots.limit} at once (llm.concurrency is {self._config.concurrency})"
                )
            return None, failure, 0.0, reservation
        finally:
            self._slots.leave(turn, seconds)

    def _read_failure(self, response: httpx2.Response) -> Failure | None:
        """Return what is wrong with an answer of status 200; None if it holds at least one choice."""
        kind = response.headers.get("content-type", "")
        # A proxy or a wrong URL may answer with a page
        if (page := web_page(response.content, kind)) is not None:
            advice = f"check the base URL{path_hint(self._base_url)}"
            if self._proxy is not None:
                # Errors may stand in the body, or in single choices
                advice += f"; the request went through {self._proxy.shown}"
            return Failure(f"a web page, {page!r}, instead of JSON", passing=False, status=200, advice=advice)
        completion = parsed(response)
        error = completion.get("error") if isinstance(completion, dict) else None
        choices = answers.choices_of(completion)
        broken = [choice for choice in choices if choice.get("error")]
        if not error and choices and len(broken) < len(choices):
            return None
        if error or broken:
            return in_band(error or broken[0]["error"], response.headers, self._now(), self._base_url)
        return Failure("an answer without choices", passing=True, billed=True)

    def _refuse(self, names: frozenset[str], failure: Failure | None) -> bool:
        """Remember and report what the endpoint does not support; return whether ``names`` holds anything."""
        if new := self._capabilities.refuse(names):
            detail = f" ({failure.message})" if failure else ""
            self._notice(self._secrets.mask(f"{self._where()} does not take {self._capabilities.words(new)}{detail}"))
        return bool(names)

    # ---- replies and their cost

    def _reserve(self, messages: Sequence[Message], n: int) -> Reservation:
        """Reserve the most that a request can cost: its estimated prompt, and ``n`` replies of full length."""
        prompt, completion = estimated_prompt_tokens(messages), n * self._config.max_tokens
        dollars = self._price.dollars(prompt, completion) if self._price else 0.0
        return self._budget.reserve(dollars, prompt + completion)

    def _accept(
        self,
        completion: Mapping[str, Any],
        messages: Sequence[Message],
        n: int,
        reservation: Reservation,
        seconds: float,
    ) -> list[Reply]:
        """Return the replies of a completion, with its cost divided among them."""
        choices = answers.choices_of(completion)
        if len(choices) < n:
            self._refuse(frozenset({"n"}), None)
        choices = [choice for choice in choices if not choice.get("error")]  # the others are requested again
        texts = [answers.text_of(choice) for choice in choices]
        # Settle what it cost, by the server's token counts or by estimates
        prompt, answered, cached = answers.usage_of(completion)
        estimated = prompt is None or answered is None
        prompt = estimated_prompt_tokens(messages) if prompt is None else prompt
        answered = sum(estimated_tokens(text) for text in texts) if answered is None else answered
        # Divide the cost: the prompt goes to the first reply, the rest by length
        dollars = self._price.dollars(prompt, answered, cached) if self._price else 0.0
        reservation.settle(dollars, prompt + answered)
        wanted = min(len(texts), n)
        shares = answers.shares(answered, [len(text) for text in texts[:wanted]])
        for_prompt = self._price.dollars(prompt, 0, cached) if self._price else 0.0
        model = completion.get("model")
        return [
            Reply(
                text=self._secrets.mask(texts[place][: answers.MAX_TEXT]),
                model=self._secrets.mask(model[:200]) if isinstance(model, str) and model else self._config.model,
                prompt_tokens=prompt if place == 0 else 0,
                completion_tokens=shares[place],
                dollars=(for_prompt if place == 0 else 0.0)
                + (self._price.dollars(0, shares[place]) if self._price else 0.0),
                seconds=seconds,
                estimated=estimated,
                finish_reason=answers.finish_reason_of(choices[place], texts[place]),
            )
            for place in range(wanted)
        ]

    # ---- error messages

    def _unavailable(self, failure: Failure, tries: int, waited: float) -> LLMUnavailable:
        """Return the error after the last try of a request that failed in temporary ways."""
        if failure.retry_after is not None and waited + failure.retry_after > self._config.patience:
            return LLMUnavailable(
                f"{self._where()} asks to wait {failure.retry_after:.0f} s before the next try ({failure.message}), "
                f"which is more than llm.patience ({self._config.patience:.0f} s); resume the run then, or raise it"
            )
        # Waiting did not help
        advice = failure.advice or "try again later, or raise llm.retries and llm.patience"
        if failure.timed_out:
            advice = "raise llm.timeout or lower llm.max_tokens; what was given up may still be in the server's queue"
        return LLMUnavailable(
            f"{self._where()} gave no usable answer in {tries} tries and {waited:.0f} s of waiting between them; the "
            f"last one failed with {failure.message}. What to do: {advice}"
        )

    def _lasting(self, failure: Failure) -> LLMError:
        """Return the error for a failure that no retry can fix."""
        variable = self._config.key_variable
        # The key is missing, wrong, or not allowed to use the model
        if failure.status == 401 and self._key is None:
            detail = f"set {variable or 'llm.key_variable'}" if variable else "name its variable with llm.key_variable"
            return LLMAuthError(f"{self._where()} asks for a key ({failure.message}): {detail}")
        if failure.status == 401:
            return LLMAuthError(
                f"{self._where()} refused the key in {variable} ({failure.message}); set {variable} to a key that may "
                "use this model"
            )
        if failure.status == 403:
            advice = failure.advice or "a firewall, or a limit on countries, on the way there"
            return LLMAuthError(
                f"{self._where()} refused access ({failure.message}): the key in {variable} may not use this model, or "
                f"something else refuses: {advice}"
            )
        return LLMError(sentence(f"{self._where()} refused the request ({failure.message})", failure.advice))

    def _where(self) -> str:
        """Return the model and its endpoint, for messages."""
        return f"{self._config.model} at {self._base_url}"

    def _cache_key(self, messages: Sequence[Message], seed: int, index: int) -> str:
        """Return the key of a reply in the cache."""
        return reply_key(
            self._base_url, self._config.model, messages, temperature=self._config.temperature,
            max_tokens=self._config.max_tokens, seed=seed, index=index, extra=self._config.extra,
        )  # fmt: skip


_SUSPECTS = (frozenset({"n"}), frozenset({"seed", "temperature", "stream_options"}))
"""What endpoints most often do not support, in the order in which it is left out after an unclear refusal."""
