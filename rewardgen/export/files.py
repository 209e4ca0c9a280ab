"""Writes the files of an export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from rewardgen import files
from rewardgen.errors import RewardgenError
from rewardgen.export.carry import CannotCarry, Carried, carry_state
from rewardgen.program import STATE_METHODS, standalone
from rewardgen.records import Evaluation, Form, RewardProgram
from rewardgen.tasks import Task

NO_REWARD: Mapping[Form, str] = {
    "progress": "the components are measures of progress, and training pays for values that were seldom reached",
    "factors": "the components are factors, from which a network learns in training what to pay",
}


@dataclass(frozen=True)
class Origin:
    """What the README tells of where an export comes from; empty where it is not known."""

    run: str = ""
    candidate: str = ""
    author: str = ""
    scores: Mapping[str, Evaluation | None] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    form: Form = "reward"
    """What the program returns; what is no reward cannot be trained with outside of rewardgen."""


@dataclass(frozen=True)
class Exported:
    """Where everything went; None for what there was no ground for. ``note`` says why there is no wrapper."""

    folder: Path
    reward: Path
    wrapper: Path | None
    policy: Path | None
    policy_code: Path | None
    readme: Path
    note: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        every = (self.reward, self.wrapper, self.policy, self.policy_code, self.readme)
        return tuple(path for path in every if path is not None)


def export(
    program: RewardProgram,
    weights: bytes | None,
    task: Task,
    out_dir: Path,
    *,
    origin: Origin | None = None,
) -> Exported:
    """Write ``program`` and, if there is one, the policy of ``weights`` (safetensors bytes) for ``task``.

    Args:
        out_dir: is made if need be; files of the same names in it are replaced.
        origin: what the README tells of where they come from.

    Raises:
        RewardgenError: the folder cannot be written to.
    """
    origin = origin or Origin()
    carried, note = _carried(task) if origin.form == "reward" else (None, NO_REWARD[origin.form])
    facts: dict[str, Any] = {
        "task": task,
        "layout": task.layout,
        "origin": origin,
        "carried": carried,
        "note": note,
        "has_policy": weights is not None,
        "state_methods": STATE_METHODS,
        "own_state": "class State" not in program.source,
    }
    said = f"# No reward: {NO_REWARD[origin.form]}.\n" if origin.form != "reward" else ""
    texts = {"reward.py": said + standalone(program).rstrip("\n") + "\n\n\n" + _render("state.py.j2", **facts)}
    if carried is not None:
        texts["wrapper.py"] = _render("wrapper.py.j2", **facts)
    if weights is not None:
        texts["policy.py"] = _render("policy.py.j2", **facts)
    texts["README.md"] = _render("README.md.j2", **facts)
    content = {name: text.encode() for name, text in texts.items()}
    if weights is not None:
        content["policy.safetensors"] = weights
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, data in content.items():
            files.write_bytes(out_dir / name, data)
    except OSError as error:
        raise RewardgenError(f"cannot write to {out_dir}: {error}; name another folder or make room") from error

    def place(name: str) -> Path | None:
        return out_dir / name if name in content else None

    return Exported(
        folder=out_dir,
        reward=out_dir / "reward.py",
        wrapper=place("wrapper.py"),
        policy=place("policy.safetensors"),
        policy_code=place("policy.py"),
        readme=out_dir / "README.md",
        note=note,
    )


def _carried(task: Task) -> tuple[Carried | None, str]:
    if task.gymnasium_id is None:
        return None, f"no Gymnasium environment matches {task.name}"
    try:
        return carry_state(task), ""
    except CannotCarry as reason:
        return None, f"the state of {task.name} cannot be computed outside rewardgen: {reason}"


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values).strip() + "\n"


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Python and Markdown, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )
