"""Pictures and films, where this machine can draw."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from rewardgen.errors import SimulationFailed
from rewardgen.replay import ensure, load_replay, stills
from rewardgen.replay.drawing import Painter
from rewardgen.replay.recording import model_of, record
from rewardgen.sim.rendering import renderer
from rewardgen.tasks import load_task
from tests.replay.made import make_run, policy


@pytest.fixture(scope="module", autouse=True)
def _something_that_draws() -> None:
    try:
        renderer()
    except SimulationFailed as error:
        pytest.skip(f"nothing can draw here: {error}")


def test_a_film_is_one_that_browsers_play_and_shows_the_episode_in_real_time(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run")
    (files,) = ensure(run_dir, "r0g0c0", video=True)
    assert files.note == "" and files.video is not None and files.thumbnail is not None
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(files.video), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True)
    about = decoded.stderr.decode()
    assert re.search(r"Video: h264 .*yuv420p.* 480x360", about), about
    hours, minutes, seconds = re.search(r"Duration: (\d+):(\d+):([\d.]+)", about).groups()
    assert 3600 * int(hours) + 60 * int(minutes) + float(seconds) == pytest.approx(files.seconds, abs=0.1)
    pictures = np.frombuffer(decoded.stdout, np.uint8).reshape(-1, 360, 480, 3).astype(float)
    assert np.abs(pictures[-1] - pictures[0]).mean() > 1.0  # it moves
    content = files.video.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it can be played before all of it has arrived
    thumbnail = np.asarray(Image.open(files.thumbnail).convert("RGB"))
    assert thumbnail.shape == (144, 192, 3) and thumbnail.std() > 10


def test_stills_go_from_the_first_state_to_the_last(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", task="cartpole/swingup", candidates=2, finals=())
    ensure(run_dir, "r0g0c0")
    pictures = [np.asarray(Image.open(io.BytesIO(png))).astype(float) for png in stills(run_dir, "r0g0c0.0", 3)]
    assert [picture.shape for picture in pictures] == [(240, 320, 3)] * 3
    assert len(load_replay(run_dir, "r0g0c0.0").times) == 501
    assert all(np.abs(a - b).max() > 30 for a, b in itertools.pairwise(pictures))


def test_there_is_floor_beneath_one_who_has_run_far() -> None:
    task = load_task("cheetah/run")  # its model lets 40 m of floor be drawn
    model = model_of(task)
    (replay,) = record(task, [policy(task, 1)], 1, seed=3)[0]
    coordinates, look_at = replay.coordinates[:1].copy(), replay.look_at[:1].copy()
    coordinates[:, 0] += 300.0
    look_at[:, 0] += 300.0
    far = replace(replay, coordinates=coordinates, look_at=look_at)
    with Painter(model, (160, 120)) as painter:
        (near,), (there,) = (list(painter.frames(each, [0])) for each in (replay, far))
    assert near[80:].std() > 30 and there[80:].std() > 30  # squares, not the sky
    assert task.model.geom_size[0, 0] > 0  # the task's own model is as it was
