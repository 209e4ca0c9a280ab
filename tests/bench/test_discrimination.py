"""How well rewards are told apart: picks against plain enumeration, the pool, and the benchmark from end to end."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rewardgen.bench import draw_discrimination
from rewardgen.bench.discrimination import by_checkpoint, curves, measure_pool, pick
from rewardgen.bench.pool import Pool, PoolReward, make_pool, spoil
from rewardgen.config import Config, SandboxConfig, load
from rewardgen.errors import UsageError
from rewardgen.evaluation import reliability
from rewardgen.records import RewardProgram, State
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.screening import random_transitions
from rewardgen.tasks import load_task
from rewardgen.training import Member, TaskReward, train

TINY = {
    "training.steps": 512,
    "training.worlds": 4,
    "training.rollout": 32,
    "training.epochs": 1,
    "training.minibatches": 2,
    "training.checkpoints": 2,
    "training.checkpoint_episodes": 1,
    "training.score_episodes": 1,
}


def settings(task: str) -> Config:
    return load(overrides={"task": task, **TINY})


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    chosen = SandboxConfig()
    limits = SandboxLimits(chosen.call_seconds, chosen.program_seconds, chosen.memory_gb)
    with Sandbox(limits, chosen.level) as opened:
        yield opened


# ---- picks


def enumerated(scores: np.ndarray, seeds: int) -> tuple[float, float, float, float, float]:
    """Best, best by the other seeds, rank, regret and regret by the other seeds, over every draw of every reward."""
    rewards, count = scores.shape
    means = scores.mean(1)
    spread = means.std(ddof=1)
    draws = list(itertools.combinations(range(count), seeds))
    best, elsewhere, rank, regret, regret_elsewhere, total = 0.0, 0.0, 0.0, 0.0, 0.0, 0
    for chosen in itertools.product(draws, repeat=rewards):
        total += 1
        mine = np.array([scores[r, list(draw)].mean() for r, draw in enumerate(chosen)])
        rest = np.array([scores[r, [s for s in range(count) if s not in draw]].mean() for r, draw in enumerate(chosen)])
        level = np.flatnonzero(mine == mine.max())
        for r in level:
            share = 1.0 / len(level)
            best += share * (means[r] == means.max())
            elsewhere += share * bool((rest[r] >= rest).all())
            rank += share * (1 + (means > means[r]).sum())
            regret += share * (means.max() - means[r]) / spread
            regret_elsewhere += share * (means.max() - rest[r]) / spread
    return best / total, elsewhere / total, rank / total, regret / total, regret_elsewhere / total


@pytest.mark.parametrize("seeds", [1, 2])
def test_picks_are_those_of_every_draw(seeds: int) -> None:
    generator = np.random.default_rng(3)
    noisy = generator.normal(size=(4, 1)) + generator.normal(size=(4, 4))
    level = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 2.0]])  # many are equal
    for scores in (noisy, level):
        found = pick(scores, seeds)
        mine = (found.best, found.best_elsewhere, found.rank, found.regret, found.regret_elsewhere)
        assert mine == pytest.approx(enumerated(scores, seeds))


def test_a_clear_best_is_always_picked_and_equals_are_picked_by_chance() -> None:
    clear = pick(np.array([[5.0, 5.1, 5.2], [1.0, 1.1, 1.2], [0.0, 0.1, 0.2]]), 1, icc=0.9)
    assert (clear.best, clear.best_elsewhere, clear.rank, clear.regret) == pytest.approx((1.0, 1.0, 1.0, 0.0))
    assert clear.reliability == pytest.approx(0.9)
    same = pick(np.zeros((5, 3)), 2)
    assert same.best == pytest.approx(1.0) and same.rank == 1.0  # all of them are the best
    assert math.isnan(same.regret) and math.isnan(same.reliability)
    with pytest.raises(ValueError, match="leave none"):
        pick(np.zeros((5, 3)), 3)


def test_rows_follow_the_scores_at_each_checkpoint() -> None:
    # at the first checkpoint seeds differ and rewards do not, at the second the other way round
    scores = [[[0.0, 10.0 * r], [1.0, 10.0 * r + 1.0], [2.0, 10.0 * r + 2.0]] for r in range(4)]
    first, second = by_checkpoint([100, 200], scores, scores)
    assert (first["steps"], second["steps"]) == (100, 200)
    assert first["icc"] < 0.0 and first["between_sd"] == 0.0 and first["within_sd"] == pytest.approx(1.0)
    assert second["icc"] > 0.98 and second["low"] < second["icc"] < second["high"]
    assert second["icc_fitness"] == second["icc"]
    assert [each["seeds"] for each in second["picks"]] == [1, 2] and second["picks"][0]["best"] == pytest.approx(1.0)
    assert second["picks"][1]["reliability"] == pytest.approx(reliability(second["icc"], 2))


# ---- the pool


@pytest.mark.parametrize("task", ["cartpole/swingup", "hopper/run", "reacher/reach"])
def test_a_pool_has_twelve_different_rewards_and_is_the_same_again(task: str, sandbox: Sandbox) -> None:
    made = load_task(task)
    pool = make_pool(made, sandbox, threads=1)
    names = [each.name for each in pool.rewards]
    assert len(names) >= 12 and len(set(names)) == len(names)
    assert names[:2] == ["expert", "sparse"]
    assert {each.kind for each in pool.rewards} == {"task", "spoiled", "offline", "written"}
    assert len({each.digest for each in pool.rewards}) == len(names)
    again = make_pool(load_task(task), sandbox, threads=1)
    assert [(e.name, e.about, e.digest) for e in again.rewards] == [(e.name, e.about, e.digest) for e in pool.rewards]
    # everything that a model may have written is a program for the sandbox
    assert all(isinstance(e.reward, RewardProgram) == (e.kind in ("offline", "written")) for e in pool.rewards)


def test_recorded_replies_of_the_task_are_part_of_its_pool(sandbox: Sandbox) -> None:
    pool = make_pool(load_task("cheetah/run"), sandbox, threads=1)
    written = [each for each in pool.rewards if each.kind == "written"]
    assert len(written) == 4 and all(isinstance(each.reward, RewardProgram) for each in written)
    assert pool.left_out == {"control × 10": "it is forward ÷ 10, scaled"}


def test_programs_of_a_folder_come_into_the_pool_and_bad_ones_are_said(tmp_path: Path, sandbox: Sandbox) -> None:
    task = load_task("cartpole/swingup")
    good = 'def compute_reward(state, action, next_state):\n    """Up."""\n    up = next_state.pole_upright\n'
    good += '    return up, {"up": up}\n'
    (tmp_path / "a.py").write_text(good)
    (tmp_path / "b.py").write_text("import os\n" + good)
    (tmp_path / "c.py").write_text(good)
    pool = make_pool(task, sandbox, tmp_path, threads=1)
    assert [each.name for each in pool.rewards if each.kind == "written"] == ["written 0"]
    assert "import" in pool.left_out["written 1"] and pool.left_out["written 2"] == "the same program as written 0"
    # the same under the task's name, and nothing for another task
    (tmp_path / "all" / "cartpole_swingup").mkdir(parents=True)
    (tmp_path / "all" / "cartpole_swingup" / "a.py").write_text(good)
    assert any(each.kind == "written" for each in make_pool(task, sandbox, tmp_path / "all", threads=1).rewards)
    other = make_pool(load_task("reacher/reach"), sandbox, tmp_path / "all", threads=1)
    assert not any(each.kind == "written" for each in other.rewards)
    for wrong in (tmp_path / "none", tmp_path / "all" / "empty"):
        with pytest.raises(UsageError, match="--rewards"):
            (tmp_path / "all" / "empty").mkdir(exist_ok=True)
            make_pool(task, sandbox, wrong, threads=1)


def test_what_spoiling_does() -> None:
    task = load_task("hopper/run")
    some = random_transitions(task, 512, 1, threads=1)
    args = State(task.layout, some.states), some.actions, State(task.layout, some.next_states)
    total, terms = task.expert_reward(*args)
    spoiled = {name: function(*args) for name, _, function in spoil(task, *args)}
    rest = terms["alive"] + terms["control"]
    torch.testing.assert_close(spoiled["forward dropped"][0], rest)
    torch.testing.assert_close(spoiled["forward ÷ 10"][0], rest + 0.1 * terms["forward"])
    torch.testing.assert_close(spoiled["control sign flipped"][0], total - 2.0 * terms["control"])
    assert spoiled["saturated"][0].max() <= total.max() and (spoiled["saturated"][0] <= total + 1e-6).all()
    # about a quarter are cut off, a twentieth are paid late
    assert 0.2 < float((spoiled["saturated"][0] < total).double().mean()) < 0.3
    assert 0.02 < float((spoiled["late"][0] > 0).double().mean()) < 0.08
    assert set(spoiled["threshold"][0].tolist()) == {0.0, 1.0}
    for changed, parts in spoiled.values():
        torch.testing.assert_close(torch.stack(list(parts.values())).sum(0), changed)


# ---- the benchmark


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(tmp_path: Path, sandbox: Sandbox) -> None:
    task, config = load_task("cartpole/swingup"), settings("cartpole/swingup").training
    whole = make_pool(task, sandbox, threads=1)
    few = Pool((*whole.rewards[:2], whole.rewards[-1]), {})
    told: list[str] = []

    def trained(folder: Path, together: int, pool: Pool = few) -> dict:
        return curves(
            task, pool, [0, 1], config, folder, sandbox, together=together, threads=1, on_progress=told.append
        )

    first = trained(tmp_path / "a", 4)
    assert told == [
        "cartpole/swingup: 6 of 6 trainings to do, 512 steps each",
        "cartpole/swingup: 4 of 6 trainings done",
        "cartpole/swingup: 6 of 6 trainings done",
    ]
    (direct,) = train(task, [Member("x", 1, TaskReward(task.sparse_reward, task.layout))], config, threads=1)
    assert first["sparse"][1].points == tuple((p.steps, p.fitness, p.own_return) for p in direct.curve)
    # as after a kill: one file is there only in part, one not at all
    files = sorted((tmp_path / "a").rglob("*.json"))
    assert len(files) == 6
    files[0].rename(files[0].with_suffix(".part"))
    files[3].unlink()
    told.clear()
    again = trained(tmp_path / "a", 1)
    assert told[0] == "cartpole/swingup: 2 of 6 trainings to do, 512 steps each" and len(told) == 3
    assert {name: [c.points for c in of] for name, of in again.items()} == {
        name: [c.points for c in of] for name, of in first.items()
    }
    told.clear()
    assert trained(tmp_path / "a", 1) == again and not told
    # another program under the same name is another reward
    changed = PoolReward("sparse", "task", "changed", "0" * 64, few.rewards[0].reward)
    trained(tmp_path / "a", 2, Pool((few.rewards[0], changed), {}))
    assert told[0].startswith("cartpole/swingup: 2 of 4 trainings to do")


@pytest.mark.slow
def test_rewards_that_fail_are_said_and_stored_and_left_out(tmp_path: Path, sandbox: Sandbox) -> None:
    task, config = load_task("cartpole/swingup"), settings("cartpole/swingup").training
    late = 'def compute_reward(state, action, next_state):\n    """Fails when the cart has moved."""\n'
    late += "    r = torch.log(0.2 - next_state.cart_position.abs())\n    return r, {'r': r}\n"
    whole = make_pool(task, sandbox, threads=1)
    broken = PoolReward("broken", "written", "", "1" * 64, RewardProgram(late))
    pool = Pool((*whole.rewards[:3], broken), {})
    told: list[str] = []

    def measured() -> dict:
        return measure_pool(task, pool, [0, 1], config, tmp_path, sandbox, threads=1, on_progress=told.append)

    found = measured()
    assert list(found["failed"]) == ["broken"] and "seed 0" in found["failed"]["broken"]
    assert [("mean" in each) for each in found["rewards"]] == [True, True, True, False]
    assert [row["steps"] for row in found["by_steps"]] == [256, 512]
    assert told[0].startswith("cartpole/swingup: 8 of 8")
    told.clear()
    assert json.dumps(measured()) == json.dumps(found) and not told  # a failure is not tried again
    draw_discrimination({"cartpole/swingup": found}, tmp_path / "shares.svg")
    assert "rewards' share" in (tmp_path / "shares.svg").read_text()
