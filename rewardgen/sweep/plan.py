"""A sweep's plan: every arm on every task with every seed, each with a run's whole configuration.

A sweep has its own folder; each search in it is an ordinary run::

    runs/NAME/sweep.json                        the plan, and the versions that made it
    runs/NAME/ARM/TASK with - for //seed0/      run.sqlite and all that a run has
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewardgen import config as settings
from rewardgen import files
from rewardgen.config import Config
from rewardgen.errors import ConfigError, RewardgenError, StoreError, UnknownName
from rewardgen.search import load_method
from rewardgen.sim.machine import versions
from rewardgen.store import SWEEP_FILE
from rewardgen.store.database import translated
from rewardgen.sweep.expand import METHOD, PROMPTS, Arm, GridSetting, Settings, expand, merged
from rewardgen.sweep.spec import SweepSpec, read_spec
from rewardgen.tasks import declared_tasks
from rewardgen.yaml import Document, YamlProblem

FORM = 1


@dataclass(frozen=True)
class Planned:
    """One search of a sweep, stored in ``run_dir``; ``prompts_dir`` and ``envs`` are as for ``search.run``."""

    arm: str
    task: str
    seed: int
    config: Config
    run_dir: Path
    prompts_dir: Path | None = None
    envs: tuple[Path, ...] = ()

    @property
    def key(self) -> str:
        """Its name in the sweep: "ARM/TASK/seed0"."""
        return f"{self.arm}/{self.task}/seed{self.seed}"


@dataclass(frozen=True)
class Plan:
    """All searches of a sweep in order: seed by seed, so that a sweep that is stopped early is balanced."""

    name: str
    folder: Path
    spec: SweepSpec
    source: Document
    arms: tuple[Arm, ...]
    searches: tuple[Planned, ...]
    given: Mapping[str, Any] = field(default_factory=dict)
    """Settings from the command line, which override the file's."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Tasks that a pattern matches but that cannot run here → why."""


def make_plan(path: Path, out: Path, *, name: str | None = None, given: Mapping[str, Any] | None = None) -> Plan:
    """Read the spec at ``path`` and check everything that can be checked before a search starts.

    Args:
        out: the folder of runs.
        name: the sweep's name, if it is not the spec's.
        given: dotted settings that override those of the spec.

    Raises:
        ConfigError: keys, values, tasks or methods are wrong; the message names all of them with their lines.
        TaskError: a task file cannot be loaded.
    """
    # Read the file and expand it into arms and tasks
    spec, source = read_spec(path)
    shared, arms = expand(spec, source)
    flags = {key: GridSetting(value, None) for key, value in (given or {}).items()}
    envs = tuple((path.parent / folder).resolve() for folder in spec.envs)
    problems: list[YamlProblem] = []
    tasks, missing = _tasks(spec, source, envs, problems)
    title = name or spec.name or path.stem
    folder = out / title
    # Combine each arm with each task, and collect all problems
    searches: dict[tuple[str, str], Planned] = {}
    for arm in arms:
        combined = merged(shared, arm.settings, flags)
        for task, training in tasks.items():
            combined_config = _combined(task, training, combined, arm, source, problems)
            if combined_config is not None:
                run_dir = folder / arm.folder / task.replace("/", "-")
                searches[arm.name, task] = Planned(
                    arm.name, task, 0, combined_config[0], run_dir, combined_config[1], envs
                )
    # Budgets must match an arm
    for pattern, place in ((p, ("budgets", "arms", p)) for p in spec.budgets.arms):
        if not fnmatch.filter([arm.name for arm in arms], pattern):
            unknown = UnknownName("arm", pattern, [arm.name for arm in arms])
            problems.append(YamlProblem(source.line(place), f"budgets.arms: {unknown}"))
    if problems:
        raise source.error(problems)
    # Repeat for each seed
    ordered = tuple(_seeded(searches[arm.name, task], seed) for seed in spec.seeds for task in tasks for arm in arms)
    return Plan(title, folder, spec, source, tuple(arms), ordered, dict(given or {}), missing)


