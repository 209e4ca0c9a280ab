"""A Markdown page about tasks: what each of them is, and what its expert's and sparse reward reach."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from rewardgen.config import Config
from rewardgen.errors import SimulationFailed
from rewardgen.sim import make_simulator
from rewardgen.store import Baseline
from rewardgen.tasks import Task, Worlds
from rewardgen.text import number, percent

_SIZE = (240, 180)  # pixels, width and height of a picture
_COLOURS = 64  # of a picture's palette: small files, and enough for models of few colours
_STREAM = 0  # index of the start state that is drawn


@dataclass(frozen=True)
class Measured:
    """A task with the baselines of its two rewards, measured with ``config``; None if there is none."""

    task: Task
    config: Config
    expert: Baseline | None
    sparse: Baseline | None

    @property
    def baselines(self) -> tuple[Baseline, ...]:
        """The baselines that were measured."""
        return tuple(baseline for baseline in (self.expert, self.sparse) if baseline is not None)


def write_task_page(measured: Sequence[Measured], path: Path, versions: Mapping[str, str]) -> Path:
    """Write the page to ``path``, and the tasks' pictures to a folder of the same name next to it.

    If this machine cannot render, the page has no pictures.

    Args:
        versions: package → the version that produced the numbers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = path.parent / path.stem
    parts = [_head(measured, versions), _table(measured), *(_section(each, pictures) for each in measured)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _head(measured: Sequence[Measured], versions: Mapping[str, str]) -> str:
    """Return the introduction: how the numbers were measured, and what they do not tell."""
    parts = [
        "# Tasks",
        "All tasks, and what the expert's and the sparse reward reach on each. Both are trained like a candidate of a "
        "search, with the task's own settings. Scores are the task's fitness: the mean over fresh episodes of "
        "deterministic policies, with a bootstrap interval over training seeds and episodes. "
        "`rewardgen baseline --page` generates this page.",
    ]
    # Say under which budgets the numbers were measured
    trained = [each for each in measured if each.baselines]
    if trained:
        budgets = sorted({_budget(each) for each in trained})
        packages = ", ".join(f"{name} {version}" for name, version in versions.items())
        parts.append(
            f"**These are short trainings**: {'; '.join(budgets)}. They show how far each reward gets in so few steps, "
            "not what it reaches in the end. With few seeds, intervals are wide where trainings of the same reward "
            "differ. For longer trainings, run `rewardgen baseline TASK --steps 1000000`. Measured with "
            f"{packages}."
        )
    missing = len(measured) - len(trained)
    if missing:
        parts.append(
            f"Of {len(measured)} tasks, {missing} have not been trained for this page; they are marked with –."
        )
    return "\n\n".join(parts)


def _budget(measured: Measured) -> str:
    """Return how much a task's baselines were trained."""
    training, evaluation = measured.config.training, measured.config.evaluation
    return (
        f"{training.steps:,} environment steps for each of {evaluation.report_seeds} seeds, the best of "
        f"{training.checkpoints} checkpoints, {evaluation.report_episodes} fresh episodes for each policy, "
        f"{evaluation.confidence:.0%} intervals"
    )


def _table(measured: Sequence[Measured]) -> str:
    """Return all tasks as one table."""
    lines = [
        "| task | group | unit | success at | expert's reward | success | sparse reward | success |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in measured:
        task = each.task
        scores = [cell for baseline in (each.expert, each.sparse) for cell in _cells(baseline)]
        cells = [f"[{task.name}](#{_anchor(task.name)})", task.group, task.fitness_unit]
        lines.append("| " + " | ".join([*cells, f"{task.success_threshold:g}", *scores]) + " |")
    return "\n".join(lines)


def _cells(baseline: Baseline | None) -> tuple[str, str]:
    """Return a score with its interval, and the success rate."""
    if baseline is None:
        return "–", "–"
    score = baseline.evaluation
    return f"{number(score.mean)} [{number(score.low)}, {number(score.high)}]", percent(score.success_rate)


def _section(measured: Measured, pictures: Path) -> str:
    """Return the section about one task."""
    task = measured.task
    # The fields that rewards may read
    fields = ["| field | shape | unit | meaning |", "|---|---|---|---|"]
    for field in task.layout.shown.fields:
        shape = ", ".join(["n", *map(str, field.shape)]) + ("" if field.shape else ",")
        fields.append(f"| `{field.name}` | ({shape}) | {field.unit} | {field.meaning} |")
    seconds = task.horizon * task.control_step
    low, high = task.fitness_range
    limits = f" Range: {low:g} to {high:g}." if low > float("-inf") and high < float("inf") else ""
    picture = _picture(task, pictures)
    return "\n\n".join(
        [
            f"## {task.name}",
            *([f"![{task.name}, at the start of an episode]({pictures.name}/{picture.name})"] if picture else []),
            " ".join(task.description.split()),
            f"- Fitness ({task.fitness_unit}): {task.fitness_meaning}; success at {task.success_threshold:g} or more."
            f"{limits}\n"
            f"- Episode: at most {task.horizon} control steps ({seconds:g} s), {task.action_size} actions.\n"
            f"- Expert's reward: {task.expert_source}.",
            "\n".join(fields),
        ]
    )


def draw_task(task: Task) -> bytes:
    """Return the first state of an episode as the content of a PNG file.

    Raises:
        SimulationFailed: this machine cannot render; the message says what to install.
    """
    sim = make_simulator(task.model, 1, threads=1)
    Worlds(task, sim, torch.tensor([_STREAM])).start()
    buffer = io.BytesIO()
    Image.fromarray(sim.render(0, *_SIZE)).quantize(_COLOURS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _picture(task: Task, folder: Path) -> Path | None:
    """Write the picture of a task to ``folder``; None if this machine cannot render."""
    try:
        content = draw_task(task)
    except SimulationFailed:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task.name.replace('/', '_')}.png"
    path.write_bytes(content)
    return path


def _anchor(name: str) -> str:
    """Return the anchor of a heading: its letters, digits, hyphens and underscores."""
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter in "-_")
