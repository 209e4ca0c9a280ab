"""Curves where people look at them, read back with the trackers' own readers."""

from __future__ import annotations

import importlib.util
import json
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rewardgen import config, search
from rewardgen.errors import ConfigError
from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.search import Event
from rewardgen.tracking import Subject, Tracking, scalars
from rewardgen.tracking.tracking import masked
from tests.cli.commands import rewardgen
from tests.search.test_search import SMALL

needs_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="the extra mlflow is not installed: pip install mlflow-skinny"
)
needs_wandb = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="the extra wandb is not installed: pip install wandb"
)
SECRET = "a-secret-that-nobody-may-see"


def checkpoint(steps: int, fitness: float) -> Checkpoint:
    return Checkpoint(
        steps=steps,
        fitness=fitness,
        fitness_std=0.25,
        success_rate=0.5,
        own_return=-3.0,
        components={"speed": 1.5, "effort": -0.5},
        correlations={"speed": 0.75, "effort": float("nan")},
        episode_length=200.0,
        causes={"time limit": 0.875, "fell over": 0.125},
        goal_reached=0.0625,
        episodes=8,
    )


def result(key: str, *points: Checkpoint, status: str = "done") -> TrainingResult:
    return TrainingResult(key, 7, status, "", points, None, points[-1].steps, 1.0)  # type: ignore[arg-type]


FIRST, SECOND, THIRD = checkpoint(100, 1.0), checkpoint(200, 2.0), checkpoint(300, 4.0)


def subject(folder: Path) -> Subject:
    return Subject(folder.name, f"0123-{folder.name}", folder, {"task": "cartpole/swingup", "training.steps": 300})


def track(names: Sequence[str], folder: Path) -> list[str]:
    """A training of three points; what was warned of."""
    warnings: list[str] = []
    with Tracking(names, subject(folder), warnings.append) as tracking:
        tracking.begin([("r0g0c1", 7)])
        tracking.point("r0g0c1", 7, FIRST)
        tracking.point("r0g0c1", 7, SECOND)
        tracking.point("r0g0c1", 7, FIRST)  # as when memory ran out and the group begins again
        tracking.point("r0g0c1", 7, THIRD)
        tracking.end("r0g0c1", result("r0g0c1", FIRST, SECOND, THIRD))
    return warnings


