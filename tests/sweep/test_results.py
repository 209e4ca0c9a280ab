"""Reading what searches left behind: real stores, finished, stopped, damaged, and those that were never begun."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rewardgen.errors import StoreError
from rewardgen.sweep.results import load
from tests.sweep.sweeps import EXPERT, write_run, write_sweep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_sweep(tmp_path / "s", ["one", "two"], ["cartpole/swingup"], [0, 1])
    write_run(made / "one/cartpole-swingup/seed0", 3.0)
    write_run(made / "one/cartpole-swingup/seed1", 4.0, status="failed")
    write_run(made / "two/cartpole-swingup/seed0", 2.0, status="running", dollars=0.0)
    return made


def test_results_are_what_the_stores_hold(folder: Path) -> None:
    sweep = load(folder)
    assert sweep.arms == ("one", "two") and sweep.tasks == ("cartpole/swingup",) and sweep.seeds == (0, 1)
    found = {(each.arm, each.seed): each for each in sweep.results}
    done = found["one", 0]
    assert done.status == "finished" and done.scored
    assert (done.found.mean, done.found.low, done.found.high) == (3.0, 2.5, 3.5)
    assert done.expert.mean == EXPERT.mean and done.unit == "m/s"
    # two candidates and one measured again, a thousand steps each
    assert (done.steps, done.tokens, done.dollars, done.hours) == (3000, 30, 0.5, 2.0)


def test_progress_shows_what_fresh_seeds_said_of_the_leader(folder: Path) -> None:
    first, second = load(folder).results[0].progress
    assert (first.steps, first.dollars, first.score) == (1000, 0.25, 1.5)
    assert first.hours == pytest.approx(0.01)
    # selected with 4.0, on a fresh seed 3.0, whose steps count
    assert (second.steps, second.dollars, second.score) == (3000, 0.5, 3.0)
    assert second.hours == pytest.approx(0.03)


def test_what_is_not_finished_has_no_score(folder: Path) -> None:
    found = {(each.arm, each.seed): each for each in load(folder).results}
    assert found["one", 1].status == "failed"
    # said to be running, but nobody holds it
    assert found["two", 0].status == "interrupted"
    assert found["two", 1].status == "missing" and not found["two", 1].progress
    for key in (("one", 1), ("two", 0), ("two", 1)):
        assert not found[key].scored and math.isnan(found[key].found.mean)


def test_tokens_without_a_known_price_are_not_free(folder: Path) -> None:
    found = {(each.arm, each.seed): each for each in load(folder).results}
    assert math.isnan(found["two", 0].dollars)


def test_a_damaged_run_is_a_failed_one(folder: Path) -> None:
    (folder / "two/cartpole-swingup/seed0/run.sqlite").write_bytes(b"not a database, but long enough to be one" * 40)
    found = {(each.arm, each.seed): each for each in load(folder).results}
    assert found["two", 0].status == "failed" and found["two", 0].message
    assert found["one", 0].scored


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a sweep"):
        load(tmp_path)
