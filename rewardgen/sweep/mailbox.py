"""The mailbox of one order of trainings on a Ray cluster, as an actor: it outlives the shards that speak through it.

It is sent to its process as it stands here, not by name, so that nothing of rewardgen is loaded there (``ray.py``): a
process less with torch in it on the head, for each search.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Mailbox:
    """An actor on the head, one for each order: takes what shards say, and keeps the judge's answers for them."""

    def __init__(self) -> None:
        self._post: list[dict[str, Any]] = []
        self._arrived = asyncio.Event()
        self._answers: dict[int, dict[int, dict[int, str]]] = {}
        self._answered = asyncio.Condition()

    async def tell(self, document: dict[str, Any]) -> None:
        self._post.append(document)
        self._arrived.set()

    async def next(self) -> list[dict[str, Any]]:
        """What was said since this was last asked; waits until there is something."""
        await self._arrived.wait()
        self._arrived.clear()
        post, self._post = self._post, []
        return post

    async def ask(self, document: dict[str, Any]) -> dict[int, str]:
        """What the judge says to a shard's report; waits until all shards have reported."""
        steps, shard = document["steps"], document["shard"]
        if steps not in self._answers:
            await self.tell(document)
        async with self._answered:
            await self._answered.wait_for(lambda: steps in self._answers)
        return self._answers[steps][shard]

    async def answer(self, steps: int, verdicts: dict[int, dict[int, str]]) -> None:
        async with self._answered:
            self._answers[steps] = verdicts
            self._answered.notify_all()
