"""A Markdown page on tasks: what each is, and what the rewards reach that people wrote for it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from rewardgen.config import Config
from rewardgen.errors import SimulationFailed
from rewardgen.records import Evaluation
from rewardgen.reflection import number, percent
from rewardgen.sim import make_simulator
from rewardgen.store import Baseline
from rewardgen.tasks import Task, Worlds

_SIZE = (240, 180)  # pixels, width and height of a picture
_COLOURS = 64  # of a picture's palette: small files, and enough for models of few colours
_STREAM = 0  # the start state that is drawn


@dataclass(frozen=True)
class Measured:
    """A task with the baselines of both of its rewards, measured with ``config``."""

    task: Task
    config: Config
    expert: Baseline
    sparse: Baseline


def write_task_page(measured: Sequence[Measured], path: Path) -> Path:
    """Write the page to ``path`` and the tasks' pictures to the folder of its name beside it.

    Where this machine cannot draw, the page has no pictures.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = path.parent / path.stem
    parts = [_head(), _table(measured), *(_section(each, pictures) for each in measured)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _head() -> str:
    return (
        "# Tasks\n\n"
        "What the expert's and the sparse reward of each task reach when they are trained exactly as a candidate is, "
        "with the task's own settings. Scores are the task's true fitness: the mean over fresh episodes of "
        "deterministic policies, with a bootstrap interval over training seeds and episodes. Trainings are short and "
        "seeds few, so intervals are wide where trainings of one reward differ. Made by `rewardgen baseline --page`."
    )


def _table(measured: Sequence[Measured]) -> str:
    lines = [
        "| task | group | expert's reward | success | sparse reward | success | seeds × steps |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in measured:
        task, expert, sparse = each.task, each.expert.evaluation, each.sparse.evaluation
        lines.append(
            f"| [{task.name}](#{_anchor(task.name)}) | {task.group} | {_score(expert)} {task.fitness_unit} "
            f"| {percent(expert.success_rate)} | {_score(sparse)} | {percent(sparse.success_rate)} "
            f"| {expert.seeds} × {each.config.training.steps:,} |"
        )
    return "\n".join(lines)


def _score(evaluation: Evaluation) -> str:
    return f"{number(evaluation.mean)} [{number(evaluation.low)}, {number(evaluation.high)}]"


def _section(measured: Measured, pictures: Path) -> str:
    task = measured.task
    fields = ["| field | shape | unit | meaning |", "|---|---|---|---|"]
    for field in task.layout.shown.fields:
        shape = ", ".join(["n", *map(str, field.shape)]) + ("" if field.shape else ",")
        fields.append(f"| `{field.name}` | ({shape}) | {field.unit} | {field.meaning} |")
    seconds = task.horizon * task.control_step
    low, high = task.fitness_range
    limits = f" It lies between {low:g} and {high:g}." if low > float("-inf") and high < float("inf") else ""
    picture = _picture(task, pictures)
    return "\n\n".join(
        [
            f"## {task.name}",
            *([f"![{task.name}, at the start of an episode]({pictures.name}/{picture.name})"] if picture else []),
            " ".join(task.description.split()),
            f"- Fitness: {task.fitness_meaning}, in {task.fitness_unit}; success from {task.success_threshold:g}."
            f"{limits}\n"
            f"- Episode: at most {task.horizon} control steps ({seconds:g} s), {task.action_size} actions.\n"
            f"- Expert's reward: {task.expert_source}.",
            "\n".join(fields),
        ]
    )


def _picture(task: Task, folder: Path) -> Path | None:
    """The first moment of an episode as a PNG file; None where this machine cannot draw."""
    sim = make_simulator(task.model, 1, threads=1)
    Worlds(task, sim, torch.tensor([_STREAM])).start()
    try:
        picture = sim.render(0, *_SIZE)
    except SimulationFailed:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task.name.replace('/', '_')}.png"
    buffer = io.BytesIO()
    Image.fromarray(picture).quantize(_COLOURS).save(buffer, "PNG", optimize=True)
    path.write_bytes(buffer.getvalue())
    return path


def _anchor(name: str) -> str:
    """How a heading is linked to: its letters, digits, hyphens and underscores."""
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter in "-_")
