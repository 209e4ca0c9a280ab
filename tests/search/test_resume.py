"""A run that is killed at random moments ends as one that was not, and pays for nothing twice."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rewardgen.store import read
from tests.search import tiny
from tests.search.content import content
from tests.search.model_server import ModelServer, model_server

KILLS = 20
IN_FLIGHT = 0.25
"""Seconds before a kill within which an answer may have been sent but not yet kept: nobody can know of those."""

PROGRAM = """
import json, sys
from pathlib import Path
from rewardgen import config, search
from rewardgen.store.database import FILE_NAME
folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
print("started", flush=True)
if (folder / FILE_NAME).exists() and search.start.Store(folder).meta("config") is not None:
    search.resume(folder)
else:
    for file in folder.glob(FILE_NAME + "*"):
        file.unlink()
    search.run(config.load(overrides=settings), folder)
"""


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


def start(folder: Path, server: ModelServer) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), json.dumps(settings(server))],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": "test", "OMP_NUM_THREADS": "1", "MUJOCO_GL": "disable"},
    )


def processes_of(folder: Path) -> list[int]:
    """Processes whose command line names ``folder``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def test_killed_twenty_times(tmp_path: Path) -> None:
    moments = random.Random(20)
    with model_server("cart_velocity") as server:
        begun = time.monotonic()
        with start(tmp_path / "undisturbed" / "run", server) as undisturbed:
            assert undisturbed.wait() == 0
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
                with start(folder, server) as process:
                    assert process.stdout is not None
                    process.stdout.readline()  # imports are over, the work begins
                    limit = moments.uniform(0.0, 0.6 * duration) if kills < KILLS else None
                    try:
                        assert process.wait(timeout=limit) == 0
                        break
                    except subprocess.TimeoutExpired:
                        process.send_signal(signal.SIGKILL)
                        process.wait()
                died = time.monotonic()
                unknowable.update(a.request for a in server.answered if died - a.at < IN_FLIGHT)
                kills += 1
            assert content(folder) == expected
            paid = Counter(answer.request for answer in server.answered)
            assert set(paid) == set(calls_of_one_run)
            for request, times in paid.items():
                assert times <= 1 + unknowable[request]
            assert not processes_of(folder)
