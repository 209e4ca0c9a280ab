"""Makes the author that a configuration names."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from rewardgen.config import LLMConfig, checked_base_url
from rewardgen.config.authors import AUTO, DIALOG, OFFLINE, OWN_DIALOG, REPLAY, STRICT_REPLAY
from rewardgen.errors import ConfigError, RewardgenError
from rewardgen.llm.budget import Budget
from rewardgen.llm.cache import ReplyCache
from rewardgen.llm.dialog import Dialog, DialogAuthor
from rewardgen.llm.fallback import FallbackAuthor
from rewardgen.llm.prices import Prices
from rewardgen.llm.recording import Recorder, read_recording
from rewardgen.llm.replay import ReplayAuthor
from rewardgen.llm.secrets import read_key
from rewardgen.records import Reply
from rewardgen.request import Request

DEFAULT_BASE_URL = "https://api.openai.com/v1"

_log = logging.getLogger(__name__)


@runtime_checkable
class Author(Protocol):
    """Answers requests. Its methods may be called from several threads at once."""

    @property
    def name(self) -> str:
        """Who writes, for people: a model's name, or a text which says that no model is involved."""

    @property
    def offline(self) -> bool:
        """True if no language model is used."""

    def reply(self, request: Request, n: int, *, seed: int) -> list[Reply]:
        """Return exactly ``n`` replies; the same for the same request and seed.

        Raises:
            LLMError: there are none to be had; its kinds say why.
            BudgetExceeded: they could cost more than is left.
            Stopped: ``close`` was called.
        """

    def close(self) -> None:
        """Stop at once, whatever other threads are waiting for, as on Ctrl-C."""


class RecordedAuthor:
    """An author whose calls, answered or not, are appended to a recording."""

    def __init__(self, author: Author, recorder: Recorder) -> None:
        self._author, self._recorder = author, recorder

    @property
    def name(self) -> str:
        """See ``Author``."""
        return self._author.name

    @property
    def offline(self) -> bool:
        """See ``Author``."""
        return self._author.offline

    def close(self) -> None:
        """See ``Author``."""
        self._author.close()

    def reply(self, request: Request, n: int, *, seed: int) -> list[Reply]:
        """See ``Author``."""
        # Ask, and record the answer or the error
        try:
            replies = self._author.reply(request, n, seed=seed)
        except RewardgenError as error:
            problem = f"{type(error).__name__}: {error}"
            self._recorder.add(self.name, request, n, seed, [], error=problem, endpoint=self._endpoint)
            raise
        source = self._author.source(request, seed) if isinstance(self._author, ReplayAuthor) else None
        self._recorder.add(self.name, request, n, seed, replies, source=source, endpoint=self._endpoint)
        return replies

    @property
    def _endpoint(self) -> str:
        """Which of several endpoints answered; "" if there is only one."""
        return self._author.endpoint if isinstance(self._author, FallbackAuthor) else ""


def make_author(
    config: LLMConfig,
    *,
    environ: Mapping[str, str],
    cache_dir: Path | None,
    recording: Path | None,
    budget: Budget | None = None,
    on_warning: Callable[[str], None] = _log.warning,
    on_notice: Callable[[str], None] = _log.info,
    run: str = "",
    jitter: str = "",
    dialog: Dialog | None = None,
) -> Author:
    """Return the author that ``config.model`` names, or that ``config.models`` do.

    "offline" writes rewards without a language model, "replay:FILE" answers from a recording ("replay-strict:FILE"
    only where the messages are exactly those recorded), "dialog:DIR" waits for answers in files, "dialog" in those of
    the run's own folder, "auto" is offline unless the key's variable is set, and anything else is a model's name at
    ``config.base_url`` (else at ``OPENAI_BASE_URL``, else at OpenAI).

    Args:
        environ: where the key is looked up, by ``config.key_variable``; proxies too.
        cache_dir: where replies are kept, for ``config.cache``; None keeps none.
        recording: a JSONL file that every call is appended to; None records nothing.
        budget: what the model may cost; None is no limit.
        on_warning: told of what a person should know but need not act on; from any thread.
        on_notice: told of what passes, such as a try again; from any thread.
        run: names the run that asks: what the cache holds of its own replies counts as its cost.
        jitter: seeds the random part of waits between tries. Searches that run side by side should differ in it, lest
            they all come back to a busy server at once.
        dialog: the run's own dialog, which is told what "dialog" and "dialog:DIR" wait for.

    Raises:
        ConfigError: no model is named, "dialog" is named outside of a run, the base URL or a proxy's is not valid, the
            key cannot be one, or a dollar budget meets a model without a price.
        LLMError: the recording to be replayed cannot be used.
    """
    # Models at endpoints, in order, share a cache and a budget
    cache = ReplyCache(cache_dir if config.cache else None, run)
    budget = budget or Budget()
    author: Author
    if config.models:
        clients = [
            _client(each, environ, cache, budget, on_warning, on_notice, f"{jitter}/{place}")
            for place, each in enumerate(config.each)
        ]
        author = clients[0] if len(clients) == 1 else FallbackAuthor(clients, on_warning, _in_use(clients, recording))
    # A single model, or an author without one
    else:
        author = _without_model(config, environ, recording, budget, on_warning, on_notice, dialog) or _client(
            config, environ, cache, budget, on_warning, on_notice, jitter
        )
    return author if recording is None else RecordedAuthor(author, Recorder(recording))


