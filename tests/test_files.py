"""The atomic writer: old content or new content, nothing between, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rewardgen import files

# Writes part of the new content, says so, and waits to be killed.
HALF_WAY = """
import sys, time
from pathlib import Path
from rewardgen.files import replacing
with replacing(Path(sys.argv[1])) as part:
    with part.open("wb") as file:
        file.write(b"half")
        file.flush()
        print("half", flush=True)
        sys.stdin.read()
"""
# Replaces one file again and again by as many equal bytes, until it is killed.
OVER_AND_OVER = """
import itertools, sys
from pathlib import Path
from rewardgen.files import write_bytes
for number in itertools.count():
    write_bytes(Path(sys.argv[1]), bytes([number % 256]) * 100_000)
    print(number, flush=True)
"""


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def partials(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".part" in path.name]


def test_text_and_bytes_are_written_and_replace_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    files.write_text(path, "grün → 1\n")
    assert path.read_bytes() == "grün → 1\n".encode()
    files.write_bytes(path, b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    files.write_text(path, "a\ud800b", errors="replace")
    assert path.read_bytes() == b"a?b"
    assert [each.name for each in path.parent.iterdir()] == ["file.txt"]


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".json")  # 255 bytes
    files.write_text(path, "x")
    assert path.read_text() == "x"


def test_a_killed_writer_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", HALF_WAY, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "half\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (left,) = partials(tmp_path)
    assert (tmp_path / left).read_bytes() == b"half" and left.startswith(".")
    files.write_bytes(path, b"new")  # what was left does not stand in the way
    assert path.read_bytes() == b"new"


def test_a_writer_killed_at_any_moment_leaves_one_whole_content(tmp_path: Path) -> None:
    for written in (1, 3, 7):
        path = tmp_path / f"{written}.bin"
        command = [sys.executable, "-c", OVER_AND_OVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(written):
                process.stdout.readline()
            process.kill()
        content = path.read_bytes()
        assert len(content) == 100_000 and len(set(content)) == 1


def test_an_error_on_the_way_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="ffmpeg"), files.replacing(path) as part:
        assert part.suffix == ".mp4" and part.parent == tmp_path
        part.write_bytes(b"half")
        raise RuntimeError("ffmpeg failed")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "\ud800")
    assert path.read_bytes() == b"old" and partials(tmp_path) == []
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # which one depends on the system
        files.write_bytes(tmp_path / "folder", b"x")
    assert partials(tmp_path) == []


def test_the_first_of_two_writers_of_a_new_file_wins(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert files.write_new(path, b"first", mode=files.PRIVATE)
    assert not files.write_new(path, b"second", mode=files.PRIVATE)
    assert path.read_bytes() == b"first" and partials(tmp_path) == []


@pytest.mark.usefixtures("umask")
def test_permissions_are_what_the_umask_leaves(tmp_path: Path) -> None:
    files.write_text(tmp_path / "shared", "x")
    files.write_text(tmp_path / "private", "x", mode=files.PRIVATE)
    files.write_new(tmp_path / "key", b"x", mode=files.PRIVATE)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"shared": 0o640, "private": 0o600, "key": 0o600}
