"""What an endpoint supports, as its answers show: remembered for the run, shared by all threads that use it.

Endpoints differ in whether they take several answers per request (``n``), a seed, a temperature, a system message, in
the name of the limit on tokens, in whether they only stream, and in how many requests they work on at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rewardgen.config import LLMConfig
from rewardgen.records import Message

SYSTEM, PLAIN = "system", "plain"
"""Names of a system message and of an answer that is not streamed, among the parameters that may be refused."""
_MEANS = {
    "n": "several answers to one request: it is asked for one at a time",
    "seed": "a seed",
    "temperature": "a temperature",
    "max_tokens": "max_tokens: it is sent max_completion_tokens",
    "max_completion_tokens": "max_completion_tokens",
    "stream_options": "stream_options",
    SYSTEM: "a system message: it goes before the first user message",
    PLAIN: "requests for a whole answer: it is asked for a stream",
}


class Capabilities:
    """What one endpoint does not support. May be shared between threads; it only ever grows."""

    def __init__(self) -> None:
        self._refused: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def takes(self, name: str) -> bool:
        """Return whether something was not refused so far."""
        return name not in self._refused

    def refuse(self, names: frozenset[str]) -> frozenset[str]:
        """Remember ``names`` as refused; return those that are new."""
        with self._lock:
            new = names - self._refused
            self._refused |= new
        return new

    def parameters(self, config: LLMConfig, n: int, seed: int, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Return the fields of a request besides model and messages, without what is refused or in ``without``."""
        refused = self._refused | without
        wanted: dict[str, Any] = {"temperature": config.temperature, "max_tokens": config.max_tokens, "seed": seed}
        # Newer endpoints have another name for the limit; some only stream
        if "max_tokens" in refused:
            wanted["max_completion_tokens"] = config.max_tokens
        if n > 1:
            wanted["n"] = n
        if PLAIN in refused:
            wanted |= {"stream": True, "stream_options": {"include_usage": True}}
        return {name: value for name, value in wanted.items() if name not in refused}

    def messages(self, messages: Sequence[Message]) -> list[Message]:
        """Return ``messages`` as the endpoint takes them: a system message may move into the first user message."""
        if self.takes(SYSTEM) or not messages or messages[0].role != "system":
            return list(messages)
        system, *rest = messages
        if rest and rest[0].role == "user":
            return [replace(rest[0], content=f"{system.content}\n\n{rest[0].content}"), *rest[1:]]
        return [replace(system, role="user"), *rest]

    def offered(self, parameters: Mapping[str, Any], messages: Sequence[Message]) -> frozenset[str]:
        """Return the parts of a request that could be refused and left out."""
        parts = set(parameters) & set(_MEANS)
        if self.takes(SYSTEM) and messages and messages[0].role == "system":
            parts.add(SYSTEM)
        if self.takes(PLAIN):
            parts.add(PLAIN)
        return frozenset(parts)

    @staticmethod
    def words(names: frozenset[str]) -> str:
        """Return what was refused, for people."""
        return "; ".join(_MEANS[name] for name in sorted(names))


@dataclass(eq=False)
class QueueTurn:
    """A running request. ``most``: the max. number of requests running at the same time, itself included; ``ahead``:
    those that were running when it began."""

    most: int
    ahead: tuple[QueueTurn, ...] = ()


class Slots:
    """Limits how many requests an endpoint is sent at once: up to ``limit``, fewer if it works on one after the other.

    A server with one slot lets the others wait, and their time runs. So once a request's duration is known from one
    that was alone, no more are sent than it could answer one after the other within ``timeout``. One that is about as
    fast as that and overtakes another proves that the server works on several: then the limit is free again. A request
    that runs out of time beside others halves it.

    Works across event loops: each thread that asks has its own.
    """

    def __init__(self, limit: int, timeout: float) -> None:
        self._most, self._timeout = limit, timeout
        self._limit = limit
        self._under_way: list[QueueTurn] = []
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[QueueTurn]]] = []
        self._alone: float | None = None
        self._lowered = False
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Max. number of concurrent requests at present."""
        return self._limit

    async def enter(self) -> QueueTurn:
        """Wait for a slot. Each turn must be returned with ``leave``."""
        with self._lock:
            if len(self._under_way) < self._limit and not self._waiting:
                return self._begin()
            loop = asyncio.get_running_loop()
            future: asyncio.Future[QueueTurn] = loop.create_future()
            self._waiting.append((loop, future))
        try:
            # ``leave`` grants the slot
            return await future
        except asyncio.CancelledError:
            with self._lock:
                if (loop, future) in self._waiting:
                    self._waiting.remove((loop, future))
            if future.done() and not future.cancelled():
                self.leave(future.result())  # granted, but cancelled before it could begin
            raise

    def leave(self, turn: QueueTurn, seconds: float | None = None) -> None:
        """Return a slot; ``seconds`` is how long an answer took, None without one."""
        with self._lock:
            self._under_way.remove(turn)
            if seconds is not None and not self._lowered:
                self._learn(turn, seconds)
            while self._waiting and len(self._under_way) < self._limit:
                loop, future = self._waiting.pop(0)
                loop.call_soon_threadsafe(self._grant, future, self._begin())

    def timed_out(self, turn: QueueTurn) -> bool:
        """Lower the limit after a timeout; False if the request was alone, so that no other one is to blame."""
        if turn.most == 1:
            return False
        with self._lock:
            self._limit, self._lowered = max(1, min(self._limit, turn.most) // 2), True
        return True

    def _begin(self) -> QueueTurn:
        """Start a turn; the caller holds the lock."""
        turn = QueueTurn(0, tuple(self._under_way))
        self._under_way.append(turn)
        for each in self._under_way:
            each.most = max(each.most, len(self._under_way))
        return turn

    def _learn(self, turn: QueueTurn, seconds: float) -> None:
        """Adapt the limit to how long an answer took; the caller holds the lock."""
        if turn.most == 1:
            self._alone = seconds if self._alone is None else min(self._alone, seconds)
            self._limit = max(1, min(self._most, int(self._timeout / max(self._alone, 1e-3))))
        # In a queue nobody overtakes: the first of several is as fast as one that is alone, and proves nothing
        elif any(other in self._under_way for other in turn.ahead) and seconds < 1.5 * (self._alone or 0.0):
            self._limit = self._most

    def _grant(self, future: asyncio.Future[QueueTurn], turn: QueueTurn) -> None:
        """Wake up who waits for a slot, in its own event loop."""
        if future.cancelled():
            self.leave(turn)
        else:
            future.set_result(turn)
