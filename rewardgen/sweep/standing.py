"""The state of a sweep's searches, from their stores: also while it runs, and wherever it ran."""

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
from rewardgen.sweep.plan import Planned, StoredSweep, read_plan, write_whole

Status = Literal["waiting", "running", "interrupted", "failed", "left out", "finished"]
ENDS = "ends.json"
"""File in a sweep's folder: how searches ended whose own stores may not know, such as after a crash."""


@dataclass(frozen=True)
class SearchState:
    """The state of one search. ``score``: the reported score of the found reward; ``winner``: its candidate."""

    planned: Planned
    status: Status
    message: str = ""
    score: Evaluation | None = None
    unit: str = ""
    cost: CostView | None = None
    winner: str | None = None

    @property
    def spent(self) -> Amounts:
        """What it has used so far."""
        if self.cost is None:
            return Amounts()
        cost = self.cost
        tokens = cost.prompt_tokens + cost.completion_tokens
        return Amounts(0, cost.steps, cost.calls, tokens, cost.dollars, cost.seconds / 3600)


def standing(planned: Planned) -> SearchState:
    """Return the state of one search.

    Raises:
        StoreError: its store cannot be read.
    """
    view = _view(planned.run_dir)
    return SearchState(planned, "waiting") if view is None else of_view(planned, view)


def of_view(planned: Planned, view: RunView) -> SearchState:
    """Return the state of a search whose store was read."""
    # The reported score, which selected nothing
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


def sweep_standing(folder: Path) -> tuple[StoredSweep, list[SearchState]]:
    """Return the sweep in ``folder`` and the state of each search. A store that cannot be read counts as failed.

    Raises:
        StoreError: there is no sweep.
    """
    plan, ends = read_plan(folder), _read_ends(folder)
    states = []
    for planned in plan.searches:
        try:
            state = standing(planned)
        except StoreError as error:
            state = SearchState(planned, "failed", str(error))
        # What the sweep recorded counts, unless the search goes on or is finished
        if planned.key in ends and state.status not in ("running", "finished"):
            status, message = ends[planned.key]
            state = replace(state, status=status, message=message)
        states.append(state)
    return plan, states


def write_ends(folder: Path, ends: Mapping[str, tuple[str, str]]) -> None:
    """Write how searches ended: key → ("failed" or "left out", why).

    Raises:
        StoreError: the file cannot be written.
    """
    write_whole(folder / ENDS, ends)


def _read_ends(folder: Path) -> dict[str, tuple[Status, str]]:
    """Read how searches ended; nothing if there is no such file, or if it is damaged."""
    try:
        content = json.loads((folder / ENDS).read_text(encoding="utf-8"))
        return {
            str(key): ("left out" if status == "left out" else "failed", str(message))
            for key, (status, message) in content.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):  # the next run of the sweep does not need it
        return {}


def checked(planned: Planned) -> SearchState:
    """Return the state of one search, if its folder holds this very search.

    Raises:
        ConfigError: it was started with other settings; the message names them.
    """
    try:
        view = _view(planned.run_dir)
    except StoreError as error:  # the search itself will report it; the others go on
        return SearchState(planned, "failed", str(error))
    if view is None or not view.config:
        return SearchState(planned, "waiting")
    # Compare the settings that it was started with
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
            f"{planned.run_dir} holds a search with other settings: {'; '.join(differences)}. Choose another name for "
            "the sweep (--name), or move that folder away"
        )
    return of_view(planned, view)


_LLM_MATTERS = ("llm.model", "llm.models", "llm.temperature", "llm.max_tokens")


def _may_differ(key: str, wanted: Any) -> bool:
    """Return whether a setting may change without changing what the search finds."""
    # Old runs stored what "auto" chose
    if key in ("sim", "device"):
        return wanted == "auto"
    return (
        key == "threads"
        or key.startswith(("budget.", "tracking."))
        or (key.startswith("llm.") and key not in _LLM_MATTERS and not key.startswith("llm.extra"))
    )


def _plain(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _plain(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def _view(run_dir: Path) -> RunView | None:
    """Read a run; None if it has not begun."""
    return read(run_dir) if (run_dir / FILE_NAME).is_file() else None
