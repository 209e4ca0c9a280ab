"""Replays as files: made once whoever asks, and believed only after they were checked."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from rewardgen.errors import ReplayError, UnknownName, UsageError
from rewardgen.replay import ensure, find, load_replay, replay_ids
from rewardgen.replay.formats import dump_geometry, dump_replay, parse_geometry, parse_replay
from rewardgen.replay.geometry import geometry_of
from rewardgen.store import read
from rewardgen.tasks import load_task
from tests.replay.made import make_run

NO_RENDERER = {**os.environ, "PYOPENGL_PLATFORM": "none of them", "MUJOCO_GL": "egl", "OMP_NUM_THREADS": "1"}
ASK = (
    "import json, sys; from pathlib import Path; from rewardgen.replay import ensure\n"
    "print(json.dumps([[f.id, str(f.poses), f.note] for f in ensure(Path(sys.argv[1]), sys.argv[2], starts=2)]))"
)


def ask_elsewhere(run_dir: Path, candidate: str) -> subprocess.Popen[str]:
    """``ensure`` in another process, on a machine that cannot draw."""
    command = [sys.executable, "-c", ASK, str(run_dir), candidate]
    return subprocess.Popen(command, env=NO_RENDERER, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose replays were asked for by three processes at the same time."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "hopper")
    processes = [ask_elsewhere(folder, candidate) for candidate in ("r0g0c0", "r0g0c1", "r0g0c0")]
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        answers = json.loads(out)
        assert [Path(answer[1]).is_file() for answer in answers] == [True, True]
        assert all("libegl1" in answer[2] for answer in answers)  # what to install, and no failure
    return folder


def test_processes_that_ask_at_once_get_the_same_files(run_dir: Path) -> None:
    kept = sorted(path.name for path in (run_dir / "replays").iterdir() if not path.name.startswith("."))
    assert kept == sorted(
        ["geometry.safetensors", *(f"r0g0c{c}.{s}.safetensors" for c in range(2) for s in range(2))]
    )  # nothing half-written is left, and the candidate that failed has none
    first, second = (load_replay(run_dir, f"r0g0c{number}.1") for number in range(2))
    np.testing.assert_array_equal(first.coordinates[0], second.coordinates[0])
    assert first.id == "r0g0c0.1" and first.seconds == pytest.approx(first.length * 0.008)


def test_what_is_there_is_not_made_again(run_dir: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (run_dir / "replays").glob("*.safetensors")}
    process = ask_elsewhere(run_dir, "r0g0c1")
    process.communicate()
    assert before == {path.name: path.stat().st_mtime_ns for path in (run_dir / "replays").glob("*.safetensors")}
    found = find(run_dir, "r0g0c1", starts=2)
    assert [files.id for files in found] == ["r0g0c1.0", "r0g0c1.1"] and found[0].thumbnail is found[0].video is None


def test_what_was_shown_stays_when_more_starts_are_asked_for(run_dir: Path, tmp_path: Path) -> None:
    shown = load_replay(run_dir, "r0g0c0.1")
    longer = replace(shown, fitness=123.0)
    (run_dir / "replays" / "r0g0c0.1.safetensors").write_bytes(dump_replay(longer))
    try:
        assert [files.fitness for files in ensure(run_dir, "r0g0c0", starts=3)][1] == 123.0
    finally:
        (run_dir / "replays" / "r0g0c0.1.safetensors").write_bytes(dump_replay(shown))


def test_the_reported_rewards_have_replays_too(run_dir: Path) -> None:
    (files,) = ensure(run_dir, "expert")
    assert files.id == "expert.0" and files.fitness == files.fitness and files.length > 0
    np.testing.assert_array_equal(
        load_replay(run_dir, "expert.0").coordinates[0], load_replay(run_dir, "r0g0c0.0").coordinates[0]
    )


def test_what_cannot_be_had_is_said(run_dir: Path) -> None:
    assert replay_ids(read(run_dir), 0, 0) == ["r0g0c0.0", "r0g0c1.0"]
    with pytest.raises(ReplayError, match=r"r0g0c2 \(failed\) has no trained policy"):
        ensure(run_dir, "r0g0c2")
    with pytest.raises(ReplayError, match="winner has no trained policy"):
        ensure(run_dir, "winner")
    with pytest.raises(UnknownName, match="did you mean r0g0c1"):
        ensure(run_dir, "r0g0c11")
    with pytest.raises(UsageError, match="from 1 to 16 start states, not 99"):
        ensure(run_dir, "r0g0c0", starts=99)
    for name in ("../../etc/passwd", "r0g0c0.0/../x", ""):
        with pytest.raises(UsageError):
            load_replay(run_dir, name)
        assert find(run_dir, name) == ()


def test_damaged_files_and_links_are_made_anew(run_dir: Path, tmp_path: Path) -> None:
    path = run_dir / "replays" / "r0g0c1.0.safetensors"
    sound = path.read_bytes()
    elsewhere = tmp_path / "private.safetensors"
    elsewhere.write_bytes(sound)
    for spoil in (lambda: path.write_bytes(sound[:-7]), lambda: path.unlink() or path.symlink_to(elsewhere)):
        spoil()
        assert find(run_dir, "r0g0c1") == ()
        (files,) = ensure(run_dir, "r0g0c1")
        assert not path.is_symlink() and files.length == parse_replay(sound).length
    assert elsewhere.read_bytes() == sound
    picture = path.with_suffix(".png")
    picture.unlink(missing_ok=True)
    picture.symlink_to("/etc/hostname")
    assert find(run_dir, "r0g0c1")[0].thumbnail is None
    picture.unlink()


def changed(content: bytes, **arrays: np.ndarray) -> bytes:
    """A file with other arrays and the same text."""
    size = int.from_bytes(content[:8], "little")
    return save({**load(content), **arrays}, json.loads(content[8 : 8 + size])["__metadata__"])


def test_a_replay_is_read_back_as_it_was(run_dir: Path) -> None:
    replay = load_replay(run_dir, "r0g0c0.0")
    again = parse_replay(dump_replay(replay))
    for name, values in vars(replay).items():
        np.testing.assert_array_equal(getattr(again, name), values)
    assert np.abs(np.linalg.norm(replay.rotations, axis=-1) - 1).max() < 1e-4  # int16 is fine enough
    assert np.isnan(parse_replay(dump_replay(replace(replay, fitness=float("nan")))).fitness)


def test_files_that_hold_something_else_are_refused(run_dir: Path) -> None:
    replay = load_replay(run_dir, "r0g0c0.0")
    content = dump_replay(replay)
    frames = len(replay.times)
    wrong = [
        b"",
        pickle.dumps({"positions": 1}),
        content[:100],
        dump_geometry(geometry_of(load_task("hopper/run").model, "hopper/run")),
        changed(content, positions=np.full_like(replay.positions, np.nan)),
        changed(content, positions=replay.positions[:, :, :2]),
        changed(content, look_at=replay.look_at[: frames - 1]),
        changed(content, times=replay.times[::-1].copy()),
        changed(content, rotations=replay.rotations.astype(np.float64)),
        content.replace(b'\\"start\\": 0', b'\\"start\\": x'),
        content.replace(b'\\"length\\": ', b'\\"length\\": -'),
    ]
    for bad in wrong:
        with pytest.raises(ReplayError):
            parse_replay(bad)
    (run_dir / "replays" / "r0g0c0.9.safetensors").write_bytes(content)  # under another's name
    with pytest.raises(ReplayError, match=r"holds the replay 'r0g0c0\.0'"):
        load_replay(run_dir, "r0g0c0.9")
    (run_dir / "replays" / "r0g0c0.9.safetensors").unlink()


def test_geometry_is_read_back_as_it_was_and_checked() -> None:
    geometry = geometry_of(load_task("hopper/run").model, "hopper/run")
    content = dump_geometry(geometry)
    assert parse_geometry(content) == geometry
    for bad in (
        content.replace(b"capsule", b"capsula"),
        content.replace(b'\\"track\\": 3', b'\\"track\\": 9'),
        content.replace(b'\\"azimuth\\"', b'\\"azimute\\"'),
        content[: len(content) // 2],
    ):
        with pytest.raises(ReplayError):
            parse_geometry(bad)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 5000), values=st.binary(min_size=1, max_size=12))
def test_no_change_of_a_file_does_worse_than_be_refused(run_dir: Path, place: int, values: bytes) -> None:
    content = bytearray(dump_replay(load_replay(run_dir, "r0g0c0.0")))
    place %= len(content)
    content[place : place + len(values)] = values
    try:
        replay = parse_replay(bytes(content))
    except ReplayError:
        return
    assert np.isfinite(replay.positions).all() and replay.positions.shape[0] == len(replay.times)
