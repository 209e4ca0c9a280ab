"""What an analysis says of sweeps whose truth is known, against values by hand."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import pytest
from scipy import stats

from rewardgen.errors import UnknownName
from rewardgen.sweep.analysis import analyse
from rewardgen.sweep.results import UNSCORED, Score, Sweep
from rewardgen.sweep.tables import tables
from rewardgen.sweep.words import caveats, verdicts
from tests.sweep.sweeps import fitness, sweep

CLEAR = {
    "base": {"a/run": [0.1, 0.2, 0.3], "b/run": [0.0, 0.1, 0.2]},
    "better": {"a/run": [0.9, 1.0, 1.2], "b/run": [0.8, 1.0, 1.0]},
    "same": {"a/run": [0.3, 0.1, 0.2], "b/run": [0.1, 0.2, 0.0]},
}


def test_scores_are_normalised_and_paired_by_task_and_seed() -> None:
    found = analyse(sweep(CLEAR))
    assert found.baseline == "base" and found.common == ("a/run", "b/run")
    better, same = found.comparisons
    assert better.difference.value == pytest.approx((0.8 + 0.8 + 0.9 + 0.8 + 0.9 + 0.8) / 6)
    assert better.pairs == 6 and better.tasks == 2 and better.supported
    assert better.improvement.value == 1.0
    assert same.difference.value == pytest.approx(0.0) and not same.supported
    assert found.cell("better", "a/run").fitness.value == pytest.approx(fitness(3.1 / 3))
    assert [each.iqm.value for each in found.aggregates] == pytest.approx(
        [(0.1 + 0.1 + 0.2 + 0.2) / 4, (0.9 + 1.0 + 1.0 + 1.0) / 4, (0.1 + 0.1 + 0.2 + 0.2) / 4]
    )


def test_pairing_sees_what_independent_samples_would_not() -> None:
    # every seed gains exactly a little; seeds differ by much more
    base, ours = [0.1, 0.5, 0.9, 1.3], [0.2, 0.61, 0.99, 1.4]
    found = analyse(sweep({"base": {"a/run": base}, "ours": {"a/run": ours}})).comparisons[0]
    assert found.supported
    assert stats.ttest_ind(ours, base).pvalue > 0.5


def test_sentences_say_better_worse_and_not_shown() -> None:
    better, same, level = verdicts(analyse(sweep(CLEAR)))
    assert better.startswith("better is better than base: +0.83 in human-normalised score (")
    assert "6 pairs of one task and seed on 2 tasks" in better
    assert same.startswith("Whether same is better than base is not shown") and "is not supported by" in same
    assert level == "The intervals of the 2 comparisons hold at 95 % for all of them together."
    worse = verdicts(analyse(sweep(CLEAR), baseline="better"))[0]
    assert worse.startswith("base is worse than better: −0.83")


def test_more_comparisons_make_each_of_them_more_careful() -> None:
    two = analyse(sweep({name: CLEAR[name] for name in ("base", "same")})).comparisons[0]
    three = analyse(sweep(CLEAR)).comparisons[1]
    assert two.confidence == pytest.approx(0.95) and three.confidence == pytest.approx(0.975)
    assert three.difference.low < two.difference.low < two.difference.high < three.difference.high


def test_missing_searches_are_missing_and_not_zero() -> None:
    made = sweep(
        {
            "base": {"a/run": [0.5, 0.7, None], "b/run": [0.2, 0.3, 0.4]},
            "ours": {"a/run": [0.6, 0.8, 0.9], "b/run": [None, None, None]},
        }
    )
    found = analyse(made)
    assert found.cell("base", "a/run").fitness.value == pytest.approx(fitness(0.6))
    assert math.isnan(found.cell("ours", "b/run").fitness.value)
    # b/run would flatter ours, which has none of it
    assert found.common == ("a/run",)
    assert found.comparisons[0].pairs == 2
    assert found.comparisons[0].difference.value == pytest.approx(0.1)
    told = " ".join(caveats(found))
    assert "base: 5 of 6 searches have a score; 1 has not begun." in told
    assert "Not every arm has a score on b/run yet" in told
    rows = list(csv.DictReader(io.StringIO({t.name: t for t in tables(found)}["searches"].csv())))
    unbegun = [row for row in rows if row["status"] == "missing"]
    assert len(unbegun) == 4
    assert all(row["fitness"] == row["steps"] == row["hours"] == "" for row in unbegun)


def test_failures_are_told_to_flatter() -> None:
    made = sweep(CLEAR)
    broken = replace(made.results[0], status="failed", found=UNSCORED)
    found = analyse(replace(made, results=(broken, *made.results[1:])))
    assert found.standings[0].failed == 1
    assert any("may flatter base" in sentence for sentence in caveats(found))
    # one that finished without a reward is no score either
    hollow = replace(made.results[0], found=UNSCORED)
    assert analyse(replace(made, results=(hollow, *made.results[1:]))).standings[0].unscored == 1


def test_a_single_seed_shows_nothing() -> None:
    found = analyse(sweep({"base": {"a/run": [0.1]}, "ours": {"a/run": [0.9]}}))
    assert not found.comparisons[0].supported and not found.aggregates[0].iqm.bounded
    assert "a single seed of a task" in verdicts(found)[0]
    assert found.comparisons[0].difference.value == pytest.approx(0.8)


def test_a_scale_of_noise_is_said_to_be_one_and_none_is_no_score() -> None:
    made = sweep(
        {"base": {"a/run": [0.1, 0.2], "b/run": [0.5, 0.6]}, "ours": {"a/run": [0.3, 0.5], "b/run": [0.7, 0.9]}}
    )

    def changed(expert: Score) -> Sweep:
        results = tuple(replace(r, expert=expert) if r.task == "b/run" else r for r in made.results)
        return replace(made, results=results)

    near = analyse(changed(Score(1.2, 0.7, 1.7, 0.1)))
    assert not near.scale("b/run").apart and any("mostly noise" in sentence for sentence in caveats(near))
    none = analyse(changed(Score(1.0, 0.7, 1.7, 0.1)))
    assert not none.scale("b/run").known and none.common == ("a/run",)
    assert none.comparisons[0].tasks == 1
    assert none.by_task[1].task == "b/run" and none.by_task[1].pairs == 2  # by fitness it is compared all the same
    assert any("b/run has no scale" in sentence for sentence in caveats(none))


def test_one_scale_for_all_arms() -> None:
    made = sweep(CLEAR)
    longer = tuple(
        replace(r, expert=Score(9.0, 8.5, 9.5, 1.0)) if r.arm == "better" and r.task == "a/run" else r
        for r in made.results
    )
    found = analyse(replace(made, results=longer))
    assert found.scale("a/run").varies and found.scale("a/run").expert == 5.0 and not found.scale("b/run").varies
    assert found.comparisons[0].difference.value == analyse(made).comparisons[0].difference.value
    assert any("measured differently" in sentence for sentence in caveats(found))


def test_benefit_by_cost() -> None:
    found = analyse(sweep({"base": {"a/run": [0.4, 0.8]}, "ours": {"a/run": [1.0, 1.2]}}))
    by = {(each.arm, each.by): each for each in found.benefits}
    assert by["base", "steps"].costs == (300_000, 600_000)
    assert by["base", "steps"].scores == pytest.approx((0.3, 0.6))
    assert by["ours", "dollars"].costs == pytest.approx((0.2, 0.4))
    cost = found.costs[0]
    assert (cost.steps, cost.total_dollars, cost.total_hours) == (1_000_000, 1.0, 0.5)


def test_a_sweep_without_results_is_told_as_such() -> None:
    found = analyse(sweep({"base": {"a/run": [None]}, "ours": {"a/run": [None]}}))
    assert found.aggregates == () and found.profiles == () and found.benefits == ()
    assert "nothing to compare" in verdicts(found)[0]


def test_an_unknown_arm_names_its_neighbours() -> None:
    with pytest.raises(UnknownName, match="did you mean better"):
        analyse(sweep(CLEAR), baseline="beter")
