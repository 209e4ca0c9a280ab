"""Plays trained policies from given start states and records how every body moves."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
import torch

from rewardgen.errors import ReplayError
from rewardgen.replay.geometry import drawn_tendons, followed_body, look_of, moving_bodies
from rewardgen.sim import Simulator, make_simulator
from rewardgen.tasks import Task, play_episodes
from rewardgen.tasks.episodes import DIVERGED
from rewardgen.training import Population
from rewardgen.training.seeds import streams

FRAME_RATE = 60.0
"""Max. frames per second of a replay: more would not be visible."""
_PULLEY = -2  # value in MuJoCo's wrap_obj
_STANDING = 0.3  # share of the camera's distance below which movement along an axis is not followed
_IN_PICTURE = 0.9  # the same for a model with a fixed camera: about what its picture covers


@dataclass(frozen=True)
class Replay:
    """One episode of a candidate's policy as ``F`` frames: the first state, the last, and evenly spaced ones.

    ``times`` ``(F,)`` are in seconds; ``positions`` ``(F, B, 3)`` in metres and ``rotations`` ``(F, B, 4)`` unit
    quaternions (w, x, y, z) of the ``B`` bodies that can move; ``look_at`` ``(F, 3)`` is the point that the camera
    looks at; ``cords`` ``(F, S, 2, 3)`` are the ends of the segments of visible tendons, and ``cord_of`` ``(S,)`` is
    the tendon of each. ``coordinates`` ``(F, nq)`` and ``mocap`` ``(F, M, 7)`` are MuJoCo's own, for drawing with it.
    All are float32.

    ``length`` is in control steps; ``fitness`` is that of this episode; ``cause`` says how it ended.
    """

    task: str
    candidate: str
    start: int
    control_step: float
    length: int
    fitness: float
    cause: str
    times: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray
    look_at: np.ndarray
    cords: np.ndarray
    cord_of: np.ndarray
    coordinates: np.ndarray
    mocap: np.ndarray

    @property
    def id(self) -> str:
        """Its name: candidate and start, such as "r0g1c3.0"."""
        return f"{self.candidate}.{self.start}"

    @property
    def seconds(self) -> float:
        """Simulated length of the episode, in s."""
        return self.length * self.control_step

    @property
    def filmed(self) -> bool:
        """Whether there are only pictures of it: those that an environment drew itself."""
        return self.coordinates.shape[1] == 0


@torch.no_grad()
def record(task: Task, weights: Sequence[bytes], starts: int, seed: int, threads: int = 0) -> list[list[Replay]]:
    """Play one episode of each policy from each of ``starts`` start states, which are the same for all, as one batch.

    Args:
        task: a task on a MuJoCo model.
        weights: the policies, as safetensors bytes.
        starts: the start states 0 to ``starts`` - 1 of the run.
        seed: the run's; the start states depend on it alone, so that all candidates of a run can be compared.
        threads: CPU threads for physics; 0: all.

    Returns:
        For each policy its replays, one per start, without a candidate's name.

    Raises:
        ReplayError: the task's environment has no MuJoCo model whose bodies could be recorded.
        UsageError: a weights file is not a policy for the task.
        SimulationFailed: MuJoCo reported an error.
    """
    # Play all policies in one batch
    model = model_of(task)
    policies = Population.from_weights(weights, task)
    sim = make_simulator(model, len(weights) * starts, threads=threads)
    recorder = _Recorder(sim)
    played = play_episodes(
        task, sim, policies.act, streams(starts, "replay", seed).repeat(len(weights)), watch=recorder.take
    )
    # Turn each world's states into poses
    fitness = task.fitness(played).double().tolist()
    poser = Poser(model)
    replays = []
    for world, length in enumerate(played.length.tolist()):
        cause = next((cause for cause, flags in played.causes.items() if flags[world]), "")
        frames = recorder.world(world, length, task.control_step, diverged=cause == DIVERGED)
        replays.append(
            Replay(
                task=task.name,
                candidate="",
                start=world % starts,
                control_step=task.control_step,
                length=length,
                fitness=fitness[world],
                cause=cause,
                **poser.poses(*frames),
            )
        )
    return [replays[first : first + starts] for first in range(0, len(replays), starts)]


def model_of(task: Task) -> mujoco.MjModel:
    """Return the task's model with infinite floors, which is what they are for whatever stands on them.

    Raises:
        ReplayError: the task has no MuJoCo model.
    """
    model: object = task.model
    if not isinstance(model, mujoco.MjModel):
        raise ReplayError(
            f"there are no poses for {task.name}: its environment runs in a separate package, which does not report "
            "where its bodies are"
        )
    copied = copy.copy(model)
    for geom in range(copied.ngeom):
        meets = copied.geom_contype[geom] or copied.geom_conaffinity[geom]
        stands = copied.body_weldid[copied.geom_bodyid[geom]] == 0
        if copied.geom_type[geom] == int(mujoco.mjtGeom.mjGEOM_PLANE) and meets and stands:
            _make_infinite(copied, geom)
    return copied


def _make_infinite(model: mujoco.MjModel, plane: int) -> None:
    """Make a plane infinite; the squares of its texture keep their size."""
    material, sides = model.geom_matid[plane], 2.0 * model.geom_size[plane, :2]
    if material >= 0 and not model.mat_texuniform[material] and (sides > 0).all():
        model.mat_texrepeat[material] /= sides
        model.mat_texuniform[material] = True
    model.geom_size[plane, :2] = 0.0


class _Recorder:
    """Records the coordinates of all worlds over time, from which their poses follow."""

    def __init__(self, sim: Simulator) -> None:
        self._qpos, self._mocap = sim.field("qpos"), [sim.field("mocap_pos"), sim.field("mocap_quat")]
        self._frames: list[tuple[np.ndarray, np.ndarray]] = []

    def take(self) -> None:
        """Record the present state of all worlds."""
        mocap = torch.cat(self._mocap, -1)
        self._frames.append((self._qpos.double().cpu().numpy().copy(), mocap.double().cpu().numpy()))

    def world(
        self, world: int, length: int, control_step: float, *, diverged: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the times, coordinates and mocap poses of one world's frames."""
        last = length - 1 if diverged else length  # MuJoCo resets a world that diverged
        stride = max(1, math.ceil(1.0 / (FRAME_RATE * control_step) - 1e-6))
        steps = [*range(0, length, stride), length]
        sound = [min(step, last) for step in steps]
        qpos = np.stack([self._frames[step][0][world] for step in sound])
        mocap = np.stack([self._frames[step][1][world] for step in sound])
        return np.array(steps) * control_step, qpos, mocap


