"""Trainings that are killed continue from their last checkpoint: searches, reported scores and baselines."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from rewardgen import baselines, config, search
from rewardgen.baselines import cache, measuring
from rewardgen.config import Config
from rewardgen.records import State
from rewardgen.search import Event
from rewardgen.store import Baseline
from rewardgen.store.database import to_json
from rewardgen.tasks import RewardAndTerms, Task, load_task
from rewardgen.training import save_folders
from rewardgen.training.provenance import origin as origin_of
from tests.search import tiny
from tests.search.processes import Started, begin_or_resume_telling, measure_baselines_until_killed
from tests.search.test_resume import content
from tests.training.conftest import Point
from tests.training.watchers import Written

KILLS = 20
CHECKPOINTS = 4
SEARCH = {
    **tiny.SEARCH,
    "sim": "mujoco",
    "device": "cpu",
    "llm.model": "offline",
    "tracking": False,
    "search.generations": 1,
    "search.candidates": 3,
    "search.seeds": 2,
    "search.racing.share": 0.5,
    "search.remeasure": 1,
    "evaluation.report_seeds": 2,
    "training.rollout": 16,
    "training.checkpoints": CHECKPOINTS,
    "training.checkpoint_episodes": 1,
    "training.score_episodes": 1,
}


class Trainings:
    """What the processes of one run reported: each training's members, and its steps by process."""

    def __init__(self) -> None:
        self.members: list[int] = []
        self.lives: list[list[list[int]]] = []

    def take(self, told: dict[str, Any], fresh: bool) -> None:
        """``fresh``: it is the first that its process tells."""
        if told["steps"] is not None:
            self.lives[-1][-1].append(told["steps"])
        elif fresh and self.lives and self.members[-1] == told["members"]:
            self.lives[-1].append([])  # the training that the last process was killed in begins again
        else:
            self.members.append(told["members"])
            self.lives.append([[]])

    def repeated(self) -> list[tuple[int, int]]:
        """Of each process that continued a training: steps done twice, and those from checkpoint to checkpoint."""
        found = []
        for members, lives in zip(self.members, self.lives, strict=True):
            seen = [life for life in lives if life]
            for before, after in pairwise(seen):
                found.append((max(before) - after[0], members * SEARCH["training.steps"] // CHECKPOINTS))
        return found


@pytest.mark.slow
def test_a_search_killed_in_its_trainings_twenty_times(tmp_path: Path) -> None:
    moments = random.Random(7)
    undisturbed = Started(begin_or_resume_telling, tmp_path / "undisturbed" / "run", SEARCH)
    told = list(undisturbed)
    assert undisturbed.wait() == 0
    undisturbed.close()
    expected = content(tmp_path / "undisturbed" / "run")
    assert any(row["status"] == "stopped" for row in expected["trainings"])  # a race's decisions are kept as well

    kills = number = 0
    repeated: list[tuple[int, int]] = []
    while kills < KILLS:
        number += 1
        folder = tmp_path / f"killed-{number}" / "run"
        folder.mkdir(parents=True)
        seen, done = Trainings(), False
        while not done:
            process = Started(begin_or_resume_telling, folder, SEARCH)
            until = moments.randint(1, len(told) // 3) if kills < KILLS else None
            for count, each in enumerate(process):
                seen.take(each, fresh=count == 0)
                if count == until:
                    process.kill()
                    kills += 1
                    break
            code = process.wait()
            process.close()
            done = code == 0
            assert done or code == -signal.SIGKILL
        assert content(folder) == expected
        assert not (folder / save_folders.IN_RUN).exists()
        repeated += seen.repeated()
    assert len(repeated) >= KILLS // 2
    for twice, most in repeated:
        assert twice <= most
    assert any(twice < 0.5 * most for twice, most in repeated)


def settings_of(task: str, **changed: Any) -> Config:
    return config.load(overrides={**SEARCH, "task": task, **changed})


def plain(found: dict[str, Baseline]) -> dict[str, str]:
    """Baselines as text, without the time that they took."""
    return {
        name: to_json(replace(each, trainings=tuple(replace(one, seconds=0.0) for one in each.trainings)), Baseline)
        for name, each in found.items()
    }


@pytest.mark.slow
def test_a_killed_baseline_continues(tmp_path: Path) -> None:
    settings, task = settings_of(SEARCH["task"]), load_task(SEARCH["task"])
    total = 2 * 2 * settings.training.steps
    process = Started(measure_baselines_until_killed, tmp_path / "killed", SEARCH, total // 2)
    assert process.wait() == -signal.SIGKILL
    process.close()
    told = Written()
    found = baselines.measure(tmp_path / "killed", task, settings, watcher=told)
    assert told.steps[0] >= total // 2 and told.steps[-1] == total
    assert plain(found) == plain(baselines.measure(tmp_path / "undisturbed", task, settings))
    names = [sorted(os.listdir(tmp_path / each)) for each in ("killed", "undisturbed")]
    assert names[0] == names[1] and not any(name.startswith(".training") for name in names[0])


class Halted(Exception):
    pass


def test_a_process_that_was_killed_between_keeping_two_baselines_trains_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, task = settings_of(SEARCH["task"]), load_task(SEARCH["task"])
    keep = baselines.keep

    def one_only(folder: Path, task: Task, config: Config, name: str, *rest: Any) -> None:
        if name == "sparse":
            raise Halted
        keep(folder, task, config, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "keep", one_only)
        with pytest.raises(Halted):
            baselines.measure(tmp_path, task, settings)
    told = Written()
    found = baselines.measure(tmp_path, task, settings, watcher=told)
    assert told.steps == [4 * settings.training.steps]  # what was restored, and nothing more
    assert plain(found) == plain(baselines.measure(tmp_path / "again", task, settings))


def test_what_nobody_continued_is_removed_in_time(tmp_path: Path) -> None:
    for name, age in (("old", 31), ("new", 1)):
        saves = save_folders.of_baselines(tmp_path, name, {})
        saves.folder.mkdir()
        (saves.folder / "x.training").write_bytes(b"x")
        for path in (saves.folder / "x.training", saves.folder):
            then = path.stat().st_mtime - age * 86400
            os.utime(path, (then, then))
    save_folders.of_baselines(tmp_path, "third", {})
    assert [path.name for path in tmp_path.iterdir()] == [".training-new"]


# ---- expert's and sparse reward in one


class Declared(Point):
    """Its rewards are one method."""

    sparse_reward = Point.expert_reward


class Delegating(Point):
    """Its rewards give the same numbers, which nobody can know."""

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        return self.expert_reward(state, action, next_state)


class Overridden(Declared):
    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        near = 1.0 - next_state.position.abs()
        return near, {"near": near}


@pytest.mark.parametrize(
    "name",
    [
        "dmc_ball_in_cup/catch",
        "dmc_cartpole/swingup_sparse",
        "dmc_finger/spin",
        "dmc_finger/turn_easy",
        "dmc_finger/turn_hard",
        "dmc_pendulum/swingup",
        "dmc_reacher/easy",
        "dmc_reacher/hard",
    ],
)
def test_tasks_whose_rewards_are_one(name: str) -> None:
    assert baselines.shared_reward(load_task(name))


def test_only_one_method_is_one_reward() -> None:
    assert baselines.shared_reward(Declared())
    others = [Point(), Delegating(), Overridden(), load_task("cheetah/run"), load_task("dmc_cartpole/swingup")]
    assert not any(baselines.shared_reward(task) for task in others)


@pytest.mark.slow
def test_one_reward_is_trained_once_and_comes_to_the_same(tmp_path: Path) -> None:
    settings = settings_of(SEARCH["task"])
    told = {"once": Written(), "twice": Written()}
    once = baselines.measure(tmp_path / "once", Declared(), settings, watcher=told["once"])
    twice = baselines.measure(tmp_path / "twice", Delegating(), settings, watcher=told["twice"])
    assert plain(once) == plain(twice)
    assert told["once"].steps[-1] * 2 == told["twice"].steps[-1] == 4 * settings.training.steps
    assert {training.key for training in once["sparse"].trainings} == {"sparse"}
    # each is kept, and the one that is lost is that of the other
    kept = baselines.find(tmp_path / "once", Declared(), settings)
    assert plain(kept) == plain(once)
    origin = origin_of(Declared(), settings)
    lost = cache.key(origin, "expert")
    (tmp_path / "once" / lost / "baseline.json").unlink()
    more = Written()
    again = baselines.measure(tmp_path / "once", Declared(), settings, watcher=more)
    assert plain(again) == plain(once) and more.steps == []


@pytest.mark.slow
def test_the_reported_scores_of_one_reward_are_those_of_two_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"search.candidates": 1, "search.seeds": 1, "search.remeasure": 0, "training.checkpoints": 1}
    settings = settings_of("dmc_pendulum/swingup", **few)
    members: dict[str, int] = {}

    def listener(event: Event) -> None:
        if event.kind == "training_started" and event.data["what"] == "final":
            members[folder] = event.data["members"]

    for folder in ("once", "twice"):
        if folder == "twice":
            monkeypatch.setattr(baselines, "shared_reward", lambda task: False)
        search.run(settings, tmp_path / folder / "run", listener=listener)
    assert members == {"once": 4, "twice": 6}
    assert content(tmp_path / "once" / "run") == content(tmp_path / "twice" / "run")
    kept = [
        {path.parent.name: (path.parent / "artifacts").exists() for path in (tmp_path / folder).rglob("baseline.json")}
        for folder in ("once", "twice")
    ]
    assert kept[0] == kept[1] and len(kept[0]) == 2
