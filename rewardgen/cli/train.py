"""``rewardgen train``: train with one reward, without a search."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rewardgen.cli.check import read_source
from rewardgen.cli.flags import SettingFlag, given
from rewardgen.cli.options import Device, Envs, Json, Physics, SandboxLevel, folders
from rewardgen.cli.output import note, print_json, show, table, write
from rewardgen.cli.settings import Set, parse_assignments
from rewardgen.errors import RewardgenError

if TYPE_CHECKING:
    from rewardgen.config import Config
    from rewardgen.records import Checkpoint, TrainingResult
    from rewardgen.sim import Arrangement
    from rewardgen.tasks import Task
    from rewardgen.tracking import Tracking
    from rewardgen.training import Watcher


def train(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task's name, such as cheetah/run.")],
    reward: Annotated[
        str, typer.Option("--reward", "-r", metavar="expert|sparse|FILE", help="The reward to train with.")
    ] = "expert",
    steps: Annotated[int | None, SettingFlag("training.steps")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=64, help="Number of seeds; they train together.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    threads: Annotated[int | None, SettingFlag("threads")] = None,
    sim: Physics = None,
    device: Device = None,
    trainer: Annotated[str | None, SettingFlag("training.trainer")] = None,
    sandbox: SandboxLevel = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="A YAML file of settings.")] = None,
    assignments: Set = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Write the best policy to this file.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="DIR", help="Write TensorBoard files to this folder.")
    ] = None,
    envs: Envs = None,
    json: Json = False,
) -> None:
    """Train policies on a task with one reward and print the learning curve of the fitness."""
    flags = given(train, locals())
    from rewardgen.config import load
    from rewardgen.search import resolve
    from rewardgen.tasks import EnvironmentTask, load_task
    from rewardgen.training import arrangement_of

    # Settings: the task's own, the file's, the flags'
    loaded = load_task(task, folders(envs))
    fixed = {"task": task, "seed": seed, "search.seeds": seeds}
    overrides = {**parse_assignments(assignments), **flags, **fixed}
    settings = load(config, overrides, task_defaults=dict(loaded.training))
    arrangement = arrangement_of(settings, loaded)
    resolved = resolve(settings, loaded, arrangement=arrangement)
    settings = resolved.config
    if not json:
        note(f"{arrangement} ({arrangement.why})")
        for change in resolved.changes:
            if change.setting.startswith("training."):  # no other section matters without a search
                note(str(change))
    # Train
    with _tracking(log, reward, settings) as tracking:
        results = _train(loaded, reward, settings, arrangement, tracking, quiet=json)

    # Save the best policy
    best = max((r for r in results if r.score == r.score), key=lambda r: r.score, default=None)
    if save is not None and best is not None and best.weights is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_bytes(best.weights)
    # Fail if nothing was learned, print the curves otherwise
    failed = [result for result in results if result.status == "failed"]
    if len(failed) == len(results):
        raise RewardgenError(f"every training failed: {failed[0].message}")
    points = [point for result in results for point in result.curve]
    diverged = _diverged(points)
    if json:
        print_json(
            {
                "task": task,
                "reward": reward,
                "arrangement": str(arrangement),
                "config": settings.training,
                "trainings": results,
                "episodes_diverged": diverged,
                "saved": save,
            }
        )
        return
    for result in results:
        _print_curve(loaded, result)
    if diverged:
        played = sum(point.episodes for point in points)
        why = (
            "the simulation diverged (a number became NaN or huge); check units and actuators, or make the timestep "
            "smaller"
        )
        if isinstance(loaded, EnvironmentTask):
            why = f"{loaded.model.id} gave an observation, reward or info that is NaN or infinite; correct its step()"
        note(f"warning: {diverged} of {played} episodes at the checkpoints ended because {why}")
    if save is not None and best is not None:
        write(f"the best policy is in {save}")


def _tracking(folder: Path | None, reward: str, settings: Config) -> Tracking:
    """Return the trackers that the settings name; none without a folder for their files."""
    from rewardgen.tracking import Subject, Tracking

    facts = {"task": settings.task, "reward": Path(reward).stem, **settings.training.model_dump(mode="json")}
    subject = Subject(f"{settings.task} {Path(reward).stem}", uuid.uuid4().hex, folder or Path(), facts)
    return Tracking(settings.tracking if folder is not None else (), subject, note)


def _train(
    task: Task, reward: str, settings: Config, arrangement: Arrangement, tracking: Tracking, *, quiet: bool
) -> list[TrainingResult]:
    from rewardgen.program import check
    from rewardgen.records import RewardProgram
    from rewardgen.sandbox import Sandbox, SandboxLimits
    from rewardgen.training import Reward, TrainingSetup, TrainingSpec, make_trainer, task_rewards

    # A reward of the task's own, or a program that runs in the sandbox
    training_reward: RewardProgram | Reward
    sandbox = None
    with ExitStack() as stack:
        if reward in ("expert", "sparse"):
            training_reward = task_rewards(task)[reward]
        else:
            training_reward = check(read_source(Path(reward)), task.layout)
            limits = settings.sandbox
            sandbox = stack.enter_context(
                Sandbox(SandboxLimits(limits.call_seconds, limits.program_seconds, limits.memory_gb), limits.level)
            )
            if limits.level == "basic" and sandbox.notice:
                note(f"warning: {sandbox.notice}")
        # One training per seed
        trainer = make_trainer(TrainingSetup(task, settings, arrangement, sandbox))
        specs = [
            TrainingSpec(reward, settings.seed + number, training_reward) for number in range(settings.search.seeds)
        ]
        watcher = _make_watcher(task, settings, Path(reward).stem, tracking, quiet=quiet)
        return trainer.train(specs, watcher)


def _make_watcher(task: Task, settings: Config, name: str, tracking: Tracking, *, quiet: bool) -> Watcher:
    """Return a watcher that feeds the trackers, and prints each checkpoint and, every few seconds, the progress."""
    from rewardgen.training import Watcher

    interval = 5.0  # s
    total = settings.training.steps * settings.search.seeds

    class CurvePrinter(Watcher):
        """Prints checkpoints and progress, and passes them to the trackers."""

        def __init__(self) -> None:
            self._began = self._last_note = time.monotonic()

        def begin(self, members: Sequence[tuple[str, int]]) -> None:
            """Tell the trackers which seeds train."""
            tracking.begin((name, seed) for _, seed in members)

        def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
            """Print a checkpoint."""
            tracking.point(name, seed, point)
            if not quiet:
                note(f"seed {seed}: {point.steps:,} steps, fitness {point.fitness:.3g} {task.fitness_unit}")

        def progress(self, steps: int) -> None:
            """Print steps, speed and the time left, if the last time was long enough ago."""
            now = time.monotonic()
            if quiet or now - self._last_note < interval:
                return
            self._last_note = now
            rate = steps / (now - self._began)
            note(f"{steps:,} of {total:,} steps, {rate:,.0f} a second, about {(total - steps) / rate:,.0f} s left")

        def note(self, message: str) -> None:
            """Print a remark of the trainer."""
            if not quiet:
                note(message)

    return CurvePrinter()


def _diverged(points: Sequence[Checkpoint]) -> int:
    """Return how many of the checkpoints' episodes ended because the simulation diverged."""
    from rewardgen.tasks import DIVERGED

    return sum(round(point.causes.get(DIVERGED, 0.0) * point.episodes) for point in points)


def _print_curve(task: Task, result: Any) -> None:
    """Print a training's checkpoints as a table."""
    write(f"seed {result.seed}: {result.status}" + (f", {result.message}" if result.message else ""), style="bold")
    listing = table(
        "steps", f"fitness ({task.fitness_unit})", "success", "length", "own return",
        right=("steps", f"fitness ({task.fitness_unit})", "success", "length", "own return"),
    )  # fmt: skip
    for point in result.curve:
        listing.add_row(
            f"{point.steps:,}",
            f"{point.fitness:.3g} ± {point.fitness_std:.2g}",
            f"{point.success_rate:.0%}",
            f"{point.episode_length:.0f}",
            f"{point.own_return:.4g}",
        )
    show(listing)
    write(f"{result.steps:,} steps in {result.seconds:.1f} s")