def _in_use(clients: Sequence[Author], recording: Path | None) -> int:
    """Return the index of the client that a stopped run asked last; 0 if there is none."""
    earlier = read_recording(recording) if recording is not None and recording.exists() else ()
    last = next((call.endpoint for call in reversed(earlier) if call.endpoint), "")
    return next((place for place, client in enumerate(clients) if f"{place} {client.name}" == last), 0)


def _without_model(
    config: LLMConfig,
    environ: Mapping[str, str],
    recording: Path | None,
    budget: Budget,
    on_warning: Callable[[str], None],
    on_notice: Callable[[str], None],
    dialog: Dialog | None,
) -> Author | None:
    """Return the author that uses no language model, if the configuration names one; else None."""
    # A recording
    for prefix, strict in ((REPLAY, False), (STRICT_REPLAY, True)):
        if config.model.startswith(prefix):
            earlier = read_recording(recording) if recording is not None and recording.exists() else ()
            path = Path(config.model.removeprefix(prefix)).expanduser()
            return ReplayAuthor(path, strict=strict, earlier=earlier, on_warning=on_warning)
    # A person or an agent who answers in files
    if config.model.startswith(DIALOG):
        folder = config.model.removeprefix(DIALOG).strip()
        if not folder:
            raise ConfigError(f"{DIALOG}DIR needs a folder, such as --llm {DIALOG}answers")
        return DialogAuthor(
            Path(folder).expanduser(), dialog=dialog, budget=budget, on_warning=on_warning, on_notice=on_notice
        )
    if config.model == OWN_DIALOG:
        if dialog is None:
            raise ConfigError(f"{OWN_DIALOG!r} keeps its files in a run's folder, and this is no run; name {DIALOG}DIR")
        return DialogAuthor(
            dialog.folder,
            name=OWN_DIALOG,
            dialog=dialog,
            budget=budget,
            on_warning=on_warning,
            on_notice=on_notice,
        )
    # No language model
    if config.model == OFFLINE or (config.model == AUTO and read_key(environ, config.key_variable) is None):
        from rewardgen.llm.offline import OfflineAuthor

        return OfflineAuthor()
    if config.model == AUTO:
        raise ConfigError(
            f"{config.key_variable} is set, but no model is named; give --llm MODEL, or --llm offline to use none"
        )
    return None


def _client(
    config: LLMConfig,
    environ: Mapping[str, str],
    cache: ReplyCache,
    budget: Budget,
    on_warning: Callable[[str], None],
    on_notice: Callable[[str], None],
    jitter: str,
) -> Author:
    key = read_key(environ, config.key_variable)
    try:
        base_url = checked_base_url(config.base_url or environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL)
    except ValueError as error:
        raise ConfigError(f"{'llm.base_url' if config.base_url else 'OPENAI_BASE_URL'}: {error}") from None
    if key is None and base_url == DEFAULT_BASE_URL:
        raise ConfigError(
            f"{config.model} needs a key: set {config.key_variable or 'llm.key_variable'}, name another endpoint with "
            "--base-url, or give --llm offline to use no language model"
        )
    # the SDK takes most of a second to import, and only this author needs it
    from rewardgen.llm.client import ClientAuthor

    prices = Prices.load(config.prices)
    if prices.of(config.model, base_url) is None:
        if budget.dollars is not None:
            raise ConfigError(
                f"no price is known for {config.model}, so a budget in dollars cannot be kept; name its price in a "
                "file (llm.prices), or set budget.tokens or budget.calls instead of budget.dollars"
            )
        on_warning(f"no price is known for {config.model}: its cost is unknown and shown as $0; see llm.prices")
    return ClientAuthor(
        config,
        base_url=base_url,
        key=key,
        environ=environ,
        prices=prices,
        cache=cache,
        budget=budget,
        on_notice=on_notice,
        uniform=random.Random(jitter).uniform,
    )
