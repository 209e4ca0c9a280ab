"""What a sweep will take, and which searches its budgets allow, against values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rewardgen.config import BudgetConfig, load
from rewardgen.records import Message, Reply, TrainingResult
from rewardgen.sim.machine import machine
from rewardgen.store import Store
from rewardgen.sweep import Amounts, Rates, make_plan, measured_rates, of_baselines, of_search, wall_hours
from rewardgen.sweep.estimate import STARTING, baselines_of
from rewardgen.sweep.ledger import Ledger, Limit, budgeted, limits
from rewardgen.sweep.rates import Replies
from rewardgen.sweep.spec import Budgets
from tests.sweep.specs import written

SETTINGS: dict[str, Any] = {
    "task": "cartpole/swingup",
    "search.generations": 2,
    "search.candidates": 3,
    "search.seeds": 2,
    "search.remeasure": 1,
    "search.repairs": 0,
    "training.steps": 1000,
    "evaluation.report_seeds": 2,
    "llm.model": "offline",
}
RATES = Rates({"cartpole/swingup population": 100.0}, {"gpt-4o": Replies(4000, 500, 20.0)}, 3)


def test_a_search_by_hand() -> None:
    # 2 generations of 3 × 2 trainings and 1 to measure again, then 2 of the winner
    offline = of_search(load(overrides=SETTINGS), RATES, threads=2)
    assert offline.trainings == 2 * (3 * 2 + 1) + 2 == 16
    # at most: both elites are measured again; winner, expert and sparse reward count as the run's own
    assert offline.steps == 2 * (3 * 2 + 2) * 1000 + 3 * 2 * 1000 == 22_000
    assert (offline.calls, offline.tokens, offline.dollars) == (0, 0, 0.0)
    assert offline.hours * 3600 == pytest.approx(16 * 1000 / (100 * 2) + STARTING)
    # 2 calls of 4,000 tokens, 2 × 3 replies of 500, at 2.50 and 10 dollars a million, 20 s each
    asked = of_search(load(overrides={**SETTINGS, "llm.model": "gpt-4o"}), RATES, threads=2)
    assert (asked.calls, asked.tokens) == (2, 2 * 4000 + 6 * 500)
    assert asked.dollars == pytest.approx(8000 * 2.5e-6 + 3000 * 10e-6)
    assert asked.hours * 3600 == pytest.approx(80 + 40 + STARTING)
    assert of_search(load(overrides={**SETTINGS, "llm.model": "nobody-knows"}), RATES, 2).dollars is None
    both = of_baselines(load(overrides=SETTINGS), RATES, threads=2)
    assert (both.trainings, both.steps) == (4, 0)
    assert both.hours * 3600 == pytest.approx(4 * 1000 / 200 + STARTING)


def test_the_calls_of_a_method_by_hand() -> None:
    def calls(method: str) -> int:
        return of_search(load(overrides={**SETTINGS, "llm.model": "gpt-4o", "search.method": method}), RATES, 1).calls

    # 2 generations; 6 programs reviewed, half of them once more, and of every two reviews one revision; 1 analysis
    assert calls("auto_mc") == 2 + round((6 + 3) * 1.5) + 1
    assert calls("revolve") == 1 + 3  # the second generation asks for each program by itself


def test_the_time_from_start_to_end() -> None:
    three = [Amounts(hours=1.0), Amounts(hours=1.0), Amounts(hours=4.0)]
    assert wall_hours(three, 1) == 6.0
    assert wall_hours(three, 2) == 4.0  # the longest
    assert wall_hours([], 2) == 0.0


def test_baselines_are_counted_once_for_each_task_and_its_settings(tmp_path: Path) -> None:
    text = """
        tasks: [cartpole/swingup, hopper/run]
        seeds: 3
        arms: {one: {}, other: {search.candidates: 2}, longer: {training.steps: 2000}}
    """
    kinds = baselines_of(make_plan(written(tmp_path, text), tmp_path).searches)
    assert [(each.task, each.config.training.steps) for each in kinds.values()] == [
        ("cartpole/swingup", 200_000), ("cartpole/swingup", 2000),
        ("hopper/run", 1_000_000), ("hopper/run", 2000),
    ]  # fmt: skip


def test_baselines_stand_for_the_checkpoint_that_their_searches_stand_for(tmp_path: Path) -> None:
    """What people judge stands for its last policy; the own return of what is paid for progress says nothing."""
    text = """
        tasks: [cartpole/swingup]
        arms:
          eureka:
          icpl: {search.method: icpl}
          text2reward: {search.method: text2reward}
          progress: {search.method: progress, training.keep: own}
          rewardgen: {search.method: rewardgen}
    """
    searches = make_plan(written(tmp_path, text), tmp_path).searches
    assert [each.config.training.keep for each in searches] == ["best", "best", "best", "own", "own"]
    assert [each.config.training.keep for each in baselines_of(searches).values()] == ["best", "last", "own"]


def kept_run(folder: Path, seconds: float, threads: int, where: dict[str, str], *, model: str = "") -> None:
    """A run with one training of 40,000 steps in ``seconds``, and with two replies of ``model`` to one call."""
    config = load(overrides={**SETTINGS, "threads": threads, "sim": "mujoco"})
    with Store(folder, new=True) as store:
        store.set_meta(config=config.model_dump(mode="json"), machine=where, author=model or "offline")
        result = TrainingResult("r0g0c0", 1, "finished", "", (), None, 40_000, seconds)
        store.add_trainings([("r0g0c0", result), ("final/expert", result)])
        if model:
            replies = [Reply("x", model, 3000, 100, 0.0, seconds=8.0), Reply("y", model, 0, 300, 0.0, seconds=10.0)]
            store.add_call("r0g0", "generation", 1, [Message("user", "?")], replies)


def test_rates_are_measured_in_the_runs_of_this_machine(tmp_path: Path) -> None:
    assert measured_rates(tmp_path) == Rates()
    here = machine()
    kept_run(tmp_path / "one", 4.0, 1, here)  # 10,000 a second
    kept_run(tmp_path / "sweep/arm/task/seed0", 1.0, 2, here, model="a-model")  # 20,000 a second on each of two
    kept_run(tmp_path / "elsewhere", 0.001, 1, {**here, "processor": "another"})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.sqlite").write_bytes(b"no database")
    rates = measured_rates(tmp_path)
    assert rates.runs == 2 and rates.steps == {"cartpole/swingup population": 15_000.0}
    assert rates.replies == {"a-model": Replies(3000.0, 200.0, 9.0)}
    assert Rates.of(rates.document()) == rates
    other = load(overrides={**SETTINGS, "task": "hopper/run"})
    assert rates.of_task(other) == 15_000.0 and not rates.measured(other)


# ---- budgets


def test_a_budget_lets_whole_searches_begin_in_the_plan_s_order() -> None:
    found = limits(Budgets(total=BudgetConfig(steps=250), arms={"a*": BudgetConfig(steps=150)}), ["a", "b"])
    assert found == [
        Limit("the sweep's budget", "steps", 250, frozenset("ab")),
        Limit("the budget of a", "steps", 150, frozenset("a")),
    ]
    ledger = Ledger(found, ["a", "b", "a", "b"], [{"steps": 100.0}] * 4)
    # the third might fit, once it is known what the first took; until then the fourth has to wait for it, too
    assert list(ledger.allowed()) == [0, 1] and not ledger.left_out
    ledger.ended(0, Amounts(steps=40))
    assert list(ledger.allowed()) == [1, 2]  # 40 + 100 + 100
    ledger.ended(2, Amounts(steps=100))
    ledger.ended(1, Amounts(steps=20))
    assert list(ledger.allowed()) == [] and list(ledger.left_out) == [3]  # 160 of 250 are gone
    assert ledger.left_out[3] == ("the sweep's budget of 250 steps has 90 left, and this search may take 100")


def test_whichever_search_ends_first_the_same_are_left_out() -> None:
    found = limits(Budgets(total=BudgetConfig(steps=300)), ["a"])
    took = [90, 10, 100, 80, 5, 60]

    def decided(order: list[int]) -> set[int]:
        ledger = Ledger(found, ["a"] * 6, [{"steps": 100.0}] * 6)
        while True:
            open_ = set(ledger.allowed()) - set(ledger._spent)
            if not open_:
                return set(ledger.left_out)
            index = min(open_, key=order.index)
            ledger.ended(index, Amounts(steps=took[index]))

    orders = [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 0, 4, 1, 5, 3]]
    assert [decided(order) for order in orders] == [{4, 5}, {4, 5}, {4, 5}]  # 280 are gone after the fourth


def test_each_search_of_a_limited_sweep_has_a_budget_of_its_own(tmp_path: Path) -> None:
    text = """
        tasks: cartpole/swingup
        seeds: 2
        settings: {{training.steps: 1000, llm.model: gpt-4o, budget: {{calls: 7}}}}
        arms: {{limited: {{}}, free: {{}}}}
        budgets: {{arms: {{limited: {{dollars: {dollars}, hours: 30, steps: 1_000_000, calls: 100}}}}}}
    """
    plan, _ = budgeted(make_plan(written(tmp_path, text.format(dollars=1)), tmp_path), RATES, 2)
    expected = of_search(plan.searches[0].config, RATES, 2)
    limited, free = (planned.config.budget for planned in plan.searches[:2])
    # there is more than twice of what is expected: both have the half of it
    assert limited.dollars == pytest.approx(0.5) and limited.hours == pytest.approx(15) and limited.steps == 500_000
    assert limited.calls == free.calls == 7
    assert (free.dollars, free.steps) == (None, None)
    # there is less: who begins has twice of what is expected
    assert expected.dollars is not None
    text = text.format(dollars=3 * expected.dollars)
    plan, most = budgeted(make_plan(written(tmp_path, text), tmp_path), RATES, 2)
    assert plan.searches[0].config.budget.dollars == pytest.approx(2 * expected.dollars)
    assert most[0]["dollars"] == pytest.approx(2 * expected.dollars)
