"""How much was said of a generation: a whole order is as much as all judgements of its pairs."""

from __future__ import annotations

from itertools import combinations

from rewardgen.preference import heard
from rewardgen.records import Judgement, Order, Remark

NEW = ("r0g1c0", "r0g1c1", "r0g1c2", "r0g1c3")
BEST_BEFORE = "r0g0c2"


def order(*candidates: str) -> Order:
    return Order("an-order-", 0, 1, candidates, "", "ada", "person", "", 1.0)


def judgement(left: str, right: str) -> Judgement:
    return Judgement("a-pair-" + left + right, f"{left}.0", f"{right}.0", "left", "", "ada", "person", "", 1.0)


def test_a_whole_order_counts_as_every_pair_that_could_be_judged() -> None:
    assert heard(NEW, [], [order(*NEW)], []) == 6
    everyone = (*NEW, BEST_BEFORE)
    pairs = [judgement(*pair) for pair in combinations(everyone, 2)]
    assert heard(NEW, [], [order(*everyone)], []) == heard(NEW, pairs, [], []) == 10
    assert heard(NEW, [], [order(NEW[0], "r0g0c0", "r0g0c1")], []) == 2  # the pair of two former ones says nothing here
    assert heard(NEW, [], [order("r0g0c0", "r0g0c1")], []) == 0


def test_judgements_and_remarks_count_once() -> None:
    remarks = [
        Remark("a-remark", f"{NEW[0]}.0", "x", "ada", "person", ""),
        Remark("b", "r0g0c0.0", "x", "ada", "person", ""),
    ]
    assert heard(NEW, [judgement(NEW[0], BEST_BEFORE), judgement("r0g0c0", BEST_BEFORE)], [], remarks) == 2
