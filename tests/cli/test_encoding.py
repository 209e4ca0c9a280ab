"""Output streams that lack some characters: a pipe on Windows, a Latin-1 locale."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from rewardgen.cli.output import degrade

RUN = "import sys; from rewardgen.cli import main; main(sys.argv[1:])"


def output(encoding: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        ("cp1252", ("prompt", "cartpole/swingup")),
        ("latin-1", ("doctor",)),
        ("ascii", ("methods", "--diff", "eureka", "rewardgen")),
        ("ascii", ("--help",)),
    ],
)
def test_commands_replace_what_the_stream_lacks(encoding: str, arguments: tuple[str, ...]) -> None:
    whole, degraded = output("utf-8", *arguments), output(encoding, *arguments)
    assert (whole.returncode, degraded.returncode) == (0, 0), degraded.stderr.decode()
    assert b"Traceback" not in degraded.stderr
    text = degraded.stdout.decode(encoding)
    lines = whole.stdout.decode("utf-8").splitlines()
    assert len(text.splitlines()) == len(lines)
    held = [line for line in lines if line == line.encode(encoding, "ignore").decode(encoding)]
    assert set(held) - set(text.splitlines()) == set() or arguments == ("doctor",)  # it measures times


def test_json_loses_nothing() -> None:
    whole, degraded = (
        output("utf-8", "prompt", "cartpole/swingup", "--json"),
        output("ascii", "prompt", "cartpole/swingup", "--json"),
    )
    assert not whole.stdout.isascii() and degraded.stdout.isascii()
    assert json.loads(degraded.stdout) == json.loads(whole.stdout)


def test_what_is_written_in_place_of_missing_characters() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="latin-1")
    degrade(stream)
    stream.write("─→…é×π\ud800\n")
    stream.flush()
    assert buffer.getvalue() == b"-->...\xe9\xd7??\n"


def test_what_the_user_chose_for_a_stream_stays() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="xmlcharrefreplace")
    degrade(stream)
    assert stream.errors == "xmlcharrefreplace"
    degrade(None)  # a program without a console has no streams
