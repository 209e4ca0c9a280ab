"""Renders pictures and films of replays with MuJoCo, from the same view as the browser."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import mujoco
import numpy as np
from PIL import Image

from rewardgen.errors import ReplayError
from rewardgen.replay.geometry import look_of
from rewardgen.replay.recording import Replay, pose
from rewardgen.sim.rendering import Canvas

VIDEO_SIZE = (480, 360)
THUMBNAIL_SIZE = (192, 144)
STILL_SIZE = (320, 240)
FRAMES_PER_SECOND = 30.0
"""Max. frame rate of a film."""


class Painter:
    """Renders frames of replays of one model. ``size`` is width and height in pixels; ``shadows`` as in ``Canvas``.

    Raises:
        SimulationFailed: this machine cannot render; the message says what to install.
    """

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int], *, shadows: bool = True) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        mujoco.mj_forward(model, self._data)
        self._canvas = Canvas(model, *size, shadows=shadows)
        look, *_ = look_of(model)
        self._camera = mujoco.MjvCamera()
        self._camera.azimuth, self._camera.elevation = look.azimuth, look.elevation
        self._camera.distance = look.distance

    def __enter__(self) -> Painter:
        return self

    def __exit__(self, *raised: object) -> None:
        self._canvas.close()

    def frames(self, replay: Replay, chosen: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the frames ``chosen``, each ``(height, width, 3)`` uint8.

        Raises:
            ReplayError: the replay is of another model.
        """
        model, data = self._model, self._data
        if replay.coordinates.shape[1] != model.nq or replay.mocap.shape[1] != model.nmocap:
            raise ReplayError(
                f"the replay {replay.id} belongs to another version of the model of {replay.task}; delete it"
            )
        for frame in chosen:
            pose(model, data, replay.coordinates[frame], replay.mocap[frame])
            self._camera.lookat[:] = replay.look_at[frame]
            yield self._canvas.draw(data, self._camera)


def thumbnail(painter: Painter, replay: Replay) -> bytes:
    """Return the middle of an episode as a PNG file."""
    return encoded(next(painter.frames(replay, [len(replay.times) // 2])))


def stills(model: mujoco.MjModel, replay: Replay, count: int, size: tuple[int, int] = STILL_SIZE) -> list[bytes]:
    """Return ``count`` pictures, evenly spaced in time from the first state to the last, as PNG files.

    Raises:
        SimulationFailed: this machine cannot render; the message says what to install.
    """
    chosen = np.linspace(0, len(replay.times) - 1, count).round().astype(int).tolist()
    with Painter(model, size) as painter:
        return [encoded(picture) for picture in painter.frames(replay, chosen)]


def encoded(picture: np.ndarray) -> bytes:
    """Return a picture as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def film(painter: Painter, replay: Replay, path: Path, size: tuple[int, int] = VIDEO_SIZE) -> None:
    """Write a replay as an MP4 that browsers play (H.264, yuv420p), in real time.

    Raises:
        ReplayError: there is no ffmpeg, or it failed.
    """
    # A film runs in real time, whatever the replay's frame rate
    chosen, rate = _steady(replay)
    write_film(path, painter.frames(replay, chosen), rate, size)


def write_film(path: Path, pictures: Iterator[np.ndarray], rate: float, size: tuple[int, int]) -> None:
    """Write ``pictures`` ``(height, width, 3)``, ``rate`` per second, as an MP4 file."""
    import imageio_ffmpeg  # its import looks for a program

    # Start ffmpeg, and send it the pictures
    try:
        writer = imageio_ffmpeg.write_frames(
            str(path),
            size,
            fps=rate,
            codec="libx264",
            pix_fmt_out="yuv420p",
            macro_block_size=2,
            output_params=["-crf", "26", "-preset", "fast", "-movflags", "+faststart"],
            ffmpeg_log_level="error",
        )
        writer.send(None)
        try:
            for picture in pictures:
                writer.send(np.ascontiguousarray(picture))
        finally:
            writer.close()
    except (OSError, RuntimeError) as error:
        raise ReplayError(
            f"the film {path.name} could not be made: {error}; `rewardgen doctor` says what is missing, and the "
            "browser's 3-D view needs no film"
        ) from error
    if not path.is_file() or path.stat().st_size == 0:
        raise ReplayError(f"the film {path.name} could not be made: ffmpeg wrote nothing")


def film_maker() -> str:
    """Return what films are made with, such as "ffmpeg 7.0".

    Raises:
        ReplayError: there is no ffmpeg.
    """
    try:
        import imageio_ffmpeg

        return f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}"
    except (OSError, RuntimeError) as error:
        raise ReplayError(f"there is no ffmpeg to make films with: {error}") from error


def _steady(replay: Replay) -> tuple[list[int], float]:
    """Return evenly spaced frames, at most ``FRAMES_PER_SECOND``, and their frame rate."""
    count = len(replay.times)
    if count < 3:
        return list(range(count)), 1.0 / max(float(replay.times[-1]), 0.1)
    step = float(replay.times[1] - replay.times[0])
    every = max(1, math.ceil(1.0 / (FRAMES_PER_SECOND * step) - 1e-6))
    chosen = list(range(0, count, every))
    return (chosen if chosen[-1] == count - 1 else [*chosen, count - 1]), 1.0 / (every * step)
