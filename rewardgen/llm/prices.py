"""What tokens cost: a table of dollars per million, ours in ``prices.yaml``, the user's over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rewardgen import yaml
from rewardgen.errors import ConfigError

PER_MILLION = 1e-6

# "-2025-04-14", "-20250929" and "-latest" name a snapshot of the model before them
_SNAPSHOT = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-latest)$")


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens. ``cached_input`` None: a cached prompt token costs the full ``input`` price."""

    input: float
    output: float
    cached_input: float | None = None

    def dollars(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """What so many tokens cost; ``cached_tokens`` are those of the prompt that the provider had in its cache."""
        cached = min(cached_tokens, prompt_tokens)
        cached_price = self.input if self.cached_input is None else self.cached_input
        full = (prompt_tokens - cached) * self.input + cached * cached_price + completion_tokens * self.output
        return full * PER_MILLION


class Prices:
    """Model → Price. A model that is not in the table has no price: nothing is guessed."""

    def __init__(self, models: Mapping[str, Price]) -> None:
        self._models = dict(models)

    @classmethod
    def load(cls, override: Path | None = None) -> Prices:
        """Our table, with the models of the file ``override`` over it.

        Raises:
            ConfigError: the file cannot be read or is not a price table.
        """
        models = _parse(yaml.read(Path(str(files("rewardgen.llm") / "prices.yaml"))))
        if override is not None:
            models |= _parse(yaml.read(override))
        return cls(models)

    def of(self, model: str) -> Price | None:
        """The price of ``model``: as named, else without its provider's prefix, else without its snapshot's date."""
        bare = model.rsplit("/", 1)[-1]
        for name in (model, bare, _SNAPSHOT.sub("", bare)):
            if name in self._models:
                return self._models[name]
        return None

    def __contains__(self, model: str) -> bool:
        return self.of(model) is not None

    def __len__(self) -> int:
        return len(self._models)


def _parse(table: yaml.Document) -> dict[str, Price]:
    models = table.values.get("models")
    if not isinstance(models, Mapping):
        where = table.where(("models",))
        raise ConfigError(f"{where}: a price table needs `models:`, a mapping of a model's name to its prices")
    return {str(name): _price(entry, f"{table.where(('models', str(name)))}: {name}") for name, entry in models.items()}


def _price(entry: Any, where: str) -> Price:
    allowed = {"input", "output", "cached_input"}
    if not isinstance(entry, Mapping) or not {"input", "output"} <= set(entry) <= allowed:
        raise ConfigError(f"{where}: give `input` and `output` (and `cached_input`) in dollars per million tokens")
    for key, value in entry.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ConfigError(f"{where}: {key} must be a number of dollars, at least 0, not {value!r}")
    return Price(**{key: float(value) for key, value in entry.items()})
