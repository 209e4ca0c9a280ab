"""The store on real SQLite files: what is committed is read back, and bad files are told from good ones."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from rewardgen.errors import DiskFull, StoreError, StoreVersion, UnknownName
from rewardgen.records import (
    Checkpoint,
    Evaluation,
    Forecast,
    Message,
    Problem,
    Reply,
    Standing,
    TrainingResult,
    Verdict,
    Words,
)
from rewardgen.store import Store, find_run, read, read_weights
from rewardgen.store.database import FILE_NAME, SCHEMA_VERSION

VERDICT = Verdict(
    0, 0,
    (Standing("r0g0c0", 0.5, -1.0, 2.0, 3),),
    (Standing("r0g0c0", 0.5, -1.0, 2.0, 3),),
    (Words(("r0g0c0", "r0g0c1"), "drags \"its\" foot", "ada", "left"),),
    3, 3, 10,
)  # fmt: skip


def checkpoint(steps: int, fitness: float) -> Checkpoint:
    return Checkpoint(
        steps, fitness, 0.1, 0.5, 12.0, {"progress": 1.5}, {"progress": math.nan}, 500.0, {"time limit": 1.0}, 0.25, 8
    )


def training(seed: int, *fitness: float, weights: bytes | None = b"weights") -> TrainingResult:
    curve = tuple(checkpoint(1000 * (i + 1), value) for i, value in enumerate(fitness))
    return TrainingResult("r0g0c0", seed, "done", "", curve, weights, 1000 * len(fitness), 2.5)


def fill(store: Store) -> None:
    messages = [Message("system", "write"), Message("user", "a <reward>")]
    store.set_meta(config={"seed": 3}, task={"name": "cart/pole"}, author="offline", created="now", status="running")
    store.begin_generation(0, 0, messages)
    store.begin_candidates(0, 0, {"r0g0c0": None, "r0g0c1": None})
    store.add_call(
        "r0g0",
        "generation",
        7,
        messages,
        [Reply("one", "m", 100, 20, 0.25), Reply("two", "m", 0, 30, 0.5, cached=True, estimated=True)],
    )
    store.add_attempt("r0g0c0", 0, "r0g0", 0, "def compute_reward(): ...", [])
    store.add_attempt("r0g0c1", 0, "r0g0", 1, None, [Problem("check", "no program", 4)], "some\nwords")
    store.reject("r0g0c1")
    store.add_trainings([("r0g0c0", training(1, 0.5, 2.0)), ("r0g0c0", training(2, 1.0, weights=None))])
    store.add_score("r0g0c0", "trained", 1.5, "it went well")
    store.finish_generation(0, 0, "r0g0c0")
    store.add_evaluation("winner", Evaluation(((1.0, 2.0), (3.0,)), 2.25, 1.0, 3.0, 0.5))
    store.add_event("warning", {"message": "careful"})


def test_what_was_committed_is_read_back(tmp_path: Path) -> None:
    with Store(tmp_path / "run", new=True) as store:
        fill(store)
        live = read(tmp_path / "run")
        assert live.status == "running"
    view = read(tmp_path / "run")
    assert view.status == "interrupted"  # nobody holds it and it does not say that it finished
    assert view.config == {"seed": 3} and view.author == "offline"
    good, bad = view.generations[0].candidates
    assert good.selected and good.score == 1.5 and good.source == "def compute_reward(): ..."
    assert [t.seed for t in good.trainings] == [1, 2]
    assert good.trainings[0].score == 2.0 and [point.steps for point in good.trainings[0].curve] == [1000, 2000]
    assert math.isnan(good.trainings[0].curve[0].correlations["progress"])
    assert bad.status == "rejected" and bad.problems == (Problem("check", "no program", 4),)
    assert bad.attempts[0].reply.text == "two"
    assert (good.attempts[0].output, bad.attempts[0].output) == ("", "some\nwords")
    assert "words" not in repr(view)  # whatever writes a record to a log
    assert view.calls[0].messages[1].content == "a <reward>"
    final = view.final("winner")
    assert final is not None and final.evaluation is not None and final.evaluation.fitness == ((1.0, 2.0), (3.0,))
    assert view.events[0].data == {"message": "careful"}
    # by hand: only the first reply was paid for; 2000 + 1000 steps
    assert (view.cost.dollars, view.cost.prompt_tokens, view.cost.completion_tokens) == (0.25, 100, 20)
    assert view.cost.steps == 3000 and view.cost.calls == 1
    assert read_weights(tmp_path / "run", "r0g0c0", 1) == b"weights"
    assert read_weights(tmp_path / "run", "r0g0c0", 2) is None


def test_a_changed_policy_is_not_trusted(tmp_path: Path) -> None:
    with Store(tmp_path, new=True) as store:
        fill(store)
    artifact = next((tmp_path / "artifacts").glob("*.safetensors"))
    artifact.write_bytes(b"something else")
    with pytest.raises(StoreError, match="changed after it was written"):
        read_weights(tmp_path, "r0g0c0", 1)


def test_a_run_has_one_writer(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from rewardgen.store import Store; from rewardgen.errors import RunLocked\n"
        "try: Store(Path(sys.argv[1]))\n"
        "except RunLocked as error: print(error); sys.exit(7)"
    )
    with Store(tmp_path, new=True):
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        assert other.returncode == 7 and "another process" in other.stdout
    Store(tmp_path).close()  # and once it is closed, the next may write


def test_a_failed_call_is_kept_and_made_again(tmp_path: Path) -> None:
    with Store(tmp_path, new=True) as store:
        store.add_call("r0g0", "generation", 1, [], [], error="it was down")
        assert store.replies("r0g0") is None
        assert read(tmp_path).calls[0].error == "it was down"
        store.add_call("r0g0", "generation", 1, [], [Reply("hello", "m")])
        assert store.replies("r0g0") == [Reply("hello", "m")]
    assert [call.error for call in read(tmp_path).calls] == [""]


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    Store(tmp_path, new=True).close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(StoreVersion, match="upgrade rewardgen"):
        read(tmp_path)
    with pytest.raises(StoreVersion):
        Store(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_file_that_is_no_store(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(StoreError):
        read(tmp_path)


def test_a_damaged_record_is_an_error_not_a_crash(tmp_path: Path) -> None:
    with Store(tmp_path, new=True) as store:
        fill(store)
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute('UPDATE trainings SET curve = \'[{"steps": "many"}]\'')
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="damaged"):
        read(tmp_path)


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no run"):
        read(tmp_path)
    Store(tmp_path / "cheetah-1", new=True).close()
    assert find_run("cheetah-1", tmp_path) == tmp_path / "cheetah-1"
    assert find_run("latest", tmp_path) == tmp_path / "cheetah-1"
    with pytest.raises(UnknownName, match="cheetah-1"):
        find_run("cheetah-2", tmp_path)


def test_a_new_run_never_overwrites_one(tmp_path: Path) -> None:
    Store(tmp_path, new=True).close()
    with pytest.raises(StoreError, match="already holds a run"):
        Store(tmp_path, new=True)


def test_a_full_database_says_so_and_stays_readable(tmp_path: Path) -> None:
    with Store(tmp_path, new=True) as store:
        fill(store)
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to a full disk
        with pytest.raises(DiskFull, match="free some space"):
            store.add_event("warning", {"message": "x" * 100_000})
    assert len(read(tmp_path).events) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_says_so_and_stays_readable(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a small file system")
    try:
        with Store(tmp_path / "run", new=True) as store:
            fill(store)
            (tmp_path / "filler").write_bytes(b"x" * 4096)
            with pytest.raises(DiskFull):
                for number in range(100):
                    store.add_trainings([(f"c{number}", training(1, 0.5, weights=os.urandom(16_384)))])
            (tmp_path / "filler").unlink()
        assert len(read(tmp_path / "run").events) == 1
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_store_of_the_first_version_is_read_and_brought_up_to_date(tmp_path: Path) -> None:
    with Store(tmp_path, new=True) as store:
        fill(store)
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    for statement in (
        "ALTER TABLE candidates DROP COLUMN low",
        "ALTER TABLE candidates DROP COLUMN high",
        "DROP TABLE forecasts",
        "DROP TABLE episodes",
        "DROP TABLE verdicts",
        "PRAGMA user_version = 1",
    ):
        connection.execute(statement)
    connection.commit()
    connection.close()
    before = read(tmp_path)
    assert before.candidates["r0g0c0"].score == 1.5 and before.candidates["r0g0c0"].low is None
    with Store(tmp_path) as store:
        assert read(tmp_path).candidates == before.candidates
        store.begin_candidates(0, 0, {"r0g0c2": None})
        store.add_attempt("r0g0c2", 0, "r0g0", 0, "code", [], "", Forecast(4, 6, 0.5, "r0g0c0", 0.25))
        store.add_score("r0g0c2", "trained", 2.0, "", 1.5, 2.5)
        assert store.verdict(0, 0) is None
        store.add_verdict(VERDICT)
        assert store.verdict(0, 0) == VERDICT
    assert read(tmp_path).generations[0].verdict == VERDICT
    after = read(tmp_path).candidates["r0g0c2"]
    assert (after.low, after.high) == (1.5, 2.5)
    assert after.forecast == Forecast(4, 6, 0.5, "r0g0c0", 0.25)


def test_trainings_on_fresh_seeds_and_episodes_are_kept_apart(tmp_path: Path) -> None:
    with Store(tmp_path, new=True) as store:
        fill(store)
        store.add_trainings([("r0g0c0/again", training(5, 1.0)), ("r0g0c0/again", training(6, 2.0))], ("r0g0", b"them"))
        assert store.episodes("r0g0") == b"them" and store.episodes("r0g1") is None
        assert [t.seed for t in store.trainings("r0g0c0")] == [1, 2]
    candidate = read(tmp_path).candidates["r0g0c0"]
    assert [t.seed for t in candidate.again] == [5, 6] and candidate.again_score == 1.5
    assert [t.seed for t in candidate.trainings] == [1, 2] and candidate.stopped == ""
    assert read(tmp_path).cost.steps == 5000  # they are paid for like any other
