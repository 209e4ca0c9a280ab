"""Judging in a terminal while the search waits in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rewardgen.store import Judgements, read
from tests.cli.commands import SMALL, rewardgen

COMMAND = [sys.executable, "-u", "-m", "rewardgen.cli"]


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A search that waits for people, once it has said so."""
    out = tmp_path_factory.mktemp("runs")
    flags = ["--judge", "people", "--generations", "1", "--candidates", "3", "--out", str(out), "--name", "waits"]
    fast = ["-c", "import rewardgen.search.judging as j; j.POLL_SECONDS = 0.05; from rewardgen.cli import main; main()"]
    started = [sys.executable, "-u", *fast, "run", "reacher/reach", *flags, *SMALL]
    process = subprocess.Popen(started, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.stdout is not None
    for line in process.stdout:
        if "waiting for people" in line:
            assert "0 of 3 judgements of generation 0" in line and f"rewardgen prefer {out / 'waits'}" in line
            break
    yield out / "waits", process
    process.kill()
    process.wait()
    process.stdout.close()


def prefer(run: Path, typed: str, *flags: str) -> tuple[Any, str]:
    """What the command prints as JSON, and what it says beside that."""
    ended = subprocess.run(
        [*COMMAND, "prefer", str(run), "--no-films", "--json", *flags],
        input=typed, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), ended.stderr


def test_people_judge_in_a_terminal_and_the_search_goes_on(waiting: tuple[Path, subprocess.Popen[str]]) -> None:
    run, process = waiting
    # an answer taken back, one that is none, a pair passed over, then the end of what is typed
    printed, told = prefer(run, "l it stands\nu\nnonsense\ns\nr the other one\n", "--judge", "ada")
    assert [kept["answer"] for kept in printed["kept"]] == ["right"] and len(printed["undone"]) == 1
    assert printed["kept"][0]["words"] == "the other one" and printed["kept"][0]["seconds"] >= 0
    assert "undone: left" in told and "l left, r right" in told
    assert re.search(r"left +r0g0c\d\.0 +/.*r0g0c\d\.0\.safetensors", told)  # where the replays are
    assert [j.answer for j in Judgements(run).judgements()] == ["right"] and read(run).waiting is not None

    # another person sees the same pairs; a remark counts as well, and then the search has enough
    printed, told = prefer(run, "?\nq\n", "--judge", "ben")
    assert [kept["answer"] for kept in printed["kept"]] == ["unsure"] and "1 of 3 judgements" in told
    said = rewardgen("prefer", run, "--remark", "r0g0c1", "--words", "swings too late", "--judge", "ben", "--json")
    assert said.code == 0 and said.json["kept"][0]["replay"] == "r0g0c1.0"
    rest, _ = process.communicate()
    assert process.returncode == 0 and "liked best of the generation" in rest, rest
    view = read(run)
    verdict = view.generations[0].verdict
    assert verdict is not None and verdict.heard == 3
    liked = Judgements(run).judgements()[0].right.partition(".")[0]
    assert view.winner == verdict.ranking[0].candidate == liked
    assert {words.text for words in verdict.words} == {"the other one", "swings too late"}


def test_in_one_go(waiting: tuple[Path, subprocess.Popen[str]]) -> None:
    run, _ = waiting
    keys = list(read(run).candidates)
    assert rewardgen("prefer", run, "--order", ",".join(keys), "--judge", "eve", "--words", "by height").code == 0
    order = Judgements(run).orders()[-1]
    assert (order.candidates, order.judge, order.words, order.generation) == (tuple(keys), "eve", "by height", 0)
    done = rewardgen("prefer", run, "--pair", f"{keys[0]},{keys[1]}", "--answer", "equal", "--judge", "eve", "--json")
    assert done.json["kept"][0]["answer"] == "equal" and Judgements(run).judgements()[-1].left == f"{keys[0]}.0"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--pair", "r0g0c0,r0g0c1"], "--answer belong together"),
        (["--pair", "r0g0c0", "--answer", "left"], "use --pair LEFT,RIGHT"),
        (["--pair", "r0g0c0,r0g0c9", "--answer", "left"], "r0g0c9"),
        (["--pair", "r0g0c0,../../etc.0", "--answer", "left"], "candidate"),
        (["--pair", "r0g0c0,r0g0c0", "--answer", "left"], "compared with itself"),
        (["--order", "r0g0c0"], "at least two"),
        (["--remark", "r0g0c0"], "needs --words"),
        (["--words", "x"], "--words belong to"),
        (["--remark", "r0g0c0", "--words", "x", "--judge", "a\tb"], "name of the judge"),
        (["--remark", "r0g0c0", "--words", "x" * 5000], "at most 4000"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    waiting: tuple[Path, subprocess.Popen[str]], flags: list[str], says: str
) -> None:
    refused = rewardgen("prefer", waiting[0], "--judge", "eve", *flags)
    assert refused.code == 2 and says in refused.err, refused.err
