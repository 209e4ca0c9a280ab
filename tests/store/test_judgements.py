"""What people say, kept by several processes at once."""

from __future__ import annotations

import multiprocessing
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rewardgen.errors import StoreError, StoreVersion, UsageError
from rewardgen.records import Judgement, Order, Remark
from rewardgen.store.judgements import JUDGEMENTS_FILE, Judgements

JUDGEMENT = Judgement(
    "judgement-1", "r0g0c1.0", "r0g0c2.0", "left", "drags its left foot", "ada", "person", "2026-01-01T10:00:00Z", 4.5
)
ORDER = Order("order-00001", 0, 0, ("r0g0c2", "r0g0c0"), "", "ada", "person", "2026-01-01T10:01:00Z", 30.0)
REMARK = Remark("remark-0001", "r0g0c1.0", "'; DROP TABLE judgements; --", "ben", "person", "2026-01-01T10:02:00Z")


def test_what_was_said_is_read_back_and_what_was_sent_twice_is_kept_once(tmp_path: Path) -> None:
    kept = Judgements(tmp_path)
    assert kept.judgements() == () and kept.mark() == 0 and not (tmp_path / JUDGEMENTS_FILE).exists()
    assert kept.add(JUDGEMENT) and kept.add(ORDER) and kept.add(REMARK)
    assert not kept.add(replace(JUDGEMENT, answer="right"))  # the first of two with one id counts
    assert (kept.judgements(), kept.orders(), kept.remarks()) == ((JUDGEMENT,), (ORDER,), (REMARK,))


def test_only_its_author_takes_a_judgement_back_and_the_mark_moves(tmp_path: Path) -> None:
    kept = Judgements(tmp_path)
    assert not kept.undo("judgement-1", "ada")
    kept.add(JUDGEMENT)
    before = kept.mark()
    assert not kept.undo("judgement-1", "ben") and kept.mark() == before
    assert kept.undo("judgement-1", "ada") and kept.mark() > before and kept.judgements() == ()
    assert not kept.undo("judgement-1", "ada")
    assert not kept.add(JUDGEMENT)  # it stays taken back


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (replace(JUDGEMENT, id="x"), "8 to 64 letters"),
        (replace(JUDGEMENT, left="../../etc/passwd"), "is not a replay"),
        (replace(JUDGEMENT, left="r0g0c2.0"), "compared with itself"),
        (replace(JUDGEMENT, answer="both"), "answer"),  # type: ignore[arg-type]
        (replace(JUDGEMENT, words="x" * 4001), "at most 4000"),
        (replace(JUDGEMENT, judge=""), "name of the judge"),
        (replace(JUDGEMENT, judge="a\nb"), "name of the judge"),
        (replace(JUDGEMENT, seconds=float("nan")), "seconds"),
        (replace(ORDER, candidates=("r0g0c0",)), "at least two"),
        (replace(ORDER, candidates=("r0g0c0", "r0g0c0")), "each once"),
        (replace(ORDER, candidates=("r0g0c0", "<b>")), "is not a candidate"),
        (replace(REMARK, replay="r0g0c1"), "is not a replay"),
    ],
)
def test_what_is_no_judgement_is_refused(tmp_path: Path, wrong: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Judgements(tmp_path).add(wrong)
    assert not (tmp_path / JUDGEMENTS_FILE).exists()


def _say(folder: str, judge: str, count: int) -> None:
    for number in range(count):
        Judgements(Path(folder)).add(replace(JUDGEMENT, id=f"{judge}-{number:08}", judge=judge))


def test_nothing_is_lost_when_several_processes_answer_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    people = [context.Process(target=_say, args=(str(tmp_path), judge, 25)) for judge in ("ada", "ben", "cleo")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert [person.exitcode for person in people] == [0, 0, 0]
    kept = Judgements(tmp_path)
    assert len(kept.judgements()) == kept.mark() == 75
    for judge in ("ada", "ben", "cleo"):  # each one's in the order in which they were given
        mine = [judgement.id for judgement in kept.judgements() if judgement.judge == judge]
        assert mine == sorted(mine) and len(mine) == 25


def test_a_file_that_was_edited_is_not_believed(tmp_path: Path) -> None:
    kept = Judgements(tmp_path)
    kept.add(JUDGEMENT)
    with sqlite3.connect(tmp_path / JUDGEMENTS_FILE) as connection:
        connection.execute("UPDATE judgements SET answer = 'mine'")
    connection.close()
    with pytest.raises(StoreError, match=r"damaged record \(judgement-1\)"):
        kept.judgements()


def test_a_newer_file_and_one_that_is_none_are_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / JUDGEMENTS_FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreVersion, match="newer rewardgen"):
        Judgements(tmp_path).judgements()
    (tmp_path / JUDGEMENTS_FILE).write_bytes(b"no database at all, but long enough to be looked at")
    with pytest.raises(StoreError):
        Judgements(tmp_path).judgements()
