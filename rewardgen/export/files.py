"""Writes the files of an export."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import mujoco

from rewardgen import files
from rewardgen.errors import MissingPackage, RewardgenError
from rewardgen.export.carry import CannotCarry, carry
from rewardgen.export.onnx import to_onnx
from rewardgen.program import STATE_METHODS, standalone
from rewardgen.records import Evaluation, Form, RewardProgram
from rewardgen.sim import gymnasium_worker
from rewardgen.sim.binary import model_bytes
from rewardgen.sim.derived import keeps_current, keeps_post_constraint
from rewardgen.tasks import Task, random
from rewardgen.tasks.adapter import EnvironmentTask

NO_REWARD: Mapping[Form, str] = {
    "progress": "the components are measures of progress, and training pays for values that were seldom reached",
    "factors": "the components are factors, from which a network learns in training what to pay",
}

_ENVIRONMENT_METHODS = ("reset", "state", "observation", "terminations", "advance", "clip")
"""Methods of a task that an environment of its own calls."""


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
    """Paths of an export's files; None for a file that could not be made. ``notes`` say why."""

    folder: Path
    reward: Path
    environment: Path | None
    model: Path | None
    wrapper: Path | None
    policy: Path | None
    policy_code: Path | None
    onnx: Path | None
    readme: Path
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        every = (
            *(self.reward, self.environment, self.model, self.wrapper),
            *(self.policy, self.policy_code, self.onnx, self.readme),
        )
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
    actions = _actions(task)
    facts: dict[str, Any] = {
        "task": task,
        "layout": task.layout,
        "origin": origin,
        "state_methods": STATE_METHODS,
        "own_state": "class State" not in program.source,
        **actions,
    }
    said = f"# No reward: {NO_REWARD[origin.form]}.\n" if origin.form != "reward" else ""
    reward = said + standalone(program).rstrip("\n") + "\n\n\n" + _render("state.py.j2", **facts)
    content: dict[str, bytes] = {"reward.py": reward.encode()}
    notes: list[str] = []
    # Environments that pay the reward
    if origin.form != "reward":
        notes.append(f"There is no environment with this reward: {NO_REWARD[origin.form]}.")
    else:
        content |= _environments(task, facts, notes)
    # The policy
    if weights is not None:
        content["policy.safetensors"] = weights
        content["policy.py"] = _render("policy.py.j2", **facts).encode()
        try:
            name = task.name.replace("/", "_")
            content["policy.onnx"] = to_onnx(weights, actions["action_shape"], actions["action_start"], name)
        except MissingPackage as missing:
            notes.append(f"There is no policy.onnx: {missing}.")
    content["README.md"] = _render("README.md.j2", **facts, files=set(content), notes=notes).encode()
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
        environment=place("environment.py"),
        model=place("model.mjb"),
        wrapper=place("wrapper.py"),
        policy=place("policy.safetensors"),
        policy_code=place("policy.py"),
        onnx=place("policy.onnx"),
        readme=out_dir / "README.md",
        notes=tuple(notes),
    )


def _actions(task: Task) -> dict[str, Any]:
    """Range and form of the environment's own actions: what the templates and the ONNX model need."""
    about = task.about if isinstance(task, EnvironmentTask) else {}
    return {
        "action_low": task.action_low.tolist(),
        "action_high": task.action_high.tolist(),
        "action_shape": about.get("action_shape", [task.action_size]),
        "action_start": about.get("action_start", []),
        "render_fps": max(1, round(1.0 / task.control_step)),
    }


def _environments(task: Task, facts: Mapping[str, Any], notes: list[str]) -> dict[str, bytes]:
    """File name -> content of the environments that pay the reward; adds to ``notes`` what could not be made."""
    if isinstance(task, EnvironmentTask):
        fields = task.layout.shown.fields
        sources = [
            (field.name, source.path, source.start, source.stop)
            for field, source in zip(fields, task.sources, strict=False)
        ]
        wrapper = _render(
            "environment_wrapper.py.j2", **facts, spec=task.model, sources=sources, worker_source=_worker_source()
        )
        return {"wrapper.py": wrapper.encode()}
    content: dict[str, bytes] = {}
    try:
        carried = carry(task, *_ENVIRONMENT_METHODS)
        content["environment.py"] = _render(
            "environment.py.j2",
            **facts,
            carried=carried,
            mujoco_version=mujoco.__version__,
            keeps_current=keeps_current(task.model),
            keeps_post_constraint=keeps_post_constraint(task.model),
            random_source=_random_source(),
        ).encode()
        content["model.mjb"] = model_bytes(task.model)
    except CannotCarry as reason:
        content["environment.py"] = _render("environment_with_rewardgen.py.j2", **facts, reason=reason).encode()
        notes.append(f"environment.py needs rewardgen: the code of {task.name} cannot be copied, since {reason}.")
    if task.gymnasium_id is not None:
        try:
            state = carry(task, "state")
            content["wrapper.py"] = _render("wrapper.py.j2", **facts, carried=state).encode()
        except CannotCarry as reason:
            notes.append(f"There is no wrapper of {task.gymnasium_id}: the state cannot be computed outside: {reason}.")
    return content


@cache
def _random_source() -> str:
    """The generator of a task's ``reset`` as source, without its imports."""
    source = inspect.getsource(random)
    return source[source.index("_GOLDEN") :].strip()


@cache
def _worker_source() -> str:
    """How the process of an environment reads sources and actions, as source."""
    functions = (gymnasium_worker.options, gymnasium_worker.values)
    return "\n\n\n".join(inspect.getsource(each).strip() for each in functions)


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