def _seeded(planned: Planned, seed: int) -> Planned:
    """Return a search with a seed, in a folder of its own."""
    return Planned(
        planned.arm,
        planned.task,
        seed,
        planned.config.model_copy(update={"seed": seed}),
        planned.run_dir / f"seed{seed}",
        planned.prompts_dir,
        planned.envs,
    )


def _tasks(
    spec: SweepSpec, source: Document, envs: Sequence[Path], problems: list[YamlProblem]
) -> tuple[dict[str, Mapping[str, Any]], dict[str, str]]:
    """Return the tasks that the spec names, each with its own training settings, in the spec's order.

    Also return the tasks that only a pattern matches and that cannot run here, with the reason.
    """
    # Folders of task files
    for number, folder in enumerate(envs):
        if not folder.is_dir():
            raise source.error([YamlProblem(source.line(("envs", number)), f"envs: there is no folder {folder}")])
    declared = {task.name: task for task in declared_tasks(envs)}
    chosen: dict[str, Mapping[str, Any]] = {}
    cannot_run: dict[str, str] = {}
    # A name or a pattern may match several tasks; one that is named must be able to run
    for number, pattern in enumerate(spec.tasks):
        line = source.line(("tasks", number))
        matches = fnmatch.filter(declared, pattern)
        if not matches:
            problems.append(
                YamlProblem(line, f"tasks: {UnknownName('task', pattern, declared, '(`rewardgen tasks` lists them)')}")
            )
        for name in matches:
            reason = declared[name].missing()
            if reason is not None and name == pattern:
                problems.append(YamlProblem(line, f"tasks: {reason}"))
            elif reason is not None:
                cannot_run[name] = str(reason)
            else:
                chosen[name] = declared[name].training
        if matches and not chosen and cannot_run:
            problems.append(
                YamlProblem(line, f"tasks: none of {pattern!r} can run here: {next(iter(cannot_run.values()))}")
            )
    return chosen, cannot_run


def _combined(
    task: str, training: Mapping[str, Any], combined: Settings, arm: Arm, source: Document, problems: list[YamlProblem]
) -> tuple[Config, Path | None] | None:
    """Return a run's configuration and folder of prompts; None if they are wrong, with the reasons in ``problems``."""

    def note_problem(key: str, text: str) -> None:
        """Note what is wrong with a setting."""
        problems.append(_problem(key, text, combined, arm, source))

    # Prompts are no setting of a run
    prompts = combined.get(PROMPTS)
    if prompts is not None and not Path(str(prompts.value)).is_dir():
        note_problem(PROMPTS, f"prompts: there is no folder {prompts.value}; create it or correct the path")
    values = {key: setting.value for key, setting in combined.items() if key != PROMPTS}
    # The method brings defaults
    named = combined.get(METHOD)
    try:
        method = load_method(str(named.value) if named is not None else settings.SearchConfig().method)
    except RewardgenError as error:
        note_problem(METHOD, f"{METHOD}: {error}")
        return None
    # Validate all settings together
    try:
        config = settings.load(None, {**values, "task": task}, method_defaults=method.settings, task_defaults=training)
    except ConfigError as error:
        for key, text in error.problems or [("", str(error))]:
            note_problem(key, text)
        return None
    return config, Path(str(prompts.value)) if prompts is not None else None


def _problem(key: str, text: str, combined: Settings, arm: Arm, source: Document) -> YamlProblem:
    """Return ``text`` with the line of the setting that causes it."""
    # Of settings that contain each other, the last one counts
    names = [
        key,
        *(name for name in reversed(list(combined)) if name.startswith(f"{key}.") or key.startswith(f"{name}.")),
    ]
    culprit = next((combined[name] for name in names if name in combined), None)
    if culprit is None:
        return YamlProblem(source.line(arm.place), f"arm {arm.name!r}: {text}")
    if culprit.place is None:
        return YamlProblem(0, f"--set {text}")
    return YamlProblem(source.line(culprit.place), text)


