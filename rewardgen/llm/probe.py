"""A first look at an endpoint, before any request to the model: its list of models.

Not every endpoint has such a list, and some list only a part of what they serve. So a missing list or model proves
nothing; only an unreachable server, a refused key and an address without an API end a run here.
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
"""Timeout. A server that is busy may answer later; then nothing is known."""


@dataclass
class ProbeResult:
    """``failure``: why no request can succeed here. ``models``: the list; None if there is none."""

    failure: Failure | None = None
    models: list[str] | None = None

    def advice(self, model: str) -> str:
        """Return what to tell about a ``model`` that the list does not contain; "" if it does, or without a list."""
        if not self.models or any(model in (name, name.rpartition("/")[2]) for name in self.models):
            return ""
        near = difflib.get_close_matches(model, self.models, 3, 0.4) or self.models[:3]
        return f"it does not list {model}; it has {', '.join(near)}"


async def look(client: openai.AsyncOpenAI, base_url: str, now: datetime, proxy: Proxy | None) -> ProbeResult:
    """Request the list of models."""
    caught: Exception
    try:
        models, page = await _models(client, "/models")
        if models is not None:
            # A common mistake: the API lies below /v1
            return ProbeResult(models=models)
        if not urlsplit(base_url).path.strip("/"):
            below_v1, _ = await _models(client, "/v1/models")
            if below_v1 is not None:
                right = urlsplit(base_url)._replace(path="/v1").geturl()
                failure = Failure("it has its API below /v1", False, 404, advice=f"give the base URL {right}")
                return ProbeResult(failure)
        if page is not None:
            page_text = f"a web page, {page!r}, instead of JSON"
            return ProbeResult(Failure(page_text, False, 200, advice=f"check the base URL{path_hint(base_url)}"))
        return ProbeResult()
    # Only some failures are conclusive: others may pass, or concern the list alone
    except Exception as error:
        caught = error
    failure = describe(caught, now, base_url, proxy)
    conclusive = failure.status in (401, 407) or (
        failure.status is None and not failure.timed_out and not failure.billed
    )
    return ProbeResult(failure if conclusive else None)


async def _models(client: openai.AsyncOpenAI, path: str) -> tuple[list[str] | None, str | None]:
    """Return the models' names, or None; and the title of a web page that came with status 200 instead."""
    try:
        async with asyncio.timeout(SECONDS):
            response = await client.get(path, cast_to=httpx2.Response)
    except openai.APIStatusError as error:
        if error.status_code in (401, 407):
            raise
        return None, None
    # The list has several forms; anything else is no list
    page = web_page(response.content, response.headers.get("content-type", ""))
    try:
        content = response.json()
        listed = content["data"] if isinstance(content, dict) else content
        return [str(item["id"]) for item in listed], None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, page
