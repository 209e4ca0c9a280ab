"""A training that is stopped after a checkpoint and continued ends, byte for byte, as one that was not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rewardgen.config import CreditConfig, TrainingConfig
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.sim import MujocoSim
from rewardgen.tasks import RewardAndTerms, State, Task, load_task
from rewardgen.training import Member, Saves, TaskReward, Watcher, credit_of, train
from rewardgen.training.episodes import Collector
from rewardgen.training.saves import dump, parse


class Stopped(Exception):
    """Stands for the end of the process."""


class Seen(Watcher):
    """What a training reported. It stops the members ``stops``, and everything after ``stop_after`` checkpoints."""

    def __init__(self, stops: Mapping[int, Sequence[int]], stop_after: int | None) -> None:
        self._stops, self._stop_after = stops, stop_after
        self.races = bool(stops)
        self.points: list[tuple[str, int, Checkpoint]] = []
        self.steps: list[int] = []
        self.notes: list[str] = []
        self.judged: list[int] = []
        self.restored = 0

    def resumed(self, steps: int) -> None:
        self.restored += steps

    def progress(self, steps: int) -> None:
        self.steps.append(steps)
        curves = [sum((key, seed) == (k, s) for k, s, _ in self.points) for key, seed, _ in self.points]
        if self._stop_after is not None and max(curves, default=0) >= self._stop_after:
            raise Stopped

    def checkpoint(self, key: str, seed: int, point: Checkpoint) -> None:
        self.points.append((key, seed, point))

    def note(self, message: str) -> None:
        self.notes.append(message)

    def stop(self, steps: int, results: Sequence[TrainingResult]) -> Mapping[int, str]:
        self.judged.append(steps)
        reached = max(len(result.curve) for result in results)
        return dict.fromkeys(self._stops.get(reached, ()), f"stopped at {steps}")


@dataclass
class Scenario:
    """A training that can be run again and again."""

    task: Task
    members: Callable[[], list[Member]]
    config: TrainingConfig
    stops: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Checkpoint (from 1) → members that a race stops there."""
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(
        self, folder: Path | None, stop_after: int | None = None, threads: int = 1, about: Any = "x"
    ) -> tuple[list[TrainingResult], bytes, Seen, Saves | None]:
        """Train, with files in ``folder``; raise Stopped once ``stop_after`` checkpoints have been saved."""
        seen, collector = Seen(self.stops, stop_after), Collector("here", 8)
        seen.collector = collector
        saves = Saves(folder, {"about": about}, collector) if folder is not None else None
        results = train(
            self.task,
            self.members(),
            self.config,
            threads=threads,
            watcher=seen,
            saves=saves,
            **self.options,
        )
        return [replace(result, seconds=0.0) for result in results], collector.content(), seen, saves


def own(task: Task, name: str = "expert") -> TaskReward:
    return TaskReward(task.expert_reward if name == "expert" else task.sparse_reward, task.layout)


def plain(task: Task, config: TrainingConfig) -> Scenario:
    return Scenario(task, lambda: [Member("expert", 0, own(task))], config)


def several(task: Task, config: TrainingConfig) -> Scenario:
    def members() -> list[Member]:
        rewards = {name: own(task, name) for name in ("expert", "sparse")}
        return [Member(name, seed, reward) for name, reward in rewards.items() for seed in (0, 1)]

    return Scenario(task, members, config.model_copy(update={"anneal": True, "keep": "own"}))


def race(task: Task, config: TrainingConfig) -> Scenario:
    return replace(several(task, config), stops={1: [1], 2: [2]})


