"""The mailbox of one order of trainings on a Ray cluster: an actor that outlives the shards that write to it.

Its code is sent to its process, not imported there by name, so that nothing of rewardgen is loaded: that saves a
process with torch on the head node for each search (``ray.py``).
"""

from __future__ import annotations

import asyncio
from typing import Any


class Mailbox:
    """An actor on the head node, one per order: collects the shards' reports, and stores the answers to them."""

    def __init__(self) -> None:
        self._post: list[dict[str, Any]] = []
        self._arrived = asyncio.Event()
        self._answers: dict[int, dict[int, dict[int, str]]] = {}
        self._answered = asyncio.Condition()

    async def tell(self, document: dict[str, Any]) -> None:
        """Add a report."""
        self._post.append(document)
        self._arrived.set()

    async def next(self) -> list[dict[str, Any]]:
        """Wait for reports; return all since the last call."""
        await self._arrived.wait()
        self._arrived.clear()
        # Take all reports; later ones set the event again
        post, self._post = self._post, []
        return post

    async def ask(self, document: dict[str, Any]) -> dict[int, str]:
        """Report the state of a shard; wait until all shards have reported, and return which members stop."""
        steps, shard = document["steps"], document["shard"]
        if steps not in self._answers:
            await self.tell(document)
        # A shard that was restarted gets the answer that was given before
        async with self._answered:
            await self._answered.wait_for(lambda: steps in self._answers)
        return self._answers[steps][shard]

    async def answer(self, steps: int, verdicts: dict[int, dict[int, str]]) -> None:
        """Store the answers to all shards' reports after ``steps``."""
        async with self._answered:
            self._answers[steps] = verdicts
            self._answered.notify_all()
