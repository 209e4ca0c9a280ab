"""The sweeps in runs/ are there, are what their comments say, and would start."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewardgen.search import method_names
from rewardgen.sweep.rates import STEPS_PER_THREAD
from tests.cli.commands import rewardgen

RUNS = Path(__file__).parents[2] / "runs"
EXAMPLES = {
    "first-look": 6,
    "methods": 9 * len(method_names()),
    "reflection": 30,
    "authors": 12,
    "judges": 6,
    "scale-up": 240,
}
"""Name → its searches."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_dry_run_of_an_example(name: str, tmp_path: Path) -> None:
    spec = RUNS / f"{name}.yaml"
    comment = [line for line in spec.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert any(line.startswith("# Shows: ") for line in comment) and any(
        line.startswith("# Costs: ") for line in comment
    )
    told = rewardgen("sweep", spec, "--dry-run", "--json", "--jobs", 2, "--out", tmp_path)
    assert told.code == 0, told.err
    assert len(told.json["searches"]) == EXAMPLES[name]
    assert {each["status"] for each in told.json["searches"]} == {"waiting"}
    assert told.json["total"]["trainings"] > 0 and told.json["wall_hours"] > 0
    for task in told.json["rates"]["tasks"].values():
        assert task == {"steps_per_second_and_processor": STEPS_PER_THREAD, "measured": False}
    if name == "first-look":  # on two processors of the speed that is assumed, about the five minutes of its comment
        assert told.json["wall_hours"] * 60 <= 6
    if name == "authors":
        assert list(told.json["not_ready"]) == ["gpt-5-mini"]
        assert told.json["by_arm"]["gpt-5-mini"]["dollars"] < 3
    if name == "methods":
        assert {each["method"] for each in told.json["searches"]} == set(method_names())


def test_a_dry_run_for_people(tmp_path: Path) -> None:
    told = rewardgen("sweep", RUNS / "first-look.yaml", "--dry-run", "--out", tmp_path)
    assert told.code == 0, told.err
    assert "first-look: 2 arms × 1 task × 3 seeds = 6 searches" in told.out
    assert "assumed, without earlier runs: cartpole/swingup 20,000" in told.out
    assert not list(tmp_path.iterdir())
