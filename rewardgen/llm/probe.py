"""A first look at an endpoint, before anything is asked of the model: what can be told from its list of models.

Not every endpoint has such a list, and some name only a part of what they serve. So what is missing proves nothing;
only a server that is not there, a refused key and an address where no API is end a run here.
"""

from __future__ import annotations

import asyncio
import difflib
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import httpx2
import openai

from rewardgen.llm.failures import Failure, describe, path_hint, web_page
from rewardgen.llm.transport import Proxy

SECONDS = 10.0
"""A server that is busy may answer later; then nothing is known."""


@dataclass
class Seen:
    """``failure``: why nothing can be asked here. ``models``: those listed; None where there is no list."""

    failure: Failure | None = None
    models: list[str] | None = None

    def advice(self, model: str) -> str:
        """What to tell of a ``model`` that the list does not name; "" where it does, or where there is no list."""
        if not self.models or any(model in (name, name.rpartition("/")[2]) for name in self.models):
            return ""
        near = difflib.get_close_matches(model, self.models, 3, 0.4) or self.models[:3]
        return f"it does not list {model}; it has {', '.join(near)}"


async def look(client: openai.AsyncOpenAI, base_url: str, now: datetime, proxy: Proxy | None) -> Seen:
    """Ask for the list of models."""
    caught: Exception
    try:
        models, page = await _models(client, "/models")
        if models is not None:
            return Seen(models=models)
        if not urlsplit(base_url).path.strip("/"):
            found, _ = await _models(client, "/v1/models")
            if found is not None:
                right = urlsplit(base_url)._replace(path="/v1").geturl()
                failure = Failure("it has its API below /v1", False, 404, advice=f"give the base URL {right}")
                return Seen(failure)
        if page is not None:
            told = f"a web page, {page!r}, instead of JSON"
            return Seen(Failure(told, False, 200, advice=f"check the base URL{path_hint(base_url)}"))
        return Seen()
    except Exception as error:
        caught = error
    failure = describe(caught, now, base_url, proxy)
    conclusive = failure.status in (401, 407) or (
        failure.status is None and not failure.timed_out and not failure.billed
    )
    return Seen(failure if conclusive else None)


async def _models(client: openai.AsyncOpenAI, path: str) -> tuple[list[str] | None, str | None]:
    """The models' names, or None; and the title of a web page that came with status 200 instead."""
    try:
        async with asyncio.timeout(SECONDS):
            response = await client.get(path, cast_to=httpx2.Response)
    except openai.APIStatusError as error:
        if error.status_code in (401, 407):
            raise
        return None, None
    page = web_page(response.content, response.headers.get("content-type", ""))
    try:
        content = response.json()
        listed = content["data"] if isinstance(content, dict) else content
        return [str(item["id"]) for item in listed], None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, page