KILLED = """
import os, signal, sys
from pathlib import Path
from rewardgen.tracking import Tracking
from tests.tracking.test_tracking import FIRST, SECOND, subject
tracking = Tracking(sys.argv[2:], subject(Path(sys.argv[1])), print)
tracking.begin([("r0g0c1", 7)])
tracking.point("r0g0c1", 7, FIRST)
tracking.point("r0g0c1", 7, SECOND)
tracking.settle()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Path]]:
    """Where a training is yet to begin, and, by True, where one was killed after two of its points."""
    folder = tmp_path_factory.mktemp("tracking")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "MLFLOW_TRACKING_URI": (folder / "mlruns").as_uri(),
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "WANDB_MODE": "offline",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_CONFIG_DIR": str(folder / "config"),
            "WANDB_CACHE_DIR": str(folder / "cache"),
            "WANDB_DATA_DIR": str(folder / "data"),
            "OPENAI_API_KEY": SECRET,
        }.items():
            patch.setenv(name, value)
        names = ["tensorboard", *(name for name in ("wandb", "mlflow") if importlib.util.find_spec(name))]
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(folder / "killed"), *names], capture_output=True, text=True
        )
        assert killed.returncode == -signal.SIGKILL and not killed.stdout, killed.stderr
        yield {True: folder / "killed", False: folder / "fresh"}


def read_back(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag → (step, value)s of a folder of event files, by TensorBoard's own reader, which hides nothing."""
    reader = EventAccumulator(str(folder), purge_orphaned_data=False)
    reader.Reload()
    return {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_the_numbers_of_a_checkpoint_and_what_is_not_finite_has_none() -> None:
    assert scalars(FIRST) == {
        "eval/fitness": 1.0,
        "eval/fitness_std": 0.25,
        "eval/success_rate": 0.5,
        "eval/own_return": -3.0,
        "eval/episode_length": 200.0,
        "rollout/goal_reached": 0.0625,
        "components/speed": 1.5,
        "components/effort": -0.5,
        "correlations/speed": 0.75,
        "causes/time limit": 0.875,
        "causes/fell over": 0.125,
    }


@pytest.mark.parametrize("killed", [False, True])
def test_tensorboard_reads_every_point_once(places: dict[bool, Path], killed: bool) -> None:
    folder = places[killed] / "tensorboard" / "r0g0c1" / "seed-7"
    if killed:
        assert read_back(folder)["eval/fitness"] == [(100, 1.0), (200, 2.0)]
    assert track(["tensorboard"], places[killed]) == []
    found = read_back(folder)
    assert set(found) == set(scalars(FIRST))
    assert found["eval/fitness"] == [(100, 1.0), (200, 2.0), (300, 4.0)]
    assert found["components/effort"] == [(100, -0.5), (200, -0.5), (300, -0.5)]


@pytest.mark.slow
@needs_mlflow
@pytest.mark.filterwarnings("ignore")  # of MLflow's own
@pytest.mark.parametrize("killed", [True, False])
def test_mlflow_reads_every_point_once(places: dict[bool, Path], killed: bool) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()

    def runs() -> list[Any]:
        experiment = client.get_experiment_by_name("rewardgen/cartpole/swingup")
        assert experiment is not None
        return [
            run
            for run in client.search_runs([experiment.experiment_id])
            if run.data.tags["rewardgen.run"] == places[killed].name
        ]

    if killed:
        assert [run.info.status for run in runs()] == ["RUNNING"]
    assert track(["mlflow"], places[killed]) == []
    (run,) = runs()
    assert run.info.status == "FINISHED" and run.data.params["training.steps"] == "300"
    assert run.data.params["candidate"] == "r0g0c1" and run.data.params["training_seed"] == "7"
    for tag, expected in scalars(THIRD).items():
        history = client.get_metric_history(run.info.run_id, tag)
        assert [metric.step for metric in history] == [100, 200, 300], tag
        assert history[-1].value == expected


@pytest.mark.slow
@needs_wandb
@pytest.mark.filterwarnings("ignore")  # of W&B's own
@pytest.mark.parametrize("killed", [False, True])
def test_weights_and_biases_reads_every_point_once(places: dict[bool, Path], killed: bool) -> None:
    import wandb

    folder = places[killed]
    assert len(list(folder.glob("wandb/offline-run-*"))) == killed
    assert track(["wandb"], folder) == []
    wandb.teardown()  # as when this process ends: its service, which writes the files, is through
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    history, settings = read_wandb(file)
    assert [row["_step"] for row in history] == [100, 200, 300]
    for row, point in zip(history, (FIRST, SECOND, THIRD), strict=True):
        assert {tag: value for tag, value in row.items() if not tag.startswith("_")} == scalars(point)
    assert settings["candidate"] == "r0g0c1" and settings["training_seed"] == 7
    for written in folder.rglob("*"):
        if written.is_file():
            assert SECRET.encode() not in written.read_bytes()


def read_wandb(file: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The history and the configuration of an offline run, as W&B's own messages.

    W&B brings no reader. Its file is 7 bytes that say so and LevelDB's log: records of a checksum (4 bytes), a length
    (2) and a kind (1, which is 1 for a whole record), in blocks of 32 KiB, of which this needs but one.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    content = file.read_bytes()
    assert content.startswith(b":W&B") and len(content) < 32_768
    history: list[dict[str, Any]] = []
    settings: dict[str, Any] = {}
    at = 7
    while at < len(content):
        _, length, kind = struct.unpack_from("<IHB", content, at)
        assert kind == 1
        record = Record()
        record.ParseFromString(content[at + 7 : at + 7 + length])
        at += 7 + length
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            history.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        elif record.WhichOneof("record_type") == "run":
            settings.update({item.key: json.loads(item.value_json) for item in record.run.config.update})
    return history, settings


class Broken:
    """A tracker whose disk is full from the second point on."""

    points = 0

    def begin(self, key: str, seed: int) -> int:
        return -1

    def point(self, key: str, seed: int, step: int, values: Mapping[str, float], when: float) -> None:
        self.points += 1
        if self.points > 1:
            raise OSError(28, f"No space left on device; see https://me:{SECRET}@example.org/help")

    def end(self, key: str, seed: int, status: str) -> None:
        raise AssertionError("a tracker that failed is not asked again")

    close = end  # type: ignore[assignment]


def test_one_that_fails_says_so_once_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rewardgen.tracking import tracking

    known = tracking.makers()
    monkeypatch.setattr(tracking, "makers", lambda: {**known, "broken": lambda subject: Broken()})
    warnings = track(["broken", "tensorboard"], tmp_path)
    assert len(warnings) == 1 and "broken" in warnings[0] and "No space left" in warnings[0]
    assert SECRET not in warnings[0]
    assert len(read_back(tmp_path / "tensorboard" / "r0g0c1" / "seed-7")["eval/fitness"]) == 3


def test_secrets_of_the_environment_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    assert masked(RuntimeError(f"401 for {SECRET}\nat https://x:y@host/path")) == "401 for *** at https://***@host/path"
    assert masked(SystemExit()) == "SystemExit"


def test_which_trackers_is_a_setting() -> None:
    def named(value: Any) -> tuple[str, ...]:
        return config.load(overrides={"task": "cartpole/swingup", "tracking": value}).tracking

    assert config.load(overrides={"task": "cartpole/swingup"}).tracking == ("tensorboard",)
    assert named(False) == named([]) == () and named("mlflow") == ("mlflow",)
    assert named(["tensorboard", "wandb"]) == ("tensorboard", "wandb")
    with pytest.raises(ConfigError, match="tracking"):
        named("tensorbord")


@pytest.mark.slow
def test_a_search_writes_what_its_store_holds_and_runs_all_the_same_where_it_cannot(tmp_path: Path) -> None:
    settings = SMALL | {"llm.model": "offline", "search.generations": 1}
    settings["training.score_episodes"] = 0  # what is tracked are the checkpoints
    view = search.run(config.load(overrides=settings), tmp_path / "runs" / "first")
    folder = tmp_path / "runs" / "first" / "tensorboard"
    trainings = {f"{c.key}": c.trainings for c in view.candidates.values() if c.trainings}
    trainings |= {f"final/{final.name}": final.trainings for final in view.finals}
    assert len(trainings) >= 4
    for key, mine in trainings.items():
        for training in mine:
            found = read_back(folder / key / f"seed-{training.seed}")
            expected = [(point.steps, pytest.approx(point.fitness)) for point in training.curve]
            assert found["eval/fitness"] == expected
            assert {f"components/{name}" for name in training.curve[0].components} <= set(found)

    # the baselines of the second run are taken from the machine's; a file is where its folder should be
    place = tmp_path / "runs" / "second"
    place.mkdir()
    (place / "tensorboard").write_text("in the way")
    events: list[Event] = []
    second = search.run(config.load(overrides=settings), place, listener=events.append)
    assert second.status == "finished"
    assert [c.score for c in second.candidates.values()] == [c.score for c in view.candidates.values()]
    said = [e.data["message"] for e in events if e.kind == "warning" and "tensorboard" in e.data["message"]]
    assert len(said) == 1 and "the search goes on" in said[0]


def test_a_training_without_a_search_is_tracked_where_one_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def compute_reward(state, action, next_state):\n"
        '    """Upright."""\n'
        "    upright = torch.cos(next_state.joint_angles[:, 0])\n"
        '    return upright, {"upright": upright}\n'
    )
    settings = {**SMALL, "training.score_episodes": 0}  # what is tracked are the checkpoints
    small = [f"--set={key}={value}" for key, value in settings.items() if key.startswith("training.")]
    ran = rewardgen(
        "train", SMALL["task"], "--reward", tmp_path / "mine.py", "--log", tmp_path / "curves", "--json", *small
    )
    assert ran.code == 0, ran.err
    (training,) = ran.json["trainings"]
    found = read_back(tmp_path / "curves" / "tensorboard" / "mine" / "seed-0")
    assert found["components/upright"] == [
        (point["steps"], pytest.approx(point["components"]["upright"])) for point in training["curve"]
    ]
