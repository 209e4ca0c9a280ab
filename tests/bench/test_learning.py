"""Learning curves: what is stored, what is taken from the store, and how curves are held against each other."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from rewardgen.bench import draw_learning, draw_throughput, measure_learning, reference
from rewardgen.bench.learning import Curve, Point, compare, curves, points
from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.tasks import load_task
from rewardgen.training import Member, TaskReward, train

SMALL = TrainingConfig(
    steps=2048, worlds=8, rollout=8, epochs=1, minibatches=2, checkpoints=2, checkpoint_episodes=2, score_episodes=0
)


def test_a_curve_is_the_trainings_own_and_is_not_trained_twice(tmp_path: Path) -> None:
    task = load_task("cartpole/swingup")
    said: list[str] = []
    first = curves(task, "population", [3], SMALL, tmp_path, threads=1, on_progress=said.append)
    assert len(said) == 2
    (result,) = train(task, [Member("expert", 3, TaskReward(task.expert_reward, task.layout))], SMALL, threads=1)
    assert first[0].points == tuple((point.steps, point.own_return) for point in result.curve)
    assert curves(task, "population", [3], SMALL, tmp_path, threads=1, on_progress=said.append) == first
    assert len(said) == 2  # nothing was left to train
    # a further seed is trained alone, and comes out as it would have in company
    both = curves(task, "population", [4, 3], SMALL, tmp_path, threads=1, on_progress=said.append)
    assert said[2].endswith("1 of 2 seeds to train for 2,048 steps") and both[1] == first[0]
    together = curves(task, "population", [4, 3], SMALL, tmp_path / "other", threads=1)
    assert [curve.points for curve in together] == [curve.points for curve in both]


def test_other_settings_are_other_curves(tmp_path: Path) -> None:
    task = load_task("cartpole/swingup")
    curves(task, "population", [0], SMALL, tmp_path, threads=1)
    curves(task, "population", [0], SMALL.model_copy(update={"learning_rate": 1e-4}), tmp_path, threads=1)
    assert len(list(tmp_path.rglob("*.json"))) == 2


def test_a_stored_curve_of_other_settings_is_trained_again(tmp_path: Path) -> None:
    """As when a default has changed since: the folder is the same, what is written in the file is not."""
    task = load_task("cartpole/swingup")
    (fresh,) = curves(task, "population", [0], SMALL, tmp_path, threads=1)
    (path,) = tmp_path.rglob("*.json")
    stored = json.loads(path.read_text())
    now: dict[str, Any] = stored["settings"]
    without_one = {name: value for name, value in now.items() if name != "gamma"}
    for then, again in (({**now, "gamma": 0.5}, True), (without_one, True), ({**now, "a_setting_of_old": 1}, False)):
        path.write_text(json.dumps({**stored, "settings": then, "seconds": -1.0}))
        (curve,) = curves(task, "population", [0], SMALL, tmp_path, threads=1)
        assert (curve.seconds > 0.0) is again and curve.points == fresh.points


def test_a_broken_file_is_said(tmp_path: Path) -> None:
    task = load_task("cartpole/swingup")
    curves(task, "population", [0], SMALL, tmp_path, threads=1)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(json.dumps({"task": "cartpole/swingup"}))
    with pytest.raises(UsageError, match="delete it"):
        curves(task, "population", [0], SMALL, tmp_path, threads=1)


def test_who_cannot_be_compared(tmp_path: Path) -> None:
    task = load_task("cartpole/swingup")
    with pytest.raises(UsageError, match="population, sb3-matched, sb3"):
        curves(task, "sb4", [0], SMALL, tmp_path)
    with pytest.raises(UsageError, match="Gymnasium"):
        curves(task, "sb3", [0], SMALL, tmp_path)


def test_points_are_means_over_seeds_up_to_the_common_end() -> None:
    def curve(seed: int, *values: float) -> Curve:
        traced = tuple((1000 * (i + 1), value) for i, value in enumerate(values))
        return Curve("cheetah/run", "sb3", seed, {}, traced, 1.0)

    found = points([curve(0, 1.0, 4.0, 9.0), curve(1, 3.0, 8.0)], steps=2000)
    assert [(point.steps, point.mean, point.seeds) for point in found] == [(1000, 2.0, 2), (2000, 6.0, 2)]
    assert all(point.low < point.mean < point.high for point in found)
    assert [point.steps for point in points([curve(0, 1.0, 2.0, 3.0)], steps=2000)] == [1000, 2000]


def test_below_is_below_the_lower_end() -> None:
    def point(mean: float, low: float) -> Point:
        return Point(1000, mean, low, 2 * mean - low, 8)

    rows = compare([point(5.0, 4.0), point(5.0, 4.0)], [point(6.0, 4.9), point(6.0, 5.1), point(7.0, 6.0)])
    assert [row["below"] for row in rows] == [False, True]


@pytest.mark.slow
def test_the_matched_reference_and_the_figure(tmp_path: Path) -> None:
    task = load_task("cartpole/swingup")
    measured = measure_learning([task], [SMALL], ["population", "sb3-matched"], [0, 1], tmp_path, threads=1)
    found = measured["cartpole/swingup"]
    assert [len(of) for of in found["points"].values()] == [2, 2]
    assert list(found["against"]) == ["sb3-matched"] and len(found["against"]["sb3-matched"]) == 2
    draw_learning(measured, tmp_path / "curves.svg")
    assert "cartpole/swingup" in (tmp_path / "curves.svg").read_text()
    with pytest.raises(UsageError, match="svg"):
        draw_learning(measured, tmp_path / "curves.txt")


@pytest.mark.slow
def test_returns_of_the_defaults_are_those_that_stable_baselines3_measures() -> None:
    ((steps, mean),) = reference.sb3_curve("Pendulum-v1", 0, 2048, every=2048, episodes=4)
    model = PPO("MlpPolicy", gymnasium.make("Pendulum-v1"), device="cpu", seed=0).learn(2048)
    games = DummyVecEnv([lambda: Monitor(gymnasium.make("Pendulum-v1"))] * 4)
    games.seed(reference._FIRST_START)
    theirs, _ = evaluate_policy(model, games, n_eval_episodes=4)
    assert steps == 2048 and mean == pytest.approx(float(theirs))


def test_throughput_is_drawn_with_what_there_is(tmp_path: Path) -> None:
    rates = {"physics_steps_per_s": 60000.0, "train_steps_per_s": 41000.0, "sb3_steps_per_s": 1500.0}
    measured = {**rates, "envpool_steps_per_s": math.nan, "scaling": {"1": 3e4, "8": 4e4}}
    draw_throughput(measured, tmp_path / "rates.svg")
    draw_throughput(measured, tmp_path / "rates.pdf")
    assert (tmp_path / "rates.pdf").read_bytes().startswith(b"%PDF-")
    drawn = (tmp_path / "rates.svg").read_text()
    assert "41,000" in drawn and "EnvPool" not in drawn
