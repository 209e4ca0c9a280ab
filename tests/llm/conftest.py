"""Clients of the misbehaving server, with a clock and a jitter that the tests hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rewardgen.config import LLMConfig
from rewardgen.llm.budget import Budget
from rewardgen.llm.cache import ReplyCache
from rewardgen.llm.client import ClientAuthor
from rewardgen.llm.prices import Price, Prices
from tests.llm.server import ModelServer

KEY = "sk-very-secret-7f3a91"
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
PRICES = Prices({"test-model": Price(input=1.0, output=10.0, cached_input=0.1)})


class Clock:
    """Sleeps without sleeping and remembers for how long; its jitter is always half of the most it may be."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.notices: list[str] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def uniform(self, low: float, high: float) -> float:
        return low + 0.5 * (high - low)


MakeClient = Callable[..., ClientAuthor]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(tmp_path: Path, clock: Clock) -> MakeClient:
    def make(server: ModelServer | str, *, budget: Budget | None = None, **settings: Any) -> ClientAuthor:
        config = LLMConfig(**{"model": "test-model", "max_tokens": 100, "retries": 3, "timeout": 30.0, **settings})
        return ClientAuthor(
            config,
            base_url=server if isinstance(server, str) else server.url,
            key=KEY,
            environ={},
            prices=PRICES,
            cache=ReplyCache(tmp_path / "cache" if config.cache else None),
            budget=budget or Budget(),
            sleep=clock.sleep,
            now=lambda: NOW,
            on_notice=clock.notices.append,
            uniform=clock.uniform,
        )

    return make
