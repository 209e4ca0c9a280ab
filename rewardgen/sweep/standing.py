"""Where a sweep's searches stand, from their stores: also while it runs, and wherever it ran."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rewardgen.config import Config
from rewardgen.errors import ConfigError, StoreError
from rewardgen.records import Evaluation
from rewardgen.store import CostView, RunView, read
from rewardgen.store.database import FILE_NAME
from rewardgen.sweep.estimate import Amounts
from rewardgen.sweep.plan import Kept, Planned, read_plan, write_whole

Status = Literal["waiting", "running", "interrupted", "failed", "left out", "finished"]
ENDS = "ends.json"
"""In a sweep's folder: how searches ended whose own stores may not know, such as one whose process crashed."""


@dataclass(frozen=True)
class SearchState:
    """One search: the found reward's reported ``score`` and its candidate ``winner``, None before there is one."""

    planned: Planned
    status: Status
    message: str = ""
    score: Evaluation | None = None
    unit: str = ""
    cost: CostView | None = None
    winner: str | None = None

    @property
    def spent(self) -> Amounts:
        if self.cost is None:
            return Amounts()
        cost = self.cost
        tokens = cost.prompt_tokens + cost.completion_tokens
        return Amounts(0, cost.steps, cost.calls, tokens, cost.dollars, cost.seconds / 3600)


def standing(planned: Planned) -> SearchState:
    """Where one search stands.

    Raises:
        StoreError: its store cannot be read.
    """
    view = _view(planned.run_dir)
    return SearchState(planned, "waiting") if view is None else of_view(planned, view)


def of_view(planned: Planned, view: RunView) -> SearchState:
    final = view.final("winner")
    return SearchState(
        planned,
        view.status,
        view.message,
        final.evaluation if final is not None else None,
        str(view.task.get("fitness_unit", "")),
        view.cost,
        view.winner,
    )


def sweep_standing(folder: Path) -> tuple[Kept, list[SearchState]]:
    """The sweep in ``folder`` and where each of its searches stands. A store that cannot be read counts as failed.

    Raises:
        StoreError: there is no sweep.
    """
    kept, ends = read_plan(folder), _read_ends(folder)
    found = []
    for planned in kept.searches:
        try:
            stands = standing(planned)
        except StoreError as error:
            stands = SearchState(planned, "failed", str(error))
        if planned.key in ends and stands.status not in ("running", "finished"):
            status, message = ends[planned.key]
            stands = replace(stands, status=status, message=message)
        found.append(stands)
    return kept, found


def write_ends(folder: Path, ends: Mapping[str, tuple[str, str]]) -> None:
    """Keep how searches ended: key → ("failed" or "left out", why).

    Raises:
        StoreError: the file cannot be written.
    """
    write_whole(folder / ENDS, ends)


def _read_ends(folder: Path) -> dict[str, tuple[Status, str]]:
    try:
        content = json.loads((folder / ENDS).read_text(encoding="utf-8"))
        return {
            str(key): ("left out" if status == "left out" else "failed", str(message))
            for key, (status, message) in content.items()
        }
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
    ):  # it says nothing that the next run of the sweep would need
        return {}


def checked(planned: Planned) -> SearchState:
    """Where one search stands, if what lies in its folder is this very search.

    Raises:
        ConfigError: it was begun with other settings; the message names them.
    """
    try:
        view = _view(planned.run_dir)
    except StoreError as error:  # whoever takes it up says what is wrong with it, and no other search minds
        return SearchState(planned, "failed", str(error))
    if view is None or not view.config:
        return SearchState(planned, "waiting")
    began = _plain(
        Config.model_validate({"sim": "mujoco", "device": "cpu", **(view.given or view.config)}).model_dump(mode="json")
    )
    wanted = _plain(planned.config.model_dump(mode="json"))
    differences = [
        f"{key} was {began[key]!r} and is now {wanted[key]!r}"
        for key in wanted
        if key in began and wanted[key] != began[key] and not _may_differ(key, wanted[key])
    ]
    if differences:
        raise ConfigError(
            f"{planned.run_dir} holds a search with other settings: {'; '.join(differences)}. Give the sweep another "
            "name (--name), or move that folder away"
        )
    return of_view(planned, view)


_LLM_MATTERS = ("llm.model", "llm.models", "llm.temperature", "llm.max_tokens")


def _may_differ(key: str, wanted: Any) -> bool:
    """Settings that change nothing that a search comes to, or that it chose itself before it kept what was given."""
    if key in ("sim", "device"):
        return wanted == "auto"
    return (
        key == "threads"
        or key.startswith(("budget.", "tracking."))
        or (key.startswith("llm.") and key not in _LLM_MATTERS and not key.startswith("llm.extra"))
    )


def _plain(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _plain(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return found


def _view(run_dir: Path) -> RunView | None:
    return read(run_dir) if (run_dir / FILE_NAME).is_file() else None
