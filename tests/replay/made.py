"""Runs with policies in them, made in a moment: their networks were drawn at random and never trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from rewardgen.config import TrainingConfig
from rewardgen.records import Checkpoint, Message, Reply, TrainingResult
from rewardgen.store import Store
from rewardgen.tasks import Task, load_task
from rewardgen.training import Population

SOURCE = 'def compute_reward(state, action, next_state):\n    one = action[:, 0] * 0\n    return one, {"one": one}\n'


def policy(task: Task, seed: int) -> bytes:
    """A policy that moves about, as its weights file."""
    generator = torch.Generator().manual_seed(seed)
    population = Population.fresh(task, TrainingConfig(hidden=(8,)), [generator])
    population.parameters.flat.add_(0.5 * torch.randn(population.parameters.flat.shape, generator=generator))
    return population.weights(0)


def trained(key: str, seed: int, weights: bytes | None, fitness: float = 1.0) -> TrainingResult:
    point = Checkpoint(1000, fitness, 0.1, 0.5, 2.0, {"one": 0.0}, {"one": 0.0}, 50.0, {"time limit": 1.0}, 0.0, 8)
    status, curve = ("done", (point,)) if weights is not None else ("failed", ())
    return TrainingResult(key, seed, status, "" if curve else "it crashed", curve, weights, 1000, 1.0)


def add_generation(store: Store, task: Task, index: int, keys: Sequence[str]) -> None:
    """The generation of that index; the last of its candidates failed in training."""
    messages = [Message("system", "write"), Message("user", "a reward")]
    call = f"r0g{index}"
    store.begin_generation(0, index, messages)
    store.begin_candidates(0, index, dict.fromkeys(keys))
    store.add_call(call, "generation", 7, messages, [Reply(SOURCE, "m") for _ in keys])
    for number, key in enumerate(keys):
        store.add_attempt(key, 0, call, number, SOURCE, [])
        failed = number == len(keys) - 1
        store.add_trainings([(key, trained(key, 5, None if failed else policy(task, number), 1.0 + number))])
        store.add_score(key, "failed" if failed else "trained", None if failed else 1.0 + number, "")
    store.finish_generation(0, index, keys[0])


def make_run(
    run_dir: Path,
    *,
    task: str = "hopper/run",
    candidates: int = 3,
    finals: Sequence[str] = ("expert",),
    envs: Sequence[Path] = (),
) -> Path:
    """A run of one generation whose last candidate failed in training, so that it has no policy."""
    loaded = load_task(task, envs)
    keys = [f"r0g0c{number}" for number in range(candidates)]
    with Store(run_dir, new=True) as store:
        store.set_meta(
            config={"seed": 3, "threads": 1},
            envs=[str(folder) for folder in envs],
            task={"name": task, "control_step": loaded.control_step, "fitness_unit": loaded.fitness_unit},
            author="offline",
            created="2026-03-02T10:00:00+00:00",
            status="finished",
            winner=keys[0],
        )
        add_generation(store, loaded, 0, keys)
        for number, name in enumerate(finals):
            store.add_trainings([(f"final/{name}", trained(name, 9, policy(loaded, 100 + number)))])
    return run_dir
