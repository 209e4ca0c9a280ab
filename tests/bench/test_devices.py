"""The comparison of arrangements, on this machine's processor."""

from __future__ import annotations

import pytest
import torch

from rewardgen.bench.devices import arrangements, measure_devices, physics_rate
from rewardgen.config import TrainingConfig
from rewardgen.errors import ConfigError, UsageError
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.tasks import load_task

CONFIG = TrainingConfig(
    worlds=8, rollout=4, epochs=1, minibatches=2, hidden=(8,), checkpoint_episodes=1, score_episodes=1
)


@pytest.mark.slow
def test_every_arrangement_and_size_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mujoco_warp")
    task = load_task("cartpole/swingup")
    monkeypatch.setattr(type(task), "horizon", 50)  # the episodes of checkpoints are not what is measured
    told: list[str] = []
    result = measure_devices(
        task, CONFIG, device="cpu", worlds=(4, 8), candidates=2, updates=1, on_progress=told.append
    )
    assert [(row["arrangement"], row["worlds"]) for row in result["rows"]] == [
        (f"physics by {name} on cpu, learning on cpu", worlds)
        for name in ("MuJoCo", "mujoco_warp")
        for worlds in (4, 8)
    ]
    for row in result["rows"]:
        assert row["message"] == ""
        assert row["physics_steps_per_s"] > row["train_steps_per_s"] > 0
        assert 0.5 < sum(row[part] for part in ("rollout", "labels", "learning")) <= 1.0
    rates = [row["train_steps_per_s"] for row in result["rows"]]
    assert result["fastest"]["train_steps_per_s"] == max(rates)
    assert result["together"] == pytest.approx(max(rates) / result["alone_steps_per_s"])
    assert len(told) == 5


def test_what_would_take_too_long_is_left_out() -> None:
    task = load_task("cartpole/swingup")
    result = measure_devices(task, CONFIG, sim="mujoco", device="cpu", worlds=(4,), candidates=2, max_seconds=0.0)
    (row,) = result["rows"]
    assert row["physics_steps_per_s"] > 0
    assert row["train_steps_per_s"] is None and "more than 0 s" in row["message"]
    assert result["fastest"] is result["together"] is None


def test_physics_is_timed_in_control_steps_of_all_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock of its own, half a second later each time it is asked."""
    clock = (0.5 * number for number in range(1000))
    monkeypatch.setattr("rewardgen.bench.devices.time.perf_counter", lambda: next(clock))
    # begun at 0.0; asked at 0.5 it is not over yet, at 1.0 it is; the end is taken at 1.5, after one round of 3 steps
    assert physics_rate(load_task("cartpole/swingup"), ON_CPU, 5, 1) == pytest.approx(3 * 5 / 1.5)


def test_without_a_card_only_the_processor_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [str(place.device) for place in arrangements()] == ["cpu"]
    with pytest.raises(ConfigError, match="CUDA"):
        arrangements(device="cuda")


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one world for each candidate"):
        measure_devices(load_task("cartpole/swingup"), CONFIG, worlds=(8,), candidates=16)
