"""The comparison of stores: silent about equal runs, and exact about what differs."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from rewardgen.store import Store
from tests.search.content import Renamed, differences
from tests.search.stores import PLAIN, Recipe, compare, record, searched

TINY = PLAIN | {"search.generations": 1, "search.candidates": 1, "training.steps": 256, "training.checkpoints": 1}


@pytest.mark.slow
def test_equal_runs_are_equal_and_another_seed_is_named(tmp_path: Path) -> None:
    first = Recipe("tiny", partial(searched, TINY), ("SELECT 1 FROM trainings WHERE status = 'done'",))
    record(tmp_path, [first])
    assert compare(tmp_path, [first], threads=2) == []
    found = compare(tmp_path, [Recipe("tiny", partial(searched, TINY | {"seed": 1}))])
    assert {each.run for each in found} == {"tiny"}
    places = {(each.table, each.row, each.column) for each in found}
    assert ("run/run.sqlite meta", "key=config", "value.seed") in places
    assert ("run/run.sqlite candidates", "key=r0g0c0", "score") in places
    assert any(table == "artifacts" for table, _, _ in places)
    seed = next(each for each in found if each.column == "value.seed")
    assert str(seed) == "tiny · run/run.sqlite meta · key=config · value.seed: 0 → 1"
    (missing,) = compare(tmp_path, [Recipe("another", partial(searched, TINY))])
    assert str(missing) == "another: (not recorded) → (a run)"


def test_a_run_that_shows_nothing_any_more_is_not_recorded(tmp_path: Path) -> None:
    def make(folder: Path, threads: int) -> None:
        Store(folder / "run", new=True).close()

    with pytest.raises(RuntimeError, match="empty no longer shows what it is for"):
        record(tmp_path, [Recipe("empty", make, ("SELECT 1 FROM trainings",))])
    assert not (tmp_path / "empty.json").exists()


BEFORE = {
    "run.sqlite trainings": {
        "key": ["owner", "seed"],
        "rows": [{"owner": "a", "seed": 1, "curve": [{"x": 0.0}, {"x": float("nan")}], "steps": 8}],
    },
    "run.sqlite events": {"key": [], "rows": [{"kind": "note", "data": "b"}, {"kind": "warning", "data": "c"}]},
    "run.sqlite meta": {"key": ["key"], "rows": [{"key": "winner", "value": "a"}]},
    "results.json": {"key": [], "rows": [[{"owner": "a"}]]},
}


def test_every_value_that_differs_is_named_to_the_last_bit() -> None:
    assert list(differences("run", BEFORE, json.loads(json.dumps(BEFORE)))) == []  # NaN is NaN
    now = json.loads(json.dumps(BEFORE))
    training = now["run.sqlite trainings"]["rows"][0]
    training["curve"] = [{"x": -0.0}, {"x": float("nan")}, {"x": 1.0}]
    training["low"] = None
    del training["steps"]
    now["run.sqlite events"]["rows"][0]["data"] = "d"
    now["results.json"]["rows"][0][0]["owner"] = "b"
    del now["run.sqlite meta"]
    assert [str(each) for each in differences("run", BEFORE, now)] == [
        'run · results.json · [0].owner: "a" → "b"',
        'run · run.sqlite events · {"data": "b", "kind": "note"}: (a row) → (absent)',
        'run · run.sqlite events · {"data": "d", "kind": "note"}: (absent) → (a row)',
        "run · run.sqlite meta: (1 rows) → (absent)",
        "run · run.sqlite trainings · owner=a seed=1 · curve[0].x: 0.0 → -0.0",
        'run · run.sqlite trainings · owner=a seed=1 · curve[2]: (absent) → {"x": 1.0}',
        "run · run.sqlite trainings · owner=a seed=1 · low: (absent) → null",
        "run · run.sqlite trainings · owner=a seed=1 · steps: 8 → (absent)",
    ]


def test_what_was_renamed_on_purpose_is_no_difference(tmp_path: Path) -> None:
    now = {
        "run.sqlite results": {
            "key": ["candidate", "seed"],
            "rows": [{"candidate": "a", "seed": 1, "curve": [{"x": 0.0}, {"x": float("nan")}], "env_steps": 8}],
        },
        "run.sqlite events": {"key": [], "rows": [{"kind": "info", "data": "b"}, {"kind": "warning", "data": "c"}]},
        "run.sqlite meta": {"key": ["key"], "rows": [{"key": "best", "value": "a"}]},
        "results.json": {"key": [], "rows": [[{"owner": "a"}]]},
    }
    assert len(list(differences("run", BEFORE, now))) == 6
    file = tmp_path / "renamed.yaml"
    file.write_text(
        "tables: {trainings: results}\n"
        "columns: {trainings.owner: candidate, steps: env_steps, never: met}\n"
        "events: {note: info}\n"
        "meta: {winner: best}\n"
    )
    renamed = Renamed.of(file)
    assert list(differences("run", renamed(BEFORE), now)) == []
    assert renamed.unmet == ["columns: never"]
    file.write_text("table: {trainings: results}\n")
    with pytest.raises(ValueError, match="sections tables, columns, events, meta only"):
        Renamed.of(file)
