"""``rewardgen bench``: what goes with what, and learning curves from end to end on small sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import rewardgen

SMALL = [
    "training.steps=2048",
    "training.worlds=8",
    "training.rollout=64",
    "training.checkpoints=2",
    "training.checkpoint_episodes=1",
    "training.score_episodes=1",
]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--task", "cartpole/swingup", "--task", "cheetah/run"], "--learning and --discrimination alone"),
        (["--set", "training.steps=100"], "--racing, --learning and --discrimination"),
        (["--discrimination", "--set", "search.seeds=2"], "settings in training and sandbox"),
        (["--discrimination", "--seeds", "1", "--task", "cartpole/swingup"], "two seeds"),
        (["--discrimination", "--rewards", "nowhere"], "no such file or folder"),
        (["--rewards", "nowhere"], "--discrimination"),
        (["--learning", "--set", "search.seeds=2"], "settings in training"),
        (["--learning", "--trainer", "sb4"], "sb3-matched"),
        (["--learning", "--trainer", "sb3", "--task", "cartpole/swingup"], "Gymnasium"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], says: str) -> None:
    done = rewardgen("bench", *arguments)
    assert done.code == 2
    assert says in " ".join(done.err.split())


@pytest.mark.slow
def test_learning_curves_are_kept_and_drawn(tmp_path: Path) -> None:
    settings = [part for each in SMALL for part in ("--set", each)]
    arguments = ["bench", "--learning", "--task", "reacher/reach", "--trainer", "population", "--seeds", 2]
    arguments += [*settings, "--results", tmp_path / "curves", "--plot", tmp_path / "curves.svg"]
    first = rewardgen(*arguments, "--json")
    assert first.code == 0, first.err
    points = first.json["reacher/reach"]["points"]["population"]
    assert [point["steps"] for point in points] == [1024, 2048] and points[0]["seeds"] == 2
    assert (tmp_path / "curves.svg").exists()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "curves").rglob("*.json")}
    again = rewardgen(*arguments)
    assert again.code == 0 and "2,048" in again.out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "curves").rglob("*.json")} == before


@pytest.mark.slow
def test_rewards_are_told_apart_and_that_goes_on_where_it_stopped(tmp_path: Path) -> None:
    settings = [part for each in (*SMALL, "training.epochs=1") for part in ("--set", each)]
    arguments = ["bench", "--discrimination", "--task", "reacher/reach", "--seeds", 2, "--threads", 1, *settings]
    arguments += ["--results", tmp_path / "curves"]
    first = rewardgen(*arguments, "--json", "--plot", tmp_path / "shares.svg")
    assert first.code == 0, first.err
    found = first.json["reacher/reach"]
    assert len(found["rewards"]) >= 12 and not found["failed"]
    assert [row["steps"] for row in found["by_steps"]] == [1024, 2048]
    assert [each["seeds"] for each in found["by_steps"][0]["picks"]] == [1]
    assert (tmp_path / "shares.svg").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "curves").rglob("*.json")}
    assert len(kept) == 2 * len(found["rewards"])
    again = rewardgen(*arguments)
    assert again.code == 0 and "saturated" in again.out and "2,048" in again.out
    assert "to do" not in again.err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "curves").rglob("*.json")} == kept
