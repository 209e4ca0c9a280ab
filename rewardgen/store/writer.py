"""The one writer of a run. Every method commits before it returns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from rewardgen.errors import RunLocked
from rewardgen.records import Checkpoint, Evaluation, Forecast, Message, Problem, Reply, TrainingResult, Verdict
from rewardgen.store.artifacts import read_artifact, write_artifact
from rewardgen.store.database import connect, create, from_json, now, to_json, translated
from rewardgen.store.holder import write_holder
from rewardgen.store.rows import reply_of, training_of
from rewardgen.store.view import Waiting

LOCK_NAME = "run.lock"
EPISODES = ".episodes.safetensors"
_PATIENCE = 0.3
"""Seconds to wait for the lock: a process that only looks at a run's status holds it for a moment."""


class Store:
    """A run's database, held by this process alone until it is closed, or until the process dies.

    Raises:
        RunLocked: a running process holds the run.
        StoreError: see ``database.connect``.
    """

    def __init__(self, run_dir: Path, *, new: bool = False) -> None:
        self.run_dir = run_dir
        with translated(run_dir):
            if new:
                run_dir.mkdir(parents=True, exist_ok=True)
            # Take the lock, which the system releases when the process dies
            self._lock = FileLock(run_dir / LOCK_NAME)
            try:
                self._lock.acquire(timeout=_PATIENCE)
            except Timeout as error:
                raise RunLocked(
                    f"another process is working on {run_dir}; wait for it, stop it, or choose another folder"
                ) from error
        # Open or create the database
        write_holder(run_dir)
        try:
            self._connection = create(run_dir) if new else connect(run_dir, write=True)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and release the lock."""
        self._connection.close()
        self._lock.release()

    # ---- the run itself

    def set_meta(self, **values: Any) -> None:
        """Store plain values of the run by name, over older ones."""
        with self._transaction() as cursor:
            _set_meta(cursor, values)

    def meta(self, key: str, default: Any = None) -> Any:
        """Return a plain value of the run."""
        row = self._one("SELECT value FROM meta WHERE key = ?", (key,))
        return default if row is None else from_json(row["value"], object)

    def add_event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Store an event unless it is stored already: a resumed run repeats what it reported before it was stopped."""
        values = (kind, to_json(dict(data)))
        with self._transaction() as cursor:
            if not cursor.execute("SELECT 1 FROM events WHERE kind = ? AND data = ?", values).fetchone():
                cursor.execute("INSERT INTO events (time, kind, data) VALUES (?, ?, ?)", (now(), *values))

    def reopen(self, outdated: Sequence[str], **values: Any) -> None:
        """Set ``values`` and delete the warnings that begin with one of ``outdated``: the run goes on past them."""
        with self._transaction() as cursor:
            for row in cursor.execute("SELECT id, data FROM events WHERE kind = 'warning'").fetchall():
                if str(from_json(row["data"], dict).get("message", "")).startswith(tuple(outdated)):
                    cursor.execute("DELETE FROM events WHERE id = ?", (row["id"],))
            _set_meta(cursor, values)

    def set_winner(self, key: str | None) -> None:
        """Store the winner.

        Reported trainings and scores of an earlier winner, from before the run grew, move to that candidate's own key
        (``final/r0g1c0``); those of a candidate that wins again move back.
        """
        before = self.meta("winner")
        with self._transaction() as cursor:
            if before != key:
                moves = [("winner", before)] if before is not None else []
                moves += [(key, "winner")] if key is not None else []
                for name, to in moves:
                    cursor.execute("UPDATE trainings SET owner = ? WHERE owner = ?", (f"final/{to}", f"final/{name}"))
                    cursor.execute("UPDATE evaluations SET name = ? WHERE name = ?", (to, name))
            _set_meta(cursor, {"winner": key})

    def has_earlier_winner(self) -> bool:
        """Return whether reported trainings of another candidate than the winner are stored."""
        return self._one("SELECT 1 FROM trainings WHERE owner LIKE 'final/r%'", ()) is not None

    # ---- calls to the language model

    def replies(self, call: str) -> list[Reply] | None:
        """Return the replies of a call that was answered; None if it was not made, or if it failed."""
        if self._one("SELECT 1 FROM calls WHERE key = ? AND error = ''", (call,)) is None:
            return None
        rows = self._all("SELECT * FROM replies WHERE call = ? ORDER BY number", (call,))
        return [reply_of(row) for row in rows]

    def add_call(
        self,
        call: str,
        purpose: str,
        seed: int,
        messages: Sequence[Message],
        replies: Sequence[Reply],
        error: str = "",
    ) -> None:
        """Store a call and its replies, in place of an earlier failure; pictures are omitted, as replays have them."""
        # A failed call is made again under the same key
        messages = [replace(message, images=()) for message in messages]
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM calls WHERE key = ? AND error != ''", (call,))
            cursor.execute(
                "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)",
                (call, purpose, seed, to_json(messages, list[Message]), error, now()),
            )
            # Its replies, in order
            for number, reply in enumerate(replies):
                cursor.execute(
                    "INSERT INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        call,
                        number,
                        reply.text,
                        reply.model,
                        reply.prompt_tokens,
                        reply.completion_tokens,
                        reply.dollars,
                        reply.estimated,
                        reply.finish_reason,
                        reply.cached,
                        reply.seconds,
                    ),
                )

    # ---- generations and candidates

    def begin_generation(self, restart: int, number: int, messages: Sequence[Message]) -> None:
        """Store a generation and its first messages, unless it is stored already."""
        with self._transaction() as cursor:
            cursor.execute(
                "INSERT OR IGNORE INTO generations VALUES (?, ?, ?, 0)",
                (restart, number, to_json(list(messages), list[Message])),
            )

    def begin_candidates(self, restart: int, generation: int, parents: Mapping[str, str | None]) -> None:
        """Store a generation's candidates in order: key → the candidate whose code its prompt showed, or None."""
        with self._transaction() as cursor:
            for number, (key, parent) in enumerate(parents.items()):
                cursor.execute(
                    "INSERT OR IGNORE INTO candidates VALUES (?, ?, ?, ?, ?, 'writing', NULL, NULL, '', 0, NULL, NULL)",
                    (key, restart, generation, number, parent),
                )

    def attempts(self, candidate: str) -> list[tuple[str | None, tuple[Problem, ...]]]:
        """Return (source, problems) of each attempt so far, in order."""
        rows = self._all("SELECT source, problems FROM attempts WHERE candidate = ? ORDER BY number", (candidate,))
        return [(row["source"], tuple(from_json(row["problems"], list[Problem]))) for row in rows]

    def add_attempt(
        self,
        candidate: str,
        number: int,
        call: str,
        reply: int,
        source: str | None,
        problems: Sequence[Problem],
        output: str = "",
        forecast: Forecast | None = None,
    ) -> None:
        """Store the check of one reply; without problems the candidate is accepted with that source.

        Of the forecasts of several attempts, the last one is stored.
        """
        with self._transaction() as cursor:
            cursor.execute(
                "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?)",
                (candidate, number, call, reply, source, to_json(list(problems), list[Problem]), output),
            )
            # Accept the program
            if not problems:
                cursor.execute(
                    "UPDATE candidates SET status = 'accepted', source = ? WHERE key = ?", (source, candidate)
                )
            # Replace the forecast of an earlier attempt
            if forecast is not None:
                values = (candidate, to_json(forecast, Forecast))
                cursor.execute("INSERT OR REPLACE INTO forecasts VALUES (?, ?)", values)

    def forecast(self, candidate: str) -> Forecast | None:
        """Return what stored episodes predicted for the candidate's last attempt; None if they were not used."""
        row = self._one("SELECT forecast FROM forecasts WHERE candidate = ?", (candidate,))
        return None if row is None else from_json(row["forecast"], Forecast)

    def leave_out(self, candidates: Sequence[str]) -> None:
        """Mark accepted candidates that are not to be trained."""
        for candidate in candidates:
            forecast = self.forecast(candidate) or Forecast(0, 0, None, None, None)
            values = (candidate, to_json(replace(forecast, left_out=True), Forecast))
            with self._transaction() as cursor:
                cursor.execute("INSERT OR REPLACE INTO forecasts VALUES (?, ?)", values)

    def reject(self, candidate: str) -> None:
        """Mark a candidate none of whose attempts passed the checks."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE candidates SET status = 'rejected' WHERE key = ? AND status = 'writing'", (candidate,)
            )

    def add_score(
        self,
        candidate: str,
        status: str,
        score: float | None,
        reflection: str,
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        """Store a selection score with the interval whose lower end ranks candidates."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE candidates SET status = ?, score = ?, reflection = ?, low = ?, high = ? WHERE key = ?",
                (status, score, reflection, low, high, candidate),
            )

    def finish_generation(self, restart: int, number: int, selected: str | None) -> None:
        """Mark a generation as finished, and which of its candidates was selected."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE candidates SET selected = (key = ?) WHERE restart = ? AND generation = ?",
                (selected or "", restart, number),
            )
            cursor.execute("UPDATE generations SET finished = 1 WHERE restart = ? AND number = ?", (restart, number))

    def is_finished(self, restart: int, number: int) -> bool:
        """Return whether a generation is finished."""
        query = "SELECT 1 FROM generations WHERE restart = ? AND number = ? AND finished"
        return self._one(query, (restart, number)) is not None

    def finished_generations(self) -> dict[int, int]:
        """Count the finished generations of each restart that has any."""
        query = "SELECT restart, COUNT(*) AS n FROM generations WHERE finished GROUP BY restart"
        return {row["restart"]: row["n"] for row in self._all(query, ())}

    # ---- judgements of a generation

    def add_verdict(self, verdict: Verdict) -> None:
        """Store the judgements that a generation was ranked by."""
        with self._transaction() as cursor:
            values = (verdict.restart, verdict.generation, to_json(verdict, Verdict))
            cursor.execute("INSERT INTO verdicts VALUES (?, ?, ?)", values)

    def verdict(self, restart: int, number: int) -> Verdict | None:
        """Return the judgements that a generation was ranked by; None if nobody judged it."""
        row = self._one("SELECT verdict FROM verdicts WHERE restart = ? AND number = ?", (restart, number))
        return None if row is None else from_json(row["verdict"], Verdict)

    def set_waiting(self, waiting: Waiting | None) -> None:
        """Store what the search waits for; pages and terminals read it."""
        self.set_meta(waiting=None if waiting is None else waiting.facts)

    # ---- trainings and evaluations

    def add_trainings(
        self, results: Sequence[tuple[str, TrainingResult]], episodes: tuple[str, bytes] | None = None
    ) -> None:
        """Store all results of one training program in one transaction: (owner, result).

        ``episodes`` are some of the episodes that were played: the key of a generation, and their content.
        """
        # Artifacts are on disk before the rows that name them
        names = [
            write_artifact(self.run_dir, result.weights, ".safetensors") if result.weights is not None else None
            for _, result in results
        ]
        artifact = write_artifact(self.run_dir, episodes[1], EPISODES) if episodes is not None else None
        with self._transaction() as cursor:
            if episodes is not None:
                cursor.execute("INSERT OR REPLACE INTO episodes VALUES (?, ?)", (episodes[0], artifact))
            for (owner, result), weights in zip(results, names, strict=True):
                cursor.execute(
                    "INSERT INTO trainings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        owner,
                        result.seed,
                        result.status,
                        result.message,
                        to_json(list(result.curve), list[Checkpoint]),
                        weights,
                        result.steps,
                        result.seconds,
                    ),
                )

    def trainings(self, owner: str, *, weights: bool = False) -> list[TrainingResult]:
        """Return the trainings of ``owner`` by seed; with the policies' bytes only if ``weights``."""
        rows = self._all("SELECT * FROM trainings WHERE owner = ? ORDER BY seed", (owner,))
        return [
            training_of(row, read_artifact(self.run_dir, row["weights"]) if weights and row["weights"] else None)
            for row in rows
        ]

    def steps_of(self, owners: Sequence[str]) -> int:
        """Sum the environment steps of the stored trainings of ``owners``."""
        marks = ", ".join("?" * len(owners))
        row = self._one(f"SELECT COALESCE(SUM(steps), 0) AS n FROM trainings WHERE owner IN ({marks})", owners)
        return int(row["n"]) if row is not None else 0

    def episodes(self, place: str) -> bytes | None:
        """Return the episodes stored for the generation ``place``; None if there are none."""
        row = self._one("SELECT artifact FROM episodes WHERE place = ?", (place,))
        return None if row is None else read_artifact(self.run_dir, row["artifact"])

    def add_evaluation(self, name: str, evaluation: Evaluation) -> None:
        """Store the reported score of a reward."""
        with self._transaction() as cursor:
            cursor.execute("INSERT INTO evaluations VALUES (?, ?)", (name, to_json(evaluation, Evaluation)))

    def evaluation(self, name: str) -> Evaluation | None:
        """Return the reported score of a reward; None until it was measured."""
        row = self._one("SELECT evaluation FROM evaluations WHERE name = ?", (name,))
        return None if row is None else from_json(row["evaluation"], Evaluation)

    # ---- what a run has spent

    def spent(self) -> dict[str, float]:
        """Return what this run has paid for so far: calls, prompt_tokens, completion_tokens, dollars, steps."""
        calls = self._one("SELECT COUNT(*) AS n FROM calls WHERE error = ''", ())
        # Replies from the cache were paid for by another run
        replies = self._one(
            "SELECT COALESCE(SUM(prompt_tokens), 0) AS prompt_tokens, "
            "COALESCE(SUM(completion_tokens), 0) AS completion_tokens, "
            "COALESCE(SUM(dollars), 0) AS dollars FROM replies WHERE cached = 0",
            (),
        )
        steps = self._one("SELECT COALESCE(SUM(steps), 0) AS n FROM trainings", ())
        assert calls is not None and replies is not None and steps is not None  # aggregates always return a row
        return {"calls": calls["n"], **dict(replies), "steps": steps["n"]}

    # ---- SQLite

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        """Yield a cursor; commit at the end, or roll back if the block raises."""
        with translated(self.run_dir):
            cursor = self._connection.cursor()
            # Take the write lock at once: a transaction that begins as a reader could fail later
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                if self._connection.in_transaction:  # on a full disk SQLite has rolled back already
                    cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def _one(self, query: str, values: Sequence[Any]) -> sqlite3.Row | None:
        """Return the first row of a query; None if there is none."""
        rows = self._all(query, values)
        return rows[0] if rows else None

    def _all(self, query: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with translated(self.run_dir):
            return self._connection.execute(query, tuple(values)).fetchall()


def _set_meta(cursor: sqlite3.Cursor, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        cursor.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, to_json(value)))
