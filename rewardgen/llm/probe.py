"""A first look at an endpoint, before any request to the model: its list of models.

Not every endpoint has such a list, and some list only a part of what they serve. So a missing list or model proves
nothing; only an unreachable server, a refused key and an address without an API end a run here.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from rewardgen.llm.answers import count
from rewardgen.llm.failures import Failure, describe, path_hint, web_page
from rewardgen.llm.transport import Proxy

SECONDS = 10.0
"""Timeout. A server that is busy may answer later; then nothing is known."""
TYPICAL_PROMPT = 4000
"""Tokens of a search's first prompt on a task with many fields; later prompts are longer."""
_CONTEXT_NAMES = ("max_model_len", "context_length", "max_context_length", "context_window")
"""What vLLM and SGLang, OpenRouter, Mistral and Groq call a model's context length. llama.cpp: ``meta.n_ctx``."""


@dataclass
class ProbeResult:
    """``failure``: why no request can succeed here. ``models``: the list, with each context length in tokens if stated;
    None if there is no list."""

    failure: Failure | None = None
    models: dict[str, int | None] | None = None

    def advice(self, model: str, prompt: int, reply: int) -> str:
        """Return what the list says against requests to ``model``; "" if nothing.

        Args:
            prompt, reply: tokens that a request needs for its prompt, and at most for its reply.
        """
        if not self.models:
            return ""
        if not (own := [name for name in self.models if model in (name, name.rpartition("/")[2])]):
            near = difflib.get_close_matches(model, self.models, 3, 0.4) or list(self.models)[:3]
            return f"it does not list {model}; it has {', '.join(near)}"
        context, prompt = self.models[own[0]], max(prompt, TYPICAL_PROMPT)
        if context is None or context >= prompt + reply:
            return ""
        return (
            f"the context of {model} is {context:,} tokens there; a search's prompts have {prompt:,} and more, and "
            f"replies up to {reply:,} (llm.max_tokens): raise the context length at the server, or lower llm.max_tokens"
        )


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


async def _models(client: openai.AsyncOpenAI, path: str) -> tuple[dict[str, int | None] | None, str | None]:
    """Return the models with their context lengths, or None; and the title of a web page that came instead."""
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
        return {str(item["id"]): _context(item) for item in listed}, None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, page


def _context(item: Mapping[str, Any]) -> int | None:
    """Return the context length that an entry of a list of models states, in tokens; None if it states none."""
    meta = item.get("meta")
    stated = [item.get(name) for name in _CONTEXT_NAMES] + [meta.get("n_ctx") if isinstance(meta, dict) else None]
    return next((tokens for value in stated if (tokens := count(value))), None)