def failing(task: Task, config: TrainingConfig) -> Scenario:
    """One member's reward is NaN far from where its training begins: it fails on the way."""

    def reward(state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        total = torch.where(next_state.velocity.abs() > 1.85, torch.nan, -next_state.position.abs())
        return total, {"near": total}

    return Scenario(
        task, lambda: [Member("bad", 6, TaskReward(reward, task.layout)), Member("expert", 0, own(task))], config
    )


def credit(form: Any) -> Callable[[Task, TrainingConfig], Scenario]:
    def scenario(task: Task, config: TrainingConfig) -> Scenario:
        made = credit_of(form, CreditConfig(decoder_episodes=40))
        return Scenario(
            task, lambda: [Member("expert", seed, own(task), made) for seed in (0, 1)], config, stops={2: [0]}
        )

    return scenario


def of_task(name: str) -> Callable[[Task, TrainingConfig], Scenario]:
    def scenario(_: Task, config: TrainingConfig) -> Scenario:
        task = copy(load_task(name))
        vars(task)["horizon"] = 24  # short episodes, some of which end between two checkpoints
        small = config.model_copy(update={"worlds": 4, "steps": 256, "checkpoint_episodes": 1, "score_episodes": 1})
        return Scenario(task, lambda: [Member("expert", seed, own(task)) for seed in (0, 1)], small, stops={2: [0]})

    return scenario


def in_groups(task: Task, config: TrainingConfig) -> Scenario:
    """As on a card whose memory holds two members at once."""
    from rewardgen.training.memory import learning_bytes

    scenario = several(task, config)
    fitting = int(2.5 * learning_bytes(task, scenario.config) / 0.9)
    return replace(scenario, options={"memory_available": lambda device: fitting})


@pytest.fixture
def config(config: TrainingConfig) -> TrainingConfig:
    return config.model_copy(update={"checkpoints": 4})  # one after each rollout


SCENARIOS = {
    "plain": plain,
    "several": several,
    "race": race,
    "failing": failing,
    "progress": credit("progress"),
    "factors": credit("factors"),
    "ant": of_task("ant/run"),  # contact forces are computed after the step
    "fetch": of_task("fetch/push"),  # its actions move a mocap body that stays where the gripper got to
    "finger": of_task("dmc_finger/spin"),  # goes on from the stages that the last step ended with
    "groups": in_groups,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_ends_as_if_it_had_not_been_stopped(name: str, task: Task, config: TrainingConfig, tmp_path: Path) -> None:
    scenario = SCENARIOS[name](task, config)
    expected, episodes, undisturbed, _ = scenario.run(None)
    for stop in range(1, 4):
        folder = tmp_path / f"after-{stop}"
        with pytest.raises(Stopped):
            scenario.run(folder, stop)
        results, collected, seen, saves = scenario.run(folder, threads=1 + stop % 2)
        assert repr(results) == repr(expected)  # as text, where NaN equals NaN
        assert collected == episodes
        assert repr(seen.points) == repr(undisturbed.points)  # those before the stop are reported again
        assert saves is not None and seen.restored == seen.steps[0] > 0, seen.notes
        assert seen.steps[-1] == undisturbed.steps[-1]
        assert len(seen.steps) < len(undisturbed.steps) + 2  # nothing is done again
        assert len(seen.judged) == len(undisturbed.judged) - (stop if scenario.stops else 0)
        assert not [note for note in seen.notes if "saved" in note]
        # what is over stays until the results are kept
        again, _, repeated, _ = scenario.run(folder)
        assert repr(again) == repr(expected) and repeated.steps[0] <= repeated.steps[-1] == seen.steps[-1]
        saves.delete()
        assert not folder.exists()


def test_the_scenarios_are_what_they_are_meant_to_be(task: Task, config: TrainingConfig) -> None:
    statuses = {
        name: [result.status for result in SCENARIOS[name](task, config).run(None)[0]] for name in ("race", "failing")
    }
    assert statuses == {"race": ["done", "stopped", "stopped", "done"], "failing": ["failed", "done"]}
    failed = failing(task, config).run(None)[0][0]
    assert 1 <= len(failed.curve) < 4 and failed.weights is not None


def test_it_can_be_stopped_again_and_again(task: Task, config: TrainingConfig, tmp_path: Path) -> None:
    scenario = several(task, config)
    expected = scenario.run(None)[0]
    for stop in range(1, 4):
        with pytest.raises(Stopped):
            scenario.run(tmp_path, stop)
    results, _, seen, _ = scenario.run(tmp_path)
    assert repr(results) == repr(expected) and len(seen.steps) == 2  # the restored steps, and the last rollout


@contextmanager
def stopped(scenario: Scenario, folder: Path) -> Iterator[Path]:
    """The one file of a training that was stopped after two checkpoints."""
    with pytest.raises(Stopped):
        scenario.run(folder, 2)
    (file,) = folder.iterdir()
    yield file


def starts_over(scenario: Scenario, folder: Path, **changed: Any) -> list[str]:
    """Run it to its end and check that nothing was restored; the notes."""
    results, _, seen, saves = scenario.run(folder, **changed)
    assert repr(results) == repr(scenario.run(None)[0])
    assert saves is not None and seen.restored == 0
    return seen.notes


@pytest.mark.parametrize("where", [0, 40, 0.5, -1])
def test_a_damaged_file_is_ignored(where: float, task: Task, config: TrainingConfig, tmp_path: Path) -> None:
    scenario = plain(task, config)
    with stopped(scenario, tmp_path) as file:
        content = bytearray(file.read_bytes())
        content[int(where * len(content)) if isinstance(where, float) else where] ^= 1
        file.write_bytes(content)
    (note,) = starts_over(scenario, tmp_path)
    assert "damaged" in note and "starts over" in note


@pytest.mark.parametrize("length", [0, 10, 1000])
def test_a_file_that_was_cut_off_is_ignored(length: int, task: Task, config: TrainingConfig, tmp_path: Path) -> None:
    scenario = plain(task, config)
    with stopped(scenario, tmp_path) as file:
        file.write_bytes(file.read_bytes()[:length])
    assert len(starts_over(scenario, tmp_path)) == 1


def test_the_file_of_another_training_is_ignored(task: Task, config: TrainingConfig, tmp_path: Path) -> None:
    scenario = plain(task, config)
    with stopped(scenario, tmp_path):
        pass
    (note,) = starts_over(scenario, tmp_path, about="another reward")
    assert "other about" in note
    with pytest.raises(Stopped):
        scenario.run(tmp_path / "settings", 2)
    other = replace(scenario, config=config.model_copy(update={"learning_rate": 1e-4}))
    (note,) = starts_over(other, tmp_path / "settings")
    assert "other training" in note


def change(file: Path, path: str, value: Any) -> None:
    """Write another value to the place ``path`` of a file, under a digest that is right."""
    document = parse(file.read_bytes())
    *parents, name = path.split("/")
    place = document
    for parent in parents:
        place = place[parent]
    assert name in place
    place[name] = value
    file.write_bytes(dump(document))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training/updates", "2"),
        ("training/updates", 100),
        ("training/batch", [0, 0]),
        ("training/batch", [1]),
        ("training/noise", torch.zeros(1, 10, dtype=torch.uint8)),
        ("training/population/parameters", torch.zeros(3)),
        ("training/population/observations/mean", torch.full((1, 2), torch.nan, dtype=torch.float64)),
        ("training/learner/moments/exp_avg", torch.zeros(2, 1, 7)),
        ("training/reward_scale/returns", torch.zeros(1, 16, dtype=torch.float64)),
        ("training/worlds/matrix", None),
        ("training/worlds/sim/qpos", torch.zeros(16, 3, dtype=torch.float64)),
        ("training/records/0/curve", [{"steps": 1}]),
        ("training/records/0/weights", b"no policy"),
        ("companion/taken", [["expert"]]),
    ],
)
def test_values_that_do_not_fit_are_refused(
    path: str, value: Any, task: Task, config: TrainingConfig, tmp_path: Path
) -> None:
    scenario = plain(task, config)
    with stopped(scenario, tmp_path) as file:
        change(file, path, value)
    assert len(starts_over(scenario, tmp_path)) == 1