class Poser:
    """Computes where every body is from coordinates."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        self._bodies = moving_bodies(model)
        self._tendons = drawn_tendons(model)
        self._root = followed_body(model)
        look, self._offset, self._home = look_of(model)
        self._standing = (_STANDING if self._home is None else _IN_PICTURE) * look.distance

    def poses(self, times: np.ndarray, qpos: np.ndarray, mocap: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays of a ``Replay``."""
        model, data = self._model, self._data
        positions, rotations, centres, cords = [], [], [], []
        # Compute the poses frame by frame
        for frame in range(len(times)):
            pose(model, data, qpos[frame], mocap[frame])
            positions.append(data.xpos[self._bodies])
            rotations.append(data.xquat[self._bodies])
            centres.append(data.subtree_com[self._root].copy())
            cords.append(self._cords())
        # Let the camera follow
        pieces, cord_of = self._padded(cords)
        arrays = {
            "times": times,
            "positions": np.stack(positions),
            "rotations": np.stack(rotations),
            "look_at": self._followed(np.stack(centres)) + self._offset,
            "cords": pieces,
            "coordinates": qpos,
            "mocap": mocap,
        }
        return {name: values.astype(np.float32) for name, values in arrays.items()} | {"cord_of": cord_of}

    def _followed(self, path: np.ndarray) -> np.ndarray:
        """Return ``path`` ``(F, 3)``, constant along each axis along which it hardly moves, for a calm picture."""
        standing = np.ptp(path, axis=0) < self._standing
        return np.where(standing, path.mean(0) if self._home is None else self._home, path)

    def _cords(self) -> list[tuple[int, np.ndarray]]:
        """Return the segments of every visible tendon: its index and both ends."""
        data, pieces = self._data, []
        places, objects = data.wrap_xpos.reshape(-1, 3), data.wrap_obj.reshape(-1)
        for number, tendon in enumerate(self._tendons):
            first, count = int(data.ten_wrapadr[tendon]), int(data.ten_wrapnum[tendon])
            for point in range(first, first + count - 1):
                if objects[point] != _PULLEY and objects[point + 1] != _PULLEY:
                    pieces.append((number, places[point : point + 2].copy()))
        return pieces

    def _padded(self, frames: list[list[tuple[int, np.ndarray]]]) -> tuple[np.ndarray, np.ndarray]:
        """Return the segments of all frames as arrays; each tendon has its largest number, missing ones no length."""
        most = [
            max((sum(number == of for of, _ in frame) for frame in frames), default=0)
            for number in range(len(self._tendons))
        ]
        cord_of = np.repeat(np.arange(len(most)), most).astype(np.int32)
        padded = np.zeros((len(frames), len(cord_of), 2, 3), np.float32)
        for index, frame in enumerate(frames):
            for number, (first, room) in enumerate(zip(np.cumsum([0, *most]), most, strict=False)):
                ends = [piece for of, piece in frame if of == number]
                if ends:
                    padded[index, first : first + room] = ends[-1][1]
                    padded[index, first : first + len(ends)] = ends
        return padded, cord_of


def pose(model: mujoco.MjModel, data: mujoco.MjData, qpos: np.ndarray, mocap: np.ndarray) -> None:
    """Set ``data`` to a frame of a replay, as far as drawing needs it."""
    data.qpos[:] = qpos
    data.mocap_pos[:], data.mocap_quat[:] = mocap[:, :3], mocap[:, 3:]
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    if model.ntendon:
        mujoco.mj_tendon(model, data)
