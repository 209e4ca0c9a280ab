"""Output streams that lack some characters: a pipe on Windows, a Latin-1 locale."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from rewardgen.cli import main
from rewardgen.cli.output import replace_unencodable


def output(monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: str) -> bytes:
    """What ``rewardgen *arguments`` writes to streams of this ``encoding``, as the interpreter would open them."""
    out, err = io.BytesIO(), io.BytesIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))
        patched.setattr(sys, "stderr", io.TextIOWrapper(err, encoding=encoding, errors="backslashreplace"))
        with pytest.raises(SystemExit) as end:
            main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        assert end.value.code == 0, err.getvalue().decode(encoding)
        return out.getvalue()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
@pytest.mark.parametrize(
    "arguments", [("prompt", "cartpole/swingup"), ("methods", "--diff", "eureka", "rewardgen"), ("--help",)]
)
def test_commands_replace_what_the_stream_lacks(
    monkeypatch: pytest.MonkeyPatch, encoding: str, arguments: tuple[str, ...]
) -> None:
    whole = output(monkeypatch, "utf-8", *arguments).decode().splitlines()
    degraded = output(monkeypatch, encoding, *arguments).decode(encoding).splitlines()
    assert len(degraded) == len(whole)
    plain = [(line, shown) for line, shown in zip(whole, degraded, strict=True) if line.isascii()]
    assert plain and all(line == shown for line, shown in plain)


def test_doctor_advises_on_a_stream_without_arrows(monkeypatch: pytest.MonkeyPatch) -> None:
    text = output(monkeypatch, "latin-1", "doctor").decode("latin-1")
    assert "mujoco" in text and "\u2192" not in text


def test_a_pipe_of_the_interpreter_s_own() -> None:
    program = "from rewardgen.cli import main; main(['prompt', 'cartpole/swingup'])"
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "---- system ----" in done.stdout.decode("cp1252")


def test_json_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("prompt", "cartpole/swingup", "--json")
    whole, degraded = output(monkeypatch, "utf-8", *command), output(monkeypatch, "ascii", *command)
    assert not whole.isascii() and degraded.isascii()
    assert json.loads(degraded) == json.loads(whole)


def test_what_is_written_in_place_of_missing_characters() -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="latin-1", newline="")
    replace_unencodable(stream)
    stream.write("─→…é×π\ud800\n")
    stream.flush()
    assert buffer.getvalue() == b"-->...\xe9\xd7??\n"


def test_what_the_user_chose_for_a_stream_stays() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="xmlcharrefreplace")
    replace_unencodable(stream)
    assert stream.errors == "xmlcharrefreplace"
    replace_unencodable(None)  # a program without a console has no streams
