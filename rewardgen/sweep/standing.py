"""Where a sweep's searches stand, from their stores: also while it runs, and wherever it ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rewardgen.config import Config
from rewardgen.errors import ConfigError, StoreError
from rewardgen.records import Evaluation
from rewardgen.store import CostView, RunView, read
from rewardgen.store.database import FILE_NAME
from rewardgen.sweep.estimate import Amounts
from rewardgen.sweep.plan import Kept, Planned, read_plan

Status = Literal["waiting", "running", "interrupted", "failed", "finished"]


@dataclass(frozen=True)
class Standing:
    """One search: ``score`` is the found reward's reported score, None before there is one."""

    planned: Planned
    status: Status
    message: str = ""
    score: Evaluation | None = None
    unit: str = ""
    cost: CostView | None = None

    @property
    def spent(self) -> Amounts:
        if self.cost is None:
            return Amounts()
        cost = self.cost
        tokens = cost.prompt_tokens + cost.completion_tokens
        return Amounts(0, cost.steps, cost.calls, tokens, cost.dollars, cost.seconds / 3600)


def standing(planned: Planned) -> Standing:
    """Where one search stands.

    Raises:
        StoreError: its store cannot be read.
    """
    view = _view(planned.run_dir)
    return Standing(planned, "waiting") if view is None else of_view(planned, view)


def of_view(planned: Planned, view: RunView) -> Standing:
    final = view.final("winner")
    return Standing(
        planned,
        view.status,
        view.message,
        final.evaluation if final is not None else None,
        str(view.task.get("fitness_unit", "")),
        view.cost,
    )


def sweep_standing(folder: Path) -> tuple[Kept, list[Standing]]:
    """The sweep in ``folder`` and where each of its searches stands. A store that cannot be read counts as failed.

    Raises:
        StoreError: there is no sweep.
    """
    kept = read_plan(folder)
    found = []
    for planned in kept.searches:
        try:
            found.append(standing(planned))
        except StoreError as error:
            found.append(Standing(planned, "failed", str(error)))
    return kept, found


def check_same(planned: Planned) -> None:
    """Whether what lies in the search's folder is this very search.

    Raises:
        ConfigError: it was begun with other settings; the message names them.
        StoreError: its store cannot be read.
    """
    view = _view(planned.run_dir)
    if view is None or not view.config:
        return
    began = _plain(Config.model_validate({"sim": "mujoco", "device": "cpu", **view.config}).model_dump(mode="json"))
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


_LLM_MATTERS = ("llm.model", "llm.temperature", "llm.max_tokens")


def _may_differ(key: str, wanted: Any) -> bool:
    """Settings that change nothing that a search comes to, or that it settled itself."""
    if key in ("sim", "device"):
        return wanted == "auto"
    return key == "threads" or key.startswith("budget.") or (key.startswith("llm.") and key not in _LLM_MATTERS)


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
