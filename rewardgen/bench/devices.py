"""Which arrangement of physics and learning is fastest here: rates by number of worlds, and where the time is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from rewardgen.config import TrainingConfig
from rewardgen.errors import OutOfMemory, SimulationFailed, UsageError
from rewardgen.program import check
from rewardgen.sandbox import Sandbox
from rewardgen.sim import Arrangement, arrange
from rewardgen.tasks import Task
from rewardgen.training import Member, Timings, label_rows, train
from rewardgen.training.timings import TimedSteps

WORLDS = (1024, 4096, 16384, 65536)
_PARTS = ("rollout", "labels", "learning")
_SECONDS = 1.0  # min. duration of a measurement of physics
_WARM = 3  # control steps, and updates, that are not counted: kernels are compiled, buffers made, graphs captured


def measure_devices(
    task: Task,
    config: TrainingConfig | None = None,
    *,
    sim: str = "auto",
    device: str = "auto",
    worlds: Sequence[int] = WORLDS,
    candidates: int = 16,
    updates: int = 5,
    max_seconds: float = 60.0,
    threads: int = 0,
    on_progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure physics alone and the training of ``candidates`` rewards in every arrangement on this machine.

    Rates are environment steps (control steps of one world) a second of wall clock, over all worlds and candidates.
    Each candidate is a program in the sandbox. Checkpoints are not counted.

    Args:
        config: the training settings, except for the number of worlds; default: the task's own.
        sim: "mujoco" or "warp" for arrangements with only that simulator.
        device: "auto": all devices; "cpu": the CPU, which then also runs what is written for GPUs; "cuda" or "cuda:N":
        that GPU, and MuJoCo on the CPU for comparison.
        worlds: total numbers of worlds, of all candidates together.
        candidates: number of rewards that train together.
        updates: number of rollouts and updates that are timed.
        max_seconds: a training is skipped (its figures are None) if its updates would take longer than this, in s, by
        the rate of physics alone.
        threads: CPU threads; 0: all.
        on_progress: called with what is being measured next.

    Returns:
        ``rows``, one for each arrangement and number of worlds: ``arrangement``, ``worlds``, ``physics_steps_per_s``,
        ``train_steps_per_s`` and the shares ``rollout``, ``labels`` and ``learning`` of its time, and ``message`` where
        something could not be measured. ``fastest``, the row with the highest rate of training (None: there is none).
        For that row, ``alone_steps_per_s``, the rate of one of its candidates by itself, with as many worlds as it has
        among the others, and ``together``, by how much all of them together are faster than one after another.

    Raises:
        ConfigError: the requested simulator or device is not available here.
        UsageError: a number is not positive, or there are fewer worlds than candidates.
    """
    if candidates < 1 or updates < 1 or not worlds or min(worlds) < candidates:
        raise UsageError("a benchmark needs a candidate, an update, and at least one world for each candidate")
    config = config or TrainingConfig.model_validate(dict(task.training))
    report = on_progress or (lambda _: None)
    rows: list[dict[str, Any]] = []
    places = arrangements(sim, device)
    # Measure everything
    for place in places:
        for count in worlds:
            report(f"{count:,} worlds, {place}")
            rows.append(_row(task, config, place, count, candidates, updates, max_seconds, threads))
    # Compare the fastest with its candidates one after another
    measured = [row for row in rows if row["train_steps_per_s"] is not None]
    fastest = max(measured, key=lambda row: row["train_steps_per_s"], default=None)
    result: dict[str, Any] = {"task": task.name, "candidates": candidates, "updates": updates, "rows": rows}
    result |= {"fastest": fastest, "alone_steps_per_s": None, "together": None}
    if fastest is not None:
        place = next(place for place in places if str(place) == fastest["arrangement"])
        report(f"one candidate by itself, {place}")
        alone, _ = training_rate(
            task, _with_worlds(config, fastest["worlds"] // candidates), place, 1, updates, threads
        )
        result |= {"alone_steps_per_s": alone, "together": fastest["train_steps_per_s"] / alone}
    return result


def arrangements(sim: str = "auto", device: str = "auto") -> list[Arrangement]:
    """Return what ``measure_devices`` compares; first the arrangement that a run with these settings would choose.

    Raises:
        ConfigError: the requested simulator or device is not available here.
    """
    chosen = arrange(sim, device)
    wanted = [(chosen.sim, str(chosen.device))]
    if sim in ("auto", "mujoco"):
        wanted += [("mujoco", str(chosen.device)), ("mujoco", "cpu")]
    if sim == "auto" and device == "cpu":
        wanted.append(("warp", "cpu"))
    available: list[Arrangement] = []
    for kind, where in dict.fromkeys(wanted):
        try:
            available.append(arrange(kind, where))
        except UsageError:  # mujoco_warp is not installed, and was not requested
            continue
    return available


def physics_rate(task: Task, place: Arrangement, worlds: int, threads: int = 0) -> float:
    """Return control steps per second of the simulator alone, under random commands in the actuators' range."""
    sim = place.simulator(task.model, worlds, threads)
    ranges = torch.as_tensor(task.model.actuator_ctrlrange, dtype=sim.field("ctrl").dtype)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(_WARM, worlds, len(ranges), generator=generator, dtype=ranges.dtype)
    commands = (ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * drawn).to(sim.device)
    done, began = 0, 0.0
    for command in commands:
        sim.step(command, task.frame_skip)
    _wait(place)
    began = time.perf_counter()
    while time.perf_counter() - began < _SECONDS:
        for command in commands:
            sim.step(command, task.frame_skip)
        _wait(place)
        done += len(commands)
    return done * worlds / (time.perf_counter() - began)


def training_rate(
    task: Task, config: TrainingConfig, place: Arrangement, candidates: int, updates: int, threads: int = 0
) -> tuple[float, dict[str, float]]:
    """Return environment steps per second of training ``candidates`` programs together, and the shares of its parts."""
    steps = config.worlds * config.rollout * (_WARM + updates)
    short = config.model_copy(update={"steps": steps, "checkpoints": 1, "score_episodes": 0})
    timings = Timings(exact=True)
    marks = TimedSteps(timings)

    # Train for a short while
    with Sandbox() as sandbox, ExitStack() as workers:
        members = []
        for number in range(candidates):
            program = check(_program(task, number), task.layout)
            rows = label_rows(config)
            worker = sandbox.open(program, task.layout, task.action_size, rows)
            workers.callback(worker.close)
            members.append(Member(f"bench{number}", number, worker))
        results = train(task, members, short, threads=threads, arrangement=place, watcher=marks, timings=timings)
    failed = [result.message for result in results if result.status == "failed"]
    if failed:
        raise UsageError(f"the benchmark's rewards failed on {task.name}: {failed[0]}")
    # Time between the first and the last counted update, without checkpoints
    first, last = marks.updates[_WARM - 1], marks.updates[-1]
    spent = {part: last[2][part] - first[2][part] for part in _PARTS}
    seconds = last[0] - first[0] - (last[2]["checkpoints"] - first[2]["checkpoints"])
    return (last[1] - first[1]) / seconds, {part: taken / seconds for part, taken in spent.items()}


def _row(
    task: Task,
    config: TrainingConfig,
    place: Arrangement,
    worlds: int,
    candidates: int,
    updates: int,
    max_seconds: float,
    threads: int,
) -> dict[str, Any]:
    """Measure one arrangement with one number of worlds."""
    row: dict[str, Any] = {"arrangement": str(place), "worlds": worlds, "physics_steps_per_s": None}
    row |= {"train_steps_per_s": None, **dict.fromkeys(_PARTS), "message": ""}
    try:
        row["physics_steps_per_s"] = rate = physics_rate(task, place, worlds, threads)
        if worlds * config.rollout * (_WARM + updates) / rate > max_seconds:
            row["message"] = f"its updates would take more than {max_seconds:g} s"
            return row
        each = _with_worlds(config, worlds // candidates)
        row["train_steps_per_s"], shares = training_rate(task, each, place, candidates, updates, threads)
        row |= shares
    except (SimulationFailed, OutOfMemory) as error:
        row["message"] = str(error)
    return row


def _with_worlds(config: TrainingConfig, worlds: int) -> TrainingConfig:
    """Return settings with a number of worlds."""
    return config.model_copy(update={"worlds": worlds})


def _wait(place: Arrangement) -> None:
    """Wait until the GPU is idle; CPU code has finished when it returns."""
    if place.physics_device.type == "cuda":
        torch.cuda.synchronize(place.physics_device)


def _program(task: Task, number: int) -> str:
    """Return a typical reward for any task: bounded terms of its fields, and the effort."""
    names = [field.name for field in task.fields]
    terms = [
        f'"{name}": torch.exp(-{0.1 * (number + 1):.1f} * next_state.{name}.reshape(len(action), -1).square().sum(-1))'
        for name in names
    ]
    return (
        "def compute_reward(state, action, next_state):\n"
        '    """Bounded terms of every field."""\n'
        f"    terms = {{{', '.join(terms)}}}\n"
        "    effort = -0.01 * action.square().sum(-1)\n"
        '    return sum(terms.values()) + effort, {**terms, "effort": effort}\n'
    )
