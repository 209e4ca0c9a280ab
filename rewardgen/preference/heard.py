"""Selects the judgements and comments that concern some candidates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations

from rewardgen.records import Judgement, Order, Remark, Words, candidate_of


def heard(
    candidates: Collection[str], judgements: Sequence[Judgement], orders: Sequence[Order], remarks: Sequence[Remark]
) -> int:
    """Count the judgements of any of ``candidates``: judgements and remarks count 1, a ranking as many as it has pairs.

    Pairs without any of ``candidates`` do not count, so that a ranking counts as much as judgements of all its pairs.
    """
    count = sum(any(candidate_of(side) in candidates for side in (each.left, each.right)) for each in judgements)
    count += sum(candidate_of(each.replay) in candidates for each in remarks)
    # A ranking counts as all of its pairs
    pairs = (pair for each in orders for pair in combinations(each.candidates, 2))
    return count + sum(any(key in candidates for key in pair) for pair in pairs)


def words_about(
    candidates: Collection[str], judgements: Sequence[Judgement], orders: Sequence[Order], remarks: Sequence[Remark]
) -> tuple[Words, ...]:
    """Return the comments about any of ``candidates``, in order."""
    # Comments of judgements, rankings and remarks, by time
    dated: list[tuple[str, Words]] = []
    for judgement in judgements:
        about = (candidate_of(judgement.left), candidate_of(judgement.right))
        dated.append((judgement.created, Words(about, judgement.words, judgement.judge, judgement.answer)))
    dated += [(order.created, Words(order.candidates, order.words, order.judge)) for order in orders]
    dated += [(remark.created, Words((candidate_of(remark.replay),), remark.words, remark.judge)) for remark in remarks]
    dated.sort(key=lambda item: item[0])
    return tuple(words for _, words in dated if words.text.strip() and any(key in candidates for key in words.about))
