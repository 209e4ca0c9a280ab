"""Record episodes of Gymnasium environments as pictures, drawn by the environment's own ``render``."""

from __future__ import annotations

import io
import math
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from rewardgen.errors import ReplayError, SimulationFailed
from rewardgen.replay.drawing import FRAMES_PER_SECOND, THUMBNAIL_SIZE, encoded, film_maker, write_film
from rewardgen.replay.recording import Replay
from rewardgen.sim import GymnasiumSim, available_threads
from rewardgen.tasks import EnvironmentTask, play_episodes
from rewardgen.training import Population
from rewardgen.training.seeds import streams

MAX_FRAMES = 900
"""Frames of a film; those of longer episodes are further apart in time."""
_MAX_SIDE = 640  # pixels; larger pictures are reduced


@dataclass(frozen=True)
class Filmed:
    """One episode as pictures.

    ``replay`` has no bodies; ``pictures`` are PNG files, one for each of its ``times``.
    """

    replay: Replay
    pictures: tuple[bytes, ...]

    def write_film(self, path: Path) -> None:
        """Write the episode as an MP4.

        Raises:
            ReplayError: there is no ffmpeg, or it failed.
        """
        first = _decoded(self.pictures[0])
        times = self.replay.times
        rate = 1.0 / float(times[1] - times[0]) if len(times) > 1 and times[1] > times[0] else FRAMES_PER_SECOND
        write_film(path, map(_decoded, self.pictures), rate, (first.shape[1], first.shape[0]))

    def thumbnail(self) -> bytes:
        """The middle of the episode as a PNG file."""
        middle = Image.fromarray(_decoded(self.pictures[len(self.pictures) // 2]))
        return encoded(np.asarray(ImageOps.pad(middle, THUMBNAIL_SIZE, color="white")))


def check_filmed(task: EnvironmentTask) -> None:
    """Check that the environment draws itself and that films can be made of it.

    Raises:
        ReplayError: it cannot, with the environment's own reason.
    """
    film_maker()
    try:
        sim = GymnasiumSim(replace(task.model, pictures=True), 1)
        try:
            sim.begin(torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
            sim.picture(0)
        finally:
            sim.close()
    except SimulationFailed as error:
        raise ReplayError(f"there is no replay for {task.name}: its environment cannot be drawn: {error}") from error


@torch.no_grad()
def record_film(task: EnvironmentTask, weights: bytes, starts: int, seed: int, threads: int = 0) -> list[Filmed]:
    """Record one episode of a policy from each of ``starts`` start states, the same ones for all policies of a run.

    Args:
        task: a task on a Gymnasium environment.
        weights: the policy, as safetensors bytes.
        starts: the start states 0 to ``starts`` - 1 of the run.
        seed: the run's.
        threads: processes of the environment; 0 is one for each processor.

    Raises:
        ReplayError: the environment cannot be drawn; the message has its own reason.
        UsageError: the weights are no policy for the task.
    """
    policy = Population.from_weights([weights], task)
    step_seconds = _step_seconds(task)
    stride = max(math.ceil(1.0 / (FRAMES_PER_SECOND * step_seconds) - 1e-6), math.ceil(task.horizon / MAX_FRAMES))
    try:
        sim = GymnasiumSim(replace(task.model, pictures=True), starts, threads or available_threads())
        try:
            camera = _Camera(sim, stride, task.horizon)
            played = play_episodes(task, sim, policy.act, streams(starts, "replay", seed), watch=camera.take)
        finally:
            sim.close()
    except SimulationFailed as error:
        raise ReplayError(f"there is no replay for {task.name}: its environment cannot be drawn: {error}") from error
    fitness = task.fitness(played).double().tolist()
    made = []
    for world, length in enumerate(played.length.tolist()):
        taken = [(step, picture) for step, picture in camera.taken[world] if step <= length]
        replay = Replay(
            task=task.name,
            candidate="",
            start=world,
            control_step=step_seconds,
            length=length,
            fitness=fitness[world],
            cause=next((cause for cause, held in played.causes.items() if held[world]), ""),
            times=np.array([step * step_seconds for step, _ in taken], np.float32),
            **_no_bodies(len(taken)),
        )
        made.append(Filmed(replay, tuple(picture for _, picture in taken)))
    return made


def film_stills(path: Path, count: int, size: tuple[int, int]) -> list[bytes]:
    """``count`` pictures of a film at equal distances in time, from the first to the last, as PNG files.

    Raises:
        ReplayError: the film cannot be read.
    """
    width, height = size
    fit = f"scale={width}:{height}:force_original_aspect_ratio=decrease,pad={width}:{height}:-1:-1:white"
    film_maker()
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-vf", fit]
    done = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    frames = np.frombuffer(done.stdout, np.uint8)
    if done.returncode or not len(frames) or len(frames) % (3 * width * height):
        why = done.stderr.decode(errors="replace").strip()[-200:]
        raise ReplayError(
            f"the film {path.name} cannot be read: {why or 'it is empty'}; delete it to have it made again"
        )
    frames = frames.reshape(-1, height, width, 3)
    return [encoded(frames[frame]) for frame in np.linspace(0, len(frames) - 1, count).round().astype(int)]


class _Camera:
    """Takes the pictures of worlds while they are played."""

    def __init__(self, sim: GymnasiumSim, stride: int, horizon: int) -> None:
        self._sim, self._stride, self._horizon = sim, stride, horizon
        self._step = 0
        self._ended = torch.zeros(sim.num_worlds, dtype=torch.bool)
        self.taken: list[list[tuple[int, bytes]]] = [[] for _ in range(sim.num_worlds)]
        """For each world the control step and the PNG file of each picture."""

    def take(self) -> None:
        """Called at the start and after every step: every ``stride``-th state, and the last one of each episode."""
        ends = self._sim.field("terminated") > 0
        due = self._step % self._stride == 0 or self._step == self._horizon
        for world in range(self._sim.num_worlds):
            if not self._ended[world] and (due or ends[world]):
                self.taken[world].append((self._step, _compressed(self._sim.picture(world))))
        self._ended |= ends
        self._step += 1


def _step_seconds(task: EnvironmentTask) -> float:
    """Seconds of a film that one step takes: the declared or the environment's own, else by its ``render_fps``."""
    known = task.declaration.control_step or task.about["control_step"]
    if known:
        return float(known)
    rate = task.about["render_fps"]
    return 1.0 / (rate if rate else FRAMES_PER_SECOND)


def _no_bodies(frames: int) -> dict[str, np.ndarray]:
    """The arrays of a ``Replay`` of which there are only pictures."""
    return {
        "positions": np.zeros((frames, 0, 3), np.float32),
        "rotations": np.zeros((frames, 0, 4), np.float32),
        "look_at": np.zeros((frames, 3), np.float32),
        "cords": np.zeros((frames, 0, 2, 3), np.float32),
        "cord_of": np.zeros(0, np.int32),
        "coordinates": np.zeros((frames, 0), np.float32),
        "mocap": np.zeros((frames, 0, 7), np.float32),
    }


def _compressed(picture: np.ndarray) -> bytes:
    """A picture as a PNG file of at most ``_MAX_SIDE`` pixels a side, both even as H.264 needs them."""
    image = Image.fromarray(picture)
    scale = min(1.0, _MAX_SIDE / max(image.size))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _decoded(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
