"""Prices of tokens: from the lists of the library genai-prices, overridden by the user's own file.

The lists are part of its package, so nothing is fetched. An endpoint that the library knows has its provider's prices.
Elsewhere, such as behind one's own proxy, a model that only its maker serves has its maker's price. Prices of open
models are not guessed: they differ between providers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rewardgen import yaml
from rewardgen.errors import ConfigError

PER_MILLION = 1e-6

_MAKERS = ("openai", "anthropic", "google", "x-ai")
_OPEN = re.compile(r"gpt-oss|gemma", re.IGNORECASE)
"""Models of these makers that others serve, too."""

# Suffixes of snapshots: "-2025-04-14", "-20250929", "-latest"
_SNAPSHOT = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-latest)$")


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens. ``cached_input`` None: a cached prompt token costs the full ``input`` price."""

    input: float
    output: float
    cached_input: float | None = None

    def dollars(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """Return the cost of so many tokens; ``cached_tokens`` of the prompt were in the provider's cache."""
        cached = min(cached_tokens, prompt_tokens)
        cached_price = self.input if self.cached_input is None else self.cached_input
        full = (prompt_tokens - cached) * self.input + cached * cached_price + completion_tokens * self.output
        return full * PER_MILLION


class Prices:
    """Model → price: ``models``, else the library's lists."""

    def __init__(self, models: Mapping[str, Price]) -> None:
        self._models = dict(models)

    @classmethod
    def load(cls, override: Path | None = None) -> Prices:
        """Return the prices of the file ``override`` over the library's lists.

        Raises:
            ConfigError: the file cannot be read or is not a price table.
        """
        return cls({} if override is None else _parse(yaml.read(override)))

    def of(self, model: str, base_url: str | None = None) -> Price | None:
        """Return the price of ``model`` at ``base_url`` (None: wherever its maker serves it); None if it is unknown.

        The user's file is searched for the name, then for it without the provider's prefix and the snapshot's date.
        """
        bare = model.rsplit("/", 1)[-1]
        for name in (model, bare, _SNAPSHOT.sub("", bare)):
            if name in self._models:
                return self._models[name]
        return _listed(model, base_url)


def _listed(model: str, base_url: str | None) -> Price | None:
    """Return a price from the library's lists."""
    from genai_prices.data_snapshot import get_snapshot  # takes a fifth of a second, and only language models need it

    snapshot = get_snapshot()
    # The endpoint's provider, if the library knows it
    provider = None
    if base_url is not None:
        try:
            provider = snapshot.find_provider(None, None, base_url)
        except LookupError:
            pass
    bare = model.rsplit("/", 1)[-1]
    for name in (model, _SNAPSHOT.sub("", model)) if provider else (bare, _SNAPSHOT.sub("", bare)):
        try:
            found_at, found = snapshot.find_provider_model(name, provider, None, None)
        except LookupError:
            continue
        # Only a maker's own, closed models have one price everywhere
        if provider is None and (found_at.id not in _MAKERS or _OPEN.search(name)):
            continue
        listed = found.get_prices(datetime.now(UTC))
        full, output, cached = (_base(listed, part) for part in ("input_mtok", "output_mtok", "cache_read_mtok"))
        if full is not None and output is not None:
            return Price(full, output, cached)
    return None


def _base(listed: Any, part: str) -> float | None:
    """Return a price per million tokens; if it depends on the prompt's length, the one for short prompts."""
    price = getattr(listed, part, None)
    price = getattr(price, "base", price)
    return None if price is None else float(price)


def _parse(table: yaml.Document) -> dict[str, Price]:
    """Return the prices of a user's file."""
    models = table.values.get("models")
    if not isinstance(models, Mapping):
        where = table.where(("models",))
        raise ConfigError(f"{where}: a price table needs `models:`, a mapping of a model's name to its prices")
    return {str(name): _price(entry, f"{table.where(('models', str(name)))}: {name}") for name, entry in models.items()}


def _price(entry: Any, where: str) -> Price:
    """Return the price in one entry of a user's file."""
    allowed = {"input", "output", "cached_input"}
    if not isinstance(entry, Mapping) or not {"input", "output"} <= set(entry) <= allowed:
        raise ConfigError(f"{where}: give `input` and `output` (and `cached_input`) in dollars per million tokens")
    for key, value in entry.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ConfigError(f"{where}: {key} must be a number of dollars, at least 0, not {value!r}")
    return Price(**{key: float(value) for key, value in entry.items()})
