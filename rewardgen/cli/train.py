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
from rewardgen.cli.options import Device, Envs, Json, Physics, SandboxLevel, folders
from rewardgen.cli.output import note, print_json, show, table, write
from rewardgen.cli.settings import Set, parse_assignments, with_flags
from rewardgen.errors import RewardgenError

if TYPE_CHECKING:
    from rewardgen.config import Config
    from rewardgen.records import Checkpoint
    from rewardgen.sim import Arrangement
    from rewardgen.tasks import Task
    from rewardgen.tracking import Tracking


def train(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task's name, such as cheetah/run.")],
    reward: Annotated[
        str, typer.Option("--reward", "-r", metavar="expert|sparse|FILE", help="What to train with.")
    ] = "expert",
    steps: Annotated[int | None, typer.Option(min=1, help="Environment steps of each training.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=64, help="How many seeds, trained together.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    threads: Annotated[int | None, typer.Option(min=0, help="Processor threads; 0 is all.")] = None,
    sim: Physics = None,
    device: Device = None,
    trainer: Annotated[str | None, typer.Option(metavar="population|sb3", help="sb3 is the reference.")] = None,
    sandbox: SandboxLevel = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="A YAML file of settings.")] = None,
    assignments: Set = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Keep the best policy there.")] = None,
    log: Annotated[Path | None, typer.Option("--log", metavar="DIR", help="Keep TensorBoard files there.")] = None,
    envs: Envs = None,
    json: Json = False,
) -> None:
    """Train policies on a task with one reward and print the curve of the true fitness."""
    from rewardgen.config import load
    from rewardgen.tasks import EnvironmentTask, load_task
    from rewardgen.training import arrangement_of

    loaded = load_task(task, folders(envs))
    flags = {
        "training.steps": steps,
        "training.trainer": trainer,
        "threads": threads,
        "sim": sim,
        "device": device,
        "search.seeds": seeds,
        "sandbox.level": sandbox,
    }
    overrides = {**parse_assignments(assignments), **with_flags(flags), "task": task, "seed": seed}
    settings = load(config, overrides, task_defaults=dict(loaded.training))
    arrangement = arrangement_of(settings, loaded)
    if not json:
        note(f"{arrangement} ({arrangement.why})")
    with _tracking(log, reward, settings) as tracking:
        results = _train(loaded, reward, settings, arrangement, tracking, quiet=json)

    best = max((r for r in results if r.score == r.score), key=lambda r: r.score, default=None)
    if save is not None and best is not None and best.weights is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_bytes(best.weights)
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
    """The trackers that the settings name, if there is a folder for their files."""
    from rewardgen.tracking import Subject, Tracking

    facts = {"task": settings.task, "reward": Path(reward).stem, **settings.training.model_dump(mode="json")}
    subject = Subject(f"{settings.task} {Path(reward).stem}", uuid.uuid4().hex, folder or Path(), facts)
    return Tracking(settings.tracking if folder is not None else (), subject, note)


def _train(
    task: Task, reward: str, settings: Config, arrangement: Arrangement, tracking: Tracking, *, quiet: bool
) -> list[Any]:
    from rewardgen.program import check
    from rewardgen.sandbox import Sandbox, SandboxLimits
    from rewardgen.training import Member, Reward, TaskReward, label_rows, train, train_sb3

    training, first = settings.training, settings.seed
    shared: Reward
    with ExitStack() as stack:
        if reward in ("expert", "sparse"):
            function = task.expert_reward if reward == "expert" else task.sparse_reward
            shared = TaskReward(function, task.layout)
        else:
            program = check(read_source(Path(reward)), task.layout)
            limits = settings.sandbox
            sandbox = stack.enter_context(
                Sandbox(SandboxLimits(limits.call_seconds, limits.program_seconds, limits.memory_gb), limits.level)
            )
            if limits.level == "basic" and sandbox.notice:
                note(f"warning: {sandbox.notice}")
            members = 1 if training.trainer == "sb3" else settings.search.seeds
            capacity = label_rows(training, members)
            shared = sandbox.open(program, task.layout, task.action_size, capacity)
            stack.callback(shared.close)
        members_ = [Member(reward, first + number, shared) for number in range(settings.search.seeds)]
        report = None if quiet else _Progress(task, training.steps * len(members_))
        name = Path(reward).stem
        tracking.begin((name, member.seed) for member in members_)

        def on_checkpoint(key: str, seed: int, point: Checkpoint) -> None:
            tracking.point(name, seed, point)
            if report is not None:
                report.checkpoint(key, seed, point)

        callbacks: dict[str, Any] = {"on_checkpoint": on_checkpoint}
        if report is not None:
            callbacks["on_progress"] = report.progress
        if training.trainer == "sb3":
            return [train_sb3(task, member, training, threads=settings.threads, **callbacks) for member in members_]
        if report is not None:
            callbacks["on_note"] = note
        return list(train(task, members_, training, threads=settings.threads, arrangement=arrangement, **callbacks))


class _Progress:
    """Says at most every few seconds how far the training is; each checkpoint as it comes."""

    EVERY = 5.0  # s

    def __init__(self, task: Task, total: int) -> None:
        self._unit, self._total = task.fitness_unit, total
        self._began = self._said = time.monotonic()

    def progress(self, steps: int) -> None:
        now = time.monotonic()
        if now - self._said < self.EVERY:
            return
        self._said = now
        rate = steps / (now - self._began)
        left = (self._total - steps) / rate
        note(f"{steps:,} of {self._total:,} steps, {rate:,.0f} a second, about {left:,.0f} s left")

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        note(f"seed {seed}: {point.steps:,} steps, fitness {point.fitness:.3g} {self._unit}")


def _diverged(points: Sequence[Checkpoint]) -> int:
    """How many of the checkpoints' episodes ended because the simulation diverged."""
    from rewardgen.tasks import DIVERGED

    return sum(round(point.causes.get(DIVERGED, 0.0) * point.episodes) for point in points)


def _print_curve(task: Task, result: Any) -> None:
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
