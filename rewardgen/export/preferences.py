"""What people said of a run's replays as a file that preference-learning libraries read.

One JSON object a line, in the conversational form that TRL's trainers take (``prompt``, ``chosen``, ``rejected``):
what was asked, and the two rewards whose behaviour was compared. docs/people.md explains every field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rewardgen import files
from rewardgen.errors import StoreError
from rewardgen.records import Judgement, Order, candidate_of
from rewardgen.store import RunView

PREFERENCES = "preferences.jsonl"


def export_preferences(view: RunView, to: Path) -> int:
    """Write all judgements of a run, and the pairs that its orders imply, to the file ``to``.

    Returns:
        How many lines it has.

    Raises:
        StoreError: the file cannot be written.
    """
    lines = [json.dumps(each, ensure_ascii=False) for each in preferences(view)]
    try:
        files.write_text(to, "".join(f"{line}\n" for line in lines), errors="replace")
    except OSError as error:
        raise StoreError(f"cannot write {to}: {error}; name another place with --to") from error
    return len(lines)


def preferences(view: RunView) -> Iterator[dict[str, Any]]:
    """The lines of ``export_preferences`` as plain values; pairs of which a code is not known are left out."""
    sources = {key: candidate.source for key, candidate in view.candidates.items()}
    first = next((generation.messages for generation in view.generations if generation.messages), ())
    # what asked for a reward before there was any history: the same question for every pair
    prompt = [{"role": message.role, "content": message.content} for message in first[:2]]
    for said, left, right, facts in _pairs(view):
        better, worse = (right, left) if facts["answer"] == "right" else (left, right)
        codes = sources.get(candidate_of(better)), sources.get(candidate_of(worse))
        if codes[0] is None or codes[1] is None:
            continue
        yield {
            "prompt": prompt,
            "chosen": _reply(codes[0]),
            "rejected": _reply(codes[1]),
            "tie": facts["answer"] not in ("left", "right"),
            **facts,
            "left": left,
            "right": right,
            "chosen_candidate": candidate_of(better),
            "rejected_candidate": candidate_of(worse),
            "words": said.words,
            "judge": said.judge,
            "kind": said.kind,
            "created": said.created,
            "seconds": said.seconds,
            "id": said.id,
            "run": view.name,
            "task": str(view.task.get("name", "")),
        }


def _pairs(view: RunView) -> Iterator[tuple[Judgement | Order, str, str, dict[str, Any]]]:
    for judgement in view.judgements:
        facts = {"answer": judgement.answer, "source": "judgement", "weight": 1.0}
        yield judgement, judgement.left, judgement.right, facts
    for order in view.orders:
        # as strengths are fitted: all pairs, together as much as the n − 1 of neighbours
        facts = {"answer": "left", "source": "order", "weight": 2.0 / len(order.candidates)}
        for place, better in enumerate(order.candidates):
            for worse in order.candidates[place + 1 :]:
                yield order, f"{better}.0", f"{worse}.0", facts


def _reply(source: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": f"```python\n{source.strip()}\n```"}]
