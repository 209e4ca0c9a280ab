"""Start a run, or resume one."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rewardgen import config as settings
from rewardgen.config import Config
from rewardgen.config.authors import OWN_DIALOG
from rewardgen.errors import ConfigError, RewardgenError, StoreError, UsageError
from rewardgen.llm import Budget, make_author
from rewardgen.llm.dialog import Dialog
from rewardgen.records import plain
from rewardgen.replay import check_shown
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.search import events
from rewardgen.search.events import Listener, silent
from rewardgen.search.judging import check_vision
from rewardgen.search.loop import NO_FURTHER, NO_REWARD, search
from rewardgen.search.method import Method, load_method
from rewardgen.search.services import Reporter, Services, Trials, WorkBudget
from rewardgen.search.settings import Resolved, resolve
from rewardgen.sim import Arrangement
from rewardgen.sim.machine import machine, versions
from rewardgen.store import BASELINES, Change, Growth, RunView, Store, read
from rewardgen.store.database import from_json, now, to_json
from rewardgen.tasks import Task, load_task, task_fault
from rewardgen.tracking import Subject, Tracking
from rewardgen.training import MakeTrainer, TrainingSetup, arrangement_of, make_trainer, save_folders

GENERATIONS = "search.generations"
REPLIES = ".replies"
"""The folder beside the runs that caches paid replies: the same request in another run is free."""


def run(
    config: Config,
    run_dir: Path,
    *,
    listener: Listener = silent,
    envs: Sequence[Path] = (),
    prompts_dir: Path | None = None,
    baselines: Path | None = None,
    remote: MakeTrainer | None = None,
) -> RunView:
    """Search for a reward in a new run.

    Args:
        config: all settings.
        run_dir: where the store and its artifacts go; must hold no run yet.
        listener: called with every event.
        envs: further folders of task files.
        prompts_dir: a folder of prompts that replace rewardgen's.
        baselines: the folder of baselines measured on this machine; by default beside the run.
        remote: makes a trainer on other machines, such as ``remote.RemoteTrainer``; None: train on this one.

    Returns:
        The finished run as the store holds it.

    Raises:
        UsageError: an unknown task or method, a wrong setting.
        LLMError, BudgetExceeded, StoreError, SandboxError: the run was interrupted; the store records why, and
            ``resume`` continues it.
    """
    task = load_task(config.task, envs)
    method = load_method(config.search.method)  # user errors are reported before anything is created
    arrangement = arrangement_of(config, task)
    resolved = resolve(config, task, method, arrangement)
    _check_ready(resolved.config, task, run_dir)
    # Record all that resume needs before any work is done
    with Store(run_dir, new=True) as store:
        store.set_meta(
            id=uuid.uuid4().hex,
            config=resolved.config.model_dump(mode="json"),
            given=config.model_dump(mode="json"),
            changes=plain(resolved.changes),
            method=method.model_dump(mode="json"),
            envs=[str(folder.resolve()) for folder in envs],
            prompts_dir=str(prompts_dir.resolve()) if prompts_dir else None,
            arrangement={"of": str(arrangement), "why": arrangement.why},
            baselines=os.path.relpath(baselines or run_dir.parent / BASELINES, run_dir),
            task=describe(task),
            machine=machine(),
            versions=versions(),
            created=now(),
            status="running",
            message="",
        )
        _work(store, resolved, task, method, listener, prompts_dir, arrangement, remote, resumed=False)
    return read(run_dir)


def resume(
    run_dir: Path,
    *,
    listener: Listener = silent,
    overrides: dict[str, Any] | None = None,
    remote: MakeTrainer | None = None,
) -> RunView:
    """Resume a run where it stopped; a finished one is only read, unless ``overrides`` ask for more generations.

    Args:
        overrides: dotted settings to change: ``search.generations`` (the new total), ``threads``, and those of the
            ``budget`` and ``llm`` sections. Any other would make the rest of the run a different experiment.
        remote: as for ``run``; may differ from what the run started with.

    Raises:
        StoreError: there is no run, a live process holds it, or a newer rewardgen wrote it.
        UsageError: the task's file is gone or wrong, or the run has finished more generations than are asked for.
    """
    overrides = overrides or {}
    with Store(run_dir) as store:
        stored = store.meta("config")
        if stored is None:
            raise StoreError(
                f"{run_dir} was stopped before its settings were kept; start it again with `rewardgen run`"
            )
        # Runs of versions without this setting were on the CPU
        stored = {"sim": "mujoco", "device": "cpu", **stored}
        config = settings.validate(Config, changed(stored, overrides), str(run_dir))
        folder, known = store.meta("prompts_dir"), store.meta("method")
        # The method as it was when the run started, even if its file has changed
        method = settings.validate(Method, known, str(run_dir)) if known else load_method(config.search.method)
        task = load_task(config.task, [Path(path) for path in store.meta("envs", [])])
        growth = _growth(store, stored["search"]["generations"], config) if GENERATIONS in overrides else None
        if store.meta("status") == "finished" and growth is None:
            return read(run_dir)
        # Fitness values of two versions of a task cannot be compared
        if describe(task) != store.meta("task"):
            raise StoreError(
                f"the task {config.task} has changed since {run_dir} began, so the rest would not belong to it; "
                "start a new run"
            )
        arrangement = replace(arrangement_of(config, task), why="as it began")
        values: dict[str, Any] = {"config": config.model_dump(mode="json"), "status": "running", "message": ""}
        if given := store.meta("given"):
            values["given"] = changed(given, overrides)
        if growth is not None:
            values["grown"] = [*store.meta("grown", []), plain(growth)]
        # A killed process may have left behind what it waited for
        values |= {key: None for key in ("waiting", "asking") if store.meta(key) is not None}
        store.reopen((NO_REWARD, NO_FURTHER) if growth is not None else (), **values)
        prompts_dir = Path(folder) if folder else None
        changes = from_json(to_json(store.meta("changes", [])), tuple[Change, ...])
        _work(store, Resolved(config, changes), task, method, listener, prompts_dir, arrangement, remote, resumed=True)
    return read(run_dir)


def _growth(store: Store, before: int, config: Config) -> Growth | None:
    """Return how the number of generations changes; None if the run has that many already, or is to have them.

    Raises:
        UsageError: the run has finished more generations, or cannot grow.
    """
    search, done = config.search, store.finished_generations()
    finished = store.meta("status") == "finished"
    if search.generations < (most := max(done.values(), default=0)):
        raise UsageError(
            f"{store.run_dir} has finished {most} generations, so it cannot end after {search.generations}; "
            f"give --generations {most + 1} or more to add some"
        )
    complete = all(done.get(restart, 0) == search.generations for restart in range(search.restarts))
    if complete if finished else search.generations == before:
        return None
    if search.restarts > 1 and search.judge != "fitness" and len(done) > 1:
        raise UsageError(
            f"{store.run_dir} has judged several restarts on one scale, so none of them can grow; start a new run"
        )
    score = store.evaluation("winner")
    winner = store.meta("winner") if finished else None
    return Growth(
        most if finished else before, search.generations, now(), winner, score.mean if score and winner else None
    )


def _check_ready(config: Config, task: Task, run_dir: Path) -> None:
    """Reject authors and judges that cannot be used, before a folder is created and anything is spent.

    Raises:
        ConfigError: see ``make_author`` and ``check_vision``.
        LLMError: the recording to be replayed cannot be used.
        SimulationFailed, ReplayError: people or a model judge replays, and none can be made.
    """
    budget = Budget.of(config.budget)
    make_author(
        config.llm,
        environ=os.environ,
        cache_dir=None,
        recording=None,
        budget=budget,
        on_warning=lambda warning: None,  # reported by the author that the run uses
        dialog=Dialog(run_dir / OWN_DIALOG),
    ).close()
    judging = config.search.judging
    if config.search.judge != "fitness" and judging.by == "vlm":
        check_vision(config, task)
    elif config.search.judge != "fitness" and judging.by == "people":
        check_shown(task)


def changed(config: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Apply dotted ``overrides`` to ``config``, only for settings that a resumed run may change.

    Raises:
        ConfigError: an override is of another setting.
    """
    # Copy, so that the given mapping is not changed
    values = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
    for dotted, value in overrides.items():
        section, _, key = dotted.partition(".")
        if dotted == "threads":  # the number of threads does not change results
            values[dotted] = value
            continue
        if dotted != GENERATIONS and (section not in ("budget", "llm") or not key):
            raise ConfigError(
                f"a resumed run cannot change {dotted!r}: only {GENERATIONS}, budget.*, llm.* and threads may differ; "
                "start a new run for it"
            )
        values.setdefault(section, {})[key] = value
    return values


