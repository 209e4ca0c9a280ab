"""From a spec to searches, against an example that was worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewardgen.errors import StoreError
from rewardgen.sim.machine import machine
from rewardgen.sweep import Rates, make_plan, read_plan
from rewardgen.sweep.plan import write_plan
from rewardgen.tasks import load_task
from tests.sweep.specs import written

SPEC = """
tasks: [hopper/run, "cartpole/swing*"]
seeds: [7, 2]
settings:
  search: {candidates: 4, generations: 2}
  training.steps: 1e4
arms:
  plain:
  careful: {search: {remeasure: 2, candidates: 6}}
grid:
  training.learning_rate: [1e-3, 3e-4]
points:
  - {search.racing: false}
  - {search.racing: true, search.racing.share: 0.5}
"""


def test_expansion_by_hand(tmp_path: Path) -> None:
    plan = make_plan(written(tmp_path, SPEC), tmp_path / "runs", given={"search.generations": 3})
    arms = [
        "plain, learning_rate=0.001, no racing",
        "plain, learning_rate=0.001, racing, share=0.5",
        "plain, learning_rate=0.0003, no racing",
        "plain, learning_rate=0.0003, racing, share=0.5",
        "careful, learning_rate=0.001, no racing",
        "careful, learning_rate=0.001, racing, share=0.5",
        "careful, learning_rate=0.0003, no racing",
        "careful, learning_rate=0.0003, racing, share=0.5",
    ]
    tasks = ["hopper/run", "cartpole/swingup"]
    assert [(p.seed, p.task, p.arm) for p in plan.searches] == [(s, t, a) for s in (7, 2) for t in tasks for a in arms]
    by_place = {(p.arm, p.task, p.seed): p for p in plan.searches}
    one = by_place[arms[6], "hopper/run", 2]
    assert one.run_dir == tmp_path / "runs/spec/careful-learning_rate=0.0003-no-racing/hopper-run/seed2"
    assert (one.config.task, one.config.seed) == ("hopper/run", 2)
    search, training = one.config.search, one.config.training
    assert (search.candidates, search.remeasure, search.generations, search.racing.enabled) == (6, 2, 3, False)
    assert (training.steps, training.learning_rate) == (10_000, 3e-4)
    # what the task's file sets for its domain holds where the spec is silent
    assert load_task("hopper/run").training["epochs"] == training.epochs != 4
    other = by_place[arms[1], "cartpole/swingup", 7].config
    assert (other.search.candidates, other.search.racing.enabled, other.search.racing.share) == (4, True, 0.5)
    assert other.training.learning_rate == 1e-3


def test_what_is_kept_of_a_plan_is_read_again(tmp_path: Path) -> None:
    plan = make_plan(written(tmp_path, SPEC), tmp_path / "runs", name="other")
    write_plan(plan, Rates().document(), machine())
    kept = read_plan(tmp_path / "runs" / "other")
    assert kept.searches == plan.searches
    assert kept.tasks == ("hopper/run", "cartpole/swingup") and kept.seeds == (7, 2) and len(kept.arms) == 8
    assert kept.rates == Rates().document()
    path = tmp_path / "runs" / "other" / "sweep.json"
    whole = path.read_text()
    for damaged in (whole[:-9], "{}", "[]", whole.replace("careful-learning_rate=0.001-no-racing", "../../../x")):
        path.write_text(damaged)
        with pytest.raises(StoreError, match="sweep.json"):
            read_plan(tmp_path / "runs" / "other")


def test_paths_in_a_spec_are_seen_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "specs"
    (folder / "words").mkdir(parents=True)
    written(folder, "name: mine\nsummary: nothing of its own\n", "mine.yaml")
    text = """
        tasks: cartpole/swingup
        arms:
          mine: {search.method: mine.yaml, prompts: words}
          again: {llm.model: "replay:mine.jsonl"}
    """
    spec = written(folder, text)
    monkeypatch.chdir(tmp_path)
    first, second = make_plan(Path("specs") / spec.name, Path("runs")).searches
    assert first.config.search.method == str(folder / "mine.yaml") and first.prompts_dir == folder / "words"
    assert second.config.llm.model == f"replay:{folder / 'mine.jsonl'}" and second.prompts_dir is None


def test_text_names_an_arm_by_itself_and_a_pattern_stands_for_methods(tmp_path: Path) -> None:
    text = """
        tasks: cartpole/swingup
        grid: {search.method: ["eur*"], llm.model: [offline, gpt-5-mini]}
    """
    plan = make_plan(written(tmp_path, text), tmp_path)
    assert [arm.name for arm in plan.arms] == ["eureka, offline", "eureka, gpt-5-mini"]
    assert [arm.name for arm in make_plan(written(tmp_path, "tasks: cartpole/swingup\n"), tmp_path).arms] == ["default"]
