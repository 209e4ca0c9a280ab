"""How well trainings learn: the expert's reward, many seeds, compared with Stable-Baselines3's PPO at equal steps.

Each task, trainer and seed has its own file of curves, and what is stored is not trained again: an interrupted
comparison continues where it stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Generator

from rewardgen.bench import reference
from rewardgen.bench.storage import folder_name, mark_of, read_record, same_settings, settings_of, write_record
from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.evaluation import interval
from rewardgen.records import TrainingResult
from rewardgen.tasks import Task
from rewardgen.training import Member, TaskReward, train, train_sb3

TRAINERS = {
    "population": "rewardgen: one population of all seeds",
    "sb3-matched": "Stable-Baselines3's PPO with the same settings on the same batch of worlds",
    "sb3": "Stable-Baselines3's PPO with its defaults on the matching Gymnasium environment",
}
"""The trainers that can be compared. The first is ours, the others are references."""

_CONFIDENCE, _RESAMPLES = 0.95, 2000

OnProgress = Callable[[str], None]


@dataclass(frozen=True)
class Curve:
    """Mean returns of the expert's reward over whole deterministic episodes: ``points`` of (steps, return)."""

    task: str
    trainer: str
    seed: int
    settings: dict[str, Any]
    points: tuple[tuple[int, float], ...]
    seconds: float


@dataclass(frozen=True)
class Point:
    """The seeds of one trainer at one checkpoint: their mean and its 95 % interval."""

    steps: int
    mean: float
    low: float
    high: float
    seeds: int


def curves(
    task: Task,
    trainer: str,
    seeds: Sequence[int],
    config: TrainingConfig,
    folder: Path,
    *,
    threads: int = 0,
    on_progress: OnProgress | None = None,
) -> list[Curve]:
    """Return the curves of ``trainer`` on ``task``, one for each of ``seeds``: read from ``folder``, or trained there.

    A stored curve counts if it was made with the same settings and is long enough.

    Raises:
        UsageError: there is no such trainer, no Gymnasium environment for it, or a training failed.
    """
    if trainer not in TRAINERS:
        raise UsageError(f"there is no trainer {trainer!r} to compare; choose from: {', '.join(TRAINERS)}")
    if trainer == "sb3" and task.gymnasium_id is None:
        raise UsageError(f"{task.name} has no matching Gymnasium environment for Stable-Baselines3 to train on")
    settings = _settings(trainer, config)
    # Stable-Baselines3's defaults do not depend on our settings
    mark = mark_of(TrainingConfig() if trainer == "sb3" else config)
    task_folder = folder / folder_name(task.name) / f"{trainer}-{mark}"
    # Read what is stored
    paths = {seed: task_folder / f"{seed}.json" for seed in seeds}
    stored = {seed: read_record(path, Curve) for seed, path in paths.items()}
    by_seed = {seed: curve for seed, curve in stored.items() if curve and _covers(curve, settings, config.steps)}
    missing = [seed for seed in seeds if seed not in by_seed]
    report = on_progress or (lambda _: None)
    if missing:
        report(f"{task.name}, {trainer}: {len(missing)} of {len(seeds)} seeds to train for {config.steps:,} steps")
    # A population trains all seeds together, the others one after another
    for batch in [missing] if trainer == "population" and missing else [[seed] for seed in missing]:
        for curve in _train(task, trainer, batch, config, settings, threads):
            by_seed[curve.seed] = curve
            write_record(paths[curve.seed], curve)
            report(
                f"{task.name}, {trainer}, seed {curve.seed}: {curve.points[-1][1]:.0f} after {curve.points[-1][0]:,}"
            )
    return [by_seed[seed] for seed in seeds]