def _work(
    store: Store,
    resolved: Resolved,
    task: Task,
    method: Method,
    listener: Listener,
    prompts_dir: Path | None,
    arrangement: Arrangement,
    remote: MakeTrainer | None,
    *,
    resumed: bool,
) -> None:
    config = resolved.config
    budget = WorkBudget(config.budget, lambda: int(store.spent()["steps"]), float(store.meta("seconds", 0.0)))
    limits = SandboxLimits(config.sandbox.call_seconds, config.sandbox.program_seconds, config.sandbox.memory_gb)
    warnings: list[str] = []
    notices: list[str] = []
    dialog = Dialog(store.run_dir / OWN_DIALOG)
    try:
        spending = _spending(config, store.spent())  # shared by author and judge: the limits are the run's
        make = partial(
            make_author,
            environ=os.environ,
            cache_dir=store.run_dir.parent / REPLIES,
            budget=spending,
            on_warning=warnings.append,
            on_notice=notices.append,
            run=str(store.meta("id")),
            jitter=f"{store.run_dir.name}/{config.seed}",
            dialog=dialog,
        )
        author = make(config.llm, recording=store.run_dir / "recording.jsonl")
        # A vision model as judge gets a client of its own, under the same spending limits
        viewer = None
        if config.search.judge != "fitness" and config.search.judging.by == "vlm":
            check_vision(config, task)  # before anything is spent on candidates that could not be shown
            viewer = make(
                config.llm.model_copy(update={"model": config.search.judging.model, "models": ()}), recording=None
            )
        store.set_meta(author=author.name)
        subject = _subject(store, config, method.name, author.name)
        with (
            Sandbox(limits, config.sandbox.level) as sandbox,
            Tracking(config.tracking, subject, warnings.append) as tracking,
        ):
            if notice := sandbox.notice:  # a machine that cannot be strict is refused here, before anything is spent
                warnings.append(notice)
            # Assemble what the search uses
            envs = tuple(Path(folder) for folder in store.meta("envs", []))
            saves = save_folders.for_run(store.run_dir, task, config, method.form)
            setup = TrainingSetup(task, config, arrangement, sandbox, method.form, envs, saves)
            reporter = Reporter(store, budget, listener, warnings, notices, dialog)
            services = Services(
                config=config,
                task=task,
                method=method,
                author=author,
                sandbox=sandbox,
                trainer=make_trainer(setup, remote),
                store=store,
                budget=budget,
                reporter=reporter,
                tracking=tracking,
                baselines=store.run_dir / store.meta("baselines", str(Path("..") / BASELINES)),
                trials=Trials(task, config, store),
                prompts_dir=prompts_dir,
                arrangement=arrangement,
                viewer=viewer,
            )
            reporter.say(
                events.RunStarted(
                    run=store.run_dir.name,
                    path=str(store.run_dir),
                    task=task.name,
                    author=author.name,
                    generations=config.search.generations,
                    candidates=config.search.candidates,
                    steps=config.training.steps,
                    offline=author.offline,
                    resumed=resumed,
                    arrangement=str(arrangement),
                    why=arrangement.why,
                    changes=tuple(
                        str(change) for change in resolved.changes if change.setting not in ("sim", "device")
                    ),
                )
            )
            # Search, then clean up: resume points are needed only until the run is finished
            search(services)
        reporter.warn_pending()  # warnings of trackers when they were closed
        save_folders.remove(store.run_dir)
        store.set_meta(status="finished", message="", seconds=round(budget.seconds, 3))
        reporter.say(events.RunFinished(store.meta("winner")))
    except BaseException as error:
        # An error in a user's task file is reported with its file and line
        fault = task_fault(error)
        _note_end(store, fault or error, lambda: budget.seconds)
        if fault is not None:
            raise fault from error
        raise


