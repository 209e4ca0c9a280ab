"""A run that is killed at random moments ends as one that was not, and pays for nothing twice."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rewardgen.store import read
from tests.search import tiny
from tests.search.content import content
from tests.search.model_server import ModelServer, model_server
from tests.search.processes import Started, begin_or_resume

KILLS = 20
IN_FLIGHT = 0.25
"""Seconds before a kill within which an answer may have been sent but not yet kept: nobody can know of those."""


def settings(server: ModelServer) -> dict[str, Any]:
    return {
        **tiny.SEARCH,
        "search.generations": 2,
        "search.candidates": 3,
        "search.seeds": 1,
        "search.racing.share": 0.5,
        "search.screening": True,
        "search.confidence": 0.8,
        "search.remeasure": 1,
        "llm.model": "a-model",
        "llm.base_url": server.url,
        "evaluation.report_seeds": 2,
    }


def processes_in(folder: Path) -> list[int]:
    """Other processes that work in ``folder``: with a file of it open, or with it as their own folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            held = [_target(each) for each in (*(process / "fd").iterdir(), process / "cwd")]
            if int(process.name) != os.getpid() and any(each.startswith(str(folder)) for each in held):
                found.append(int(process.name))
    return found


def _target(link: Path) -> str:
    """Where it leads to; nothing if it is gone."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


@pytest.mark.slow
def test_killed_twenty_times(tmp_path: Path) -> None:
    moments = random.Random(20)
    with model_server("fingertip_position") as server:
        undisturbed = Started(begin_or_resume, tmp_path / "undisturbed" / "run", settings(server))
        undisturbed.told.recv()  # imports are over, the work begins
        begun = time.monotonic()
        assert undisturbed.wait() == 0
        undisturbed.close()
        duration = time.monotonic() - begun
        expected = content(tmp_path / "undisturbed" / "run")
        view = read(tmp_path / "undisturbed" / "run")
        assert view.status == "finished"
        candidates = view.candidates.values()
        assert any(len(c.attempts) == 2 for c in candidates)
        # whatever decides on the way decides here too: races, second measurements, forecasts from stored episodes
        assert any(c.stopped for c in candidates) and any(c.again for c in candidates)
        assert any(c.forecast is not None and c.forecast.episodes > 16 for c in candidates)
        calls_of_one_run = Counter(answer.request for answer in server.answered)
        assert set(calls_of_one_run.values()) == {1}

        kills = 0
        for number in itertools.count():
            if kills >= KILLS:
                break
            folder = tmp_path / f"killed-{number}" / "run"  # a parent each: runs beside each other share paid replies
            folder.mkdir(parents=True)
            server.answered.clear()
            unknowable: Counter[str] = Counter()
            while True:
                process = Started(begin_or_resume, folder, settings(server))
                process.told.recv()
                limit = moments.uniform(0.0, duration) if kills < KILLS else None
                code = process.wait(limit)
                if code is None:
                    process.kill()
                process.close()
                if code is not None:
                    assert code == 0
                    break
                died = time.monotonic()
                unknowable.update(a.request for a in server.answered if died - a.at < IN_FLIGHT)
                kills += 1
            assert content(folder) == expected
            paid = Counter(answer.request for answer in server.answered)
            assert set(paid) == set(calls_of_one_run)
            for request, times in paid.items():
                assert times <= 1 + unknowable[request]
            assert not processes_in(folder)
