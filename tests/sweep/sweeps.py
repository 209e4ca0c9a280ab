"""Sweeps made up for tests: results in memory, and stores on disk as searches leave them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rewardgen.config import load as load_config
from rewardgen.records import Checkpoint, Evaluation, Message, Reply, TrainingResult
from rewardgen.store import Store
from rewardgen.sweep.results import Score, SearchResult, SpentAndScore, Sweep
from tests.search.content import content

UNIT = "m/s"
EXPERT, SPARSE = Score(5.0, 4.5, 5.5, 0.9), Score(1.0, 0.5, 1.5, 0.1)
"""With these, a fitness of 1 + 4 s has the human-normalised score s."""


def fitness(normalised: float) -> float:
    return SPARSE.mean + (EXPERT.mean - SPARSE.mean) * normalised


def result(arm: str, task: str, seed: int, normalised: float | None, **changes: object) -> SearchResult:
    """A search whose human-normalised score is ``normalised``; one that has not begun without."""
    path = Path(arm) / task.replace("/", "-") / f"seed{seed}"
    if normalised is None:
        return SearchResult(arm, task, seed, path, "missing")
    score = fitness(normalised)
    values = {
        "unit": UNIT,
        "found": Score(score, score - 0.1, score + 0.1, min(1.0, max(0.0, normalised))),
        "expert": EXPERT,
        "sparse": SPARSE,
        "steps": 1_000_000,
        "tokens": 2_000,
        "dollars": 0.5,
        "hours": 0.25,
        "progress": (
            SpentAndScore(300_000, 0.2, 0.1, fitness(normalised / 2)),
            SpentAndScore(600_000, 0.4, 0.2, fitness(normalised)),
        ),
    }
    return SearchResult(arm, task, seed, path, "finished", **{**values, **changes})  # type: ignore[arg-type]


def sweep(
    scores: Mapping[str, Mapping[str, Sequence[float | None]]], folder: Path = Path("sweep"), name: str = "made-up"
) -> Sweep:
    """arm → task → the human-normalised score of each seed, None where there is none."""
    results = [
        result(arm, task, seed, value)
        for arm, tasks in scores.items()
        for task, values in tasks.items()
        for seed, value in enumerate(values)
    ]
    tasks = tuple(dict.fromkeys(each.task for each in results))
    seeds = tuple(sorted({each.seed for each in results}))
    return Sweep(name, folder, tuple(scores), tasks, seeds, tuple(results))


def write_sweep(folder: Path, arms: Sequence[str], tasks: Sequence[str], seeds: Sequence[int]) -> Path:
    """A ``sweep.json`` without any search begun."""
    folder.mkdir(parents=True)
    searches = [
        {
            "arm": arm,
            "task": task,
            "seed": seed,
            "folder": f"{arm}/{task.replace('/', '-')}/seed{seed}",
            "config": load_config(None, {"task": task, "seed": seed}).model_dump(mode="json"),
            "prompts_dir": None,
            "envs": [],
        }
        for seed in seeds
        for task in tasks
        for arm in arms
    ]
    document = {
        "form": 1,
        "name": folder.name,
        "spec": {"file": "spec.yaml", "text": "", "given": {}},
        "versions": {},
        "machine": {},
        "rates": {},
        "tasks": list(tasks),
        "seeds": list(seeds),
        "arms": [{"name": arm, "folder": arm, "settings": {}} for arm in arms],
        "searches": searches,
    }
    (folder / "sweep.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def training(key: str, seed: int, score: float, steps: int = 1000, seconds: float = 36.0) -> TrainingResult:
    point = Checkpoint(steps, score, 0.1, 0.5, 1.0, {}, {}, 100.0, {"time limit": 1.0}, 0.0, 8)
    return TrainingResult(key, seed, "done", "", (point,), None, steps, seconds)


def write_run(run_dir: Path, winner: float, *, status: str = "finished", dollars: float = 0.25) -> None:
    """A run of two generations of one candidate each; its second reward, the better one, reaches ``winner``."""
    with Store(run_dir, new=True) as store:
        store.set_meta(
            config={},
            task={"name": "t", "fitness_unit": UNIT},
            status=status,
            message="",
            seconds=7200.0,
            winner="r0g1c0",
        )
        for number, score in enumerate((winner / 2, winner + 1.0)):
            key = f"r0g{number}c0"
            store.begin_generation(0, number, [Message("user", "write")])
            store.begin_candidates(0, number, {key: None})
            reply = Reply(text="code", model="m", prompt_tokens=10, completion_tokens=5, dollars=dollars)
            store.add_call(f"r0g{number}", "generation", 0, [Message("user", "write")], [reply])
            store.add_trainings([(key, training(key, 1, score))])
            store.add_score(key, "trained", score, "", score - 0.1, score + 0.1)
            store.finish_generation(0, number, key)
        store.add_trainings([("r0g1c0/again", training("r0g1c0", 2, winner))])
        if status == "finished":
            for name, mean in (("winner", winner), ("expert", EXPERT.mean), ("sparse", SPARSE.mean)):
                store.add_evaluation(name, Evaluation(((mean,),), mean, mean - 0.5, mean + 0.5, 0.5))


def contents(sweep: Path) -> dict[str, Any]:
    """What every search of a sweep came to, timestamps and places aside."""
    found = {}
    for file in sorted(sweep.rglob("run.sqlite")):
        stored = content(file.parent)
        stored["meta"] = [row for row in stored["meta"] if row["key"] != "baselines"]
        found[file.parent.relative_to(sweep).as_posix()] = stored
    return found