def test_an_unknown_field_of_the_simulation_is_refused(task: Task, config: TrainingConfig, tmp_path: Path) -> None:
    scenario = plain(task, config)
    with stopped(scenario, tmp_path) as file:
        document = parse(file.read_bytes())
        document["training"]["worlds"]["sim"]["no_field"] = torch.zeros(16)
        file.write_bytes(dump(document))
    (note,) = starts_over(scenario, tmp_path)
    assert "no_field" in note


def test_without_a_simulator_that_can_be_saved_nothing_is_kept(
    task: Task, config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MujocoSim, "save", lambda self: None)
    scenario = plain(task, config)
    with pytest.raises(Stopped):
        scenario.run(tmp_path / "none", 2)
    assert not (tmp_path / "none").exists()
    assert starts_over(scenario, tmp_path / "none") == []


def test_a_folder_that_cannot_be_written_costs_a_note(task: Task, config: TrainingConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    scenario = plain(task, config)
    results, _, seen, _ = scenario.run(tmp_path / "file" / "folder")
    assert repr(results) == repr(scenario.run(None)[0])
    assert len(seen.notes) == 1 and "could not be saved" in seen.notes[0]


def test_documents_come_back_as_they_were() -> None:
    document = {
        "a": torch.arange(6.0).view(2, 3).T,
        "b": {"c": torch.zeros(0, 3), "d": [1, "x", None, 0.1], "e": {"f": torch.tensor(True)}},
        "g": b"bytes",
        "h": float("nan"),
    }
    found = parse(dump(document))
    assert torch.equal(found["a"], document["a"]) and found["a"].is_contiguous()  # type: ignore[arg-type]
    assert found["b"]["c"].shape == (0, 3) and found["b"]["d"] == [1, "x", None, 0.1] and bool(found["b"]["e"]["f"])
    assert found["g"].numpy().tobytes() == b"bytes" and found["h"] != found["h"]