def _subject(store: Store, config: Config, method: str, author: str) -> Subject:
    """Select what trackers may know of a run: no keys, endpoints or paths, because they may be third-party servers."""
    settings = {"task": config.task, "seed": config.seed, "method": method, "author": author}
    settings |= {f"training.{name}": value for name, value in config.training.model_dump(mode="json").items()}
    return Subject(store.run_dir.name, str(store.meta("id")), store.run_dir, settings)


def _spending(config: Config, spent: dict[str, float]) -> Budget:
    """Return the run's spending limits, less what earlier processes of this run have spent."""
    return Budget.of(
        config.budget,
        dollars=spent["dollars"],
        tokens=int(spent["prompt_tokens"] + spent["completion_tokens"]),
        calls=int(spent["calls"]),
    )


def _note_end(store: Store, error: BaseException, seconds: Callable[[], float]) -> None:
    """Record why the run ended, if the store can still be written; the caller raises the error."""
    stopped = isinstance(error, KeyboardInterrupt)
    message = (
        "stopped by Ctrl-C or a signal" if stopped else str(error) if isinstance(error, RewardgenError) else repr(error)
    )
    try:
        store.set_meta(status="interrupted" if stopped else "failed", message=message, seconds=round(seconds(), 3))
    except StoreError:
        pass  # a full disk may be the error that is being recorded


def describe(task: Task) -> dict[str, Any]:
    """Return a task as plain values, as shown by the store, the report and ``--json``."""
    return {
        "name": task.name,
        "description": task.description,
        "fields": [field.facts for field in task.layout.shown.fields],
        "action_size": task.action_size,
        "observation_size": task.observation_size,
        "control_step": task.control_step,
        "horizon": task.horizon,
        "fitness_unit": task.fitness_unit,
        "fitness_meaning": task.fitness_meaning,
        "success_threshold": task.success_threshold,
        "fitness_range": [end if math.isfinite(end) else None for end in task.fitness_range],
        "expert_source": task.expert_source,
        "gymnasium_id": task.gymnasium_id,
    }