def points(curves_: Sequence[Curve], steps: int) -> list[Point]:
    """Return the mean over seeds and its interval at every checkpoint up to ``steps`` that all curves have.

    A trainer has its checkpoints after the first update that passes an even share of the steps, so the steps of a point
    are those of its first curve, and differ by less than one rollout between trainers.
    """
    joined = []
    for row in zip(*(curve.points for curve in curves_), strict=False):
        values = [value for _, value in row]
        low, high = interval([[value] for value in values], _CONFIDENCE, _RESAMPLES, Generator().manual_seed(0))
        joined.append(Point(row[0][0], math.fsum(values) / len(values), low, high, len(values)))
    return [point for point in joined if point.steps < 1.02 * steps]


def compare(ours: Sequence[Point], theirs: Sequence[Point]) -> list[dict[str, Any]]:
    """Return both at every checkpoint that both have, and whether our mean lies ``below`` their interval."""
    return [
        {
            "steps": our_point.steps,
            "ours": asdict(our_point),
            "theirs": asdict(their_point),
            "below": our_point.mean < their_point.low,
        }
        for our_point, their_point in zip(ours, theirs, strict=False)
    ]


def measure_learning(
    tasks: Sequence[Task],
    configs: Sequence[TrainingConfig],
    trainers: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    *,
    threads: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train or read all curves, and compare ours with the others.

    Returns:
        task → ``points`` by trainer, and ``against``: each other trainer → ``compare``'s rows.
    """
    result: dict[str, Any] = {}
    for task, config in zip(tasks, configs, strict=True):
        by_trainer = {
            trainer: points(
                curves(task, trainer, seeds, config, folder, threads=threads, on_progress=on_progress), config.steps
            )
            for trainer in trainers
        }
        ours = by_trainer.get("population", [])
        result[task.name] = {
            "points": {trainer: [asdict(point) for point in points_] for trainer, points_ in by_trainer.items()},
            "against": {
                trainer: compare(ours, points_) for trainer, points_ in by_trainer.items() if trainer != "population"
            },
        }
    return result


def _settings(trainer: str, config: TrainingConfig) -> dict[str, Any]:
    """Return what a curve depends on besides its task and seed."""
    if trainer == "sb3":  # its defaults ignore our settings, and do not depend on the total number of steps
        return {"every": config.steps // config.checkpoints, "episodes": config.checkpoint_episodes}
    settings = settings_of(config)
    del settings["score_episodes"]  # a curve consists of checkpoints only
    return settings


def _train(
    task: Task, trainer: str, seeds: Sequence[int], config: TrainingConfig, settings: dict[str, Any], threads: int
) -> list[Curve]:
    """Train some seeds; return their curves."""
    reward = TaskReward(task.expert_reward, task.layout)
    config = config.model_copy(update={"score_episodes": 0})
    began = time.perf_counter()
    if trainer == "sb3":
        assert task.gymnasium_id is not None  # checked by curves
        (seed,) = seeds
        trace = reference.sb3_curve(task.gymnasium_id, seed, config.steps, **settings)
        return [Curve(task.name, trainer, seed, settings, trace, time.perf_counter() - began)]
    members = [Member("expert", seed, reward) for seed in seeds]
    if trainer == "population":
        results = train(task, members, config, threads=threads)
    else:
        results = [train_sb3(task, member, config, threads=threads) for member in members]
    return [_curve(task, trainer, result, settings) for result in results]


def _curve(task: Task, trainer: str, result: TrainingResult, settings: dict[str, Any]) -> Curve:
    """Return the curve of a training."""
    if result.status != "done":
        raise UsageError(f"{task.name}, {trainer}, seed {result.seed}: the training failed: {result.message}")
    trace = tuple((point.steps, point.own_return) for point in result.curve)
    return Curve(task.name, trainer, result.seed, settings, trace, result.seconds)


def _covers(curve: Curve, settings: dict[str, Any], steps: int) -> bool:
    """Return whether a stored curve was made with the same settings and is long enough."""
    return same_settings(curve.settings, settings) and bool(curve.points) and curve.points[-1][0] >= steps