# ---- sweep.json


def write_plan(plan: Plan, rates: Mapping[str, Any], machine: Mapping[str, str]) -> None:
    """Write the plan to the sweep's folder, atomically.

    Raises:
        StoreError: the folder cannot be written.
    """
    # Everything that is needed to read the sweep without its spec
    document = {
        "form": FORM,
        "name": plan.name,
        "spec": {"file": str(plan.source.path.resolve()), "text": plan.source.text, "given": dict(plan.given)},
        "versions": dict(versions()),
        "machine": dict(machine),
        "rates": dict(rates),
        "tasks": list(dict.fromkeys(planned.task for planned in plan.searches)),
        "seeds": list(plan.spec.seeds),
        "arms": [
            {"name": arm.name, "folder": arm.folder, "settings": {k: s.value for k, s in arm.settings.items()}}
            for arm in plan.arms
        ],
        "searches": [
            {
                "arm": planned.arm,
                "task": planned.task,
                "seed": planned.seed,
                "folder": planned.run_dir.relative_to(plan.folder).as_posix(),
                "config": planned.config.model_dump(mode="json"),
                "prompts_dir": str(planned.prompts_dir) if planned.prompts_dir else None,
                "envs": [str(folder) for folder in planned.envs],
            }
            for planned in plan.searches
        ],
    }
    write_whole(plan.folder / SWEEP_FILE, document)


def write_whole(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file atomically.

    Raises:
        StoreError: it cannot be written.
    """
    with translated(path.parent):
        files.write_text(path, json.dumps(document, indent=1))


@dataclass(frozen=True)
class StoredSweep:
    """The content of ``sweep.json``."""

    name: str
    folder: Path
    arms: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    searches: tuple[Planned, ...]
    spec_file: str
    rates: Mapping[str, Any]


def is_sweep(folder: Path) -> bool:
    """Return whether a sweep was planned in ``folder``."""
    return (folder / SWEEP_FILE).is_file()


def read_plan(folder: Path) -> StoredSweep:
    """Read the sweep that was planned in ``folder``.

    Raises:
        StoreError: there is none, or its file is damaged.
    """
    path = folder / SWEEP_FILE
    try:
        # The file may have been edited, or be of a newer version
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["form"] > FORM:
            raise StoreError(f"{path} was written by a newer rewardgen; upgrade rewardgen to read it")
        return StoredSweep(
            name=str(content["name"]),
            folder=folder,
            arms=tuple(str(arm["name"]) for arm in content["arms"]),
            tasks=tuple(map(str, content["tasks"])),
            seeds=tuple(map(int, content["seeds"])),
            searches=tuple(_searches(folder, content["searches"])),
            spec_file=str(content["spec"]["file"]),
            rates=dict(content["rates"]),
        )
    except OSError as error:
        raise StoreError(f"{folder} is not a sweep: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is damaged ({error!r}); run `rewardgen sweep` with the same spec to write it again"
        ) from error


def _searches(folder: Path, entries: Sequence[Mapping[str, Any]]) -> Iterator[Planned]:
    """Yield the searches of ``sweep.json``; the file may have been edited, so they are validated again."""
    for entry in entries:
        run_dir = (folder / entry["folder"]).resolve()
        # A folder from elsewhere must not be read as a run of this sweep
        if not run_dir.is_relative_to(folder.resolve()):
            raise StoreError(f"{folder / SWEEP_FILE} names a folder outside of the sweep: {entry['folder']}")
        yield Planned(
            arm=str(entry["arm"]),
            task=str(entry["task"]),
            seed=int(entry["seed"]),
            config=settings.validate(Config, entry["config"], str(folder / SWEEP_FILE)),
            run_dir=folder / entry["folder"],
            prompts_dir=Path(entry["prompts_dir"]) if entry["prompts_dir"] else None,
            envs=tuple(Path(each) for each in entry["envs"]),
        )
