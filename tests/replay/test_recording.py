"""What is recorded is what MuJoCo does: against plain ``mj_step`` and against MuJoCo's own scene."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from rewardgen.errors import ReplayError
from rewardgen.replay import record
from rewardgen.replay.geometry import Geometry, geometry_of
from rewardgen.replay.recording import Poser, model_of
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, WorldRandom, load_task, play_episodes
from rewardgen.training import Population
from rewardgen.training.seeds import streams
from tests.replay.made import policy


def turned(rotation: np.ndarray, vector: np.ndarray) -> np.ndarray:
    out = np.empty(3)
    mujoco.mju_rotVecQuat(out, np.asarray(vector, np.float64), np.asarray(rotation, np.float64))
    return out


def start_state(task: Task, stream: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Where the first episode of a stream begins."""
    sim, world = MujocoSim(task.model, 1), torch.arange(1)
    task.reset(sim, world, WorldRandom(stream, torch.zeros_like(stream)))
    return sim.field("qpos")[0].numpy().copy(), sim.field("qvel")[0].numpy().copy()


def test_an_episode_is_kept_as_mj_step_has_it_to_its_very_end() -> None:
    task = load_task("hopper/run")
    weights = policy(task, 1)
    (replay,) = record(task, [weights], 1, seed=3)[0]
    stream = streams(1, "replay", 3)
    played = play_episodes(task, MujocoSim(task.model, 1), Population.from_weights([weights], task).act, stream)
    length = int(played.length[0])
    assert replay.length == length < task.horizon and replay.cause in ("torso too low", "leaned too far")
    assert replay.fitness == pytest.approx(float(task.fitness(played)[0]))

    data = mujoco.MjData(task.model)
    data.qpos[:], data.qvel[:] = start_state(task, stream)
    reached = [data.qpos.copy()]
    for step in range(length):
        data.ctrl[:] = played.actions[step, 0].double().numpy()
        mujoco.mj_step(task.model, data, nstep=task.frame_skip)
        reached.append(data.qpos.copy())
    # 0.008 s a step: every third is 42 frames a second, and the last state is one of them however it falls
    steps = [*range(0, length, 3), length]
    np.testing.assert_allclose(replay.times, np.array(steps) * 0.008, atol=1e-6)
    np.testing.assert_allclose(replay.coordinates, np.stack(reached)[steps], atol=1e-6)
    mujoco.mj_kinematics(task.model, data)
    np.testing.assert_allclose(replay.positions[-1], data.xpos[1:], atol=1e-6)
    np.testing.assert_allclose(replay.rotations[-1], data.xquat[1:], atol=1e-6)


def test_all_policies_begin_in_the_same_states_and_go_on_in_their_own_ways() -> None:
    task = load_task("cartpole/swingup")
    both = record(task, [policy(task, 1), policy(task, 2)], 2, seed=3)
    again = record(task, [policy(task, 2)], 1, seed=3)
    for start in range(2):
        np.testing.assert_array_equal(both[0][start].coordinates[0], both[1][start].coordinates[0])
        assert [replays[start].start for replays in both] == [start, start]
    assert np.abs(both[0][0].coordinates[0] - both[0][1].coordinates[0]).max() > 1e-4
    assert np.abs(both[0][0].coordinates[-1] - both[1][0].coordinates[-1]).max() > 1e-2
    np.testing.assert_array_equal(again[0][0].coordinates[0], both[0][0].coordinates[0])
    other = record(task, [policy(task, 2)], 1, seed=4)
    assert np.abs(other[0][0].coordinates[0] - both[0][0].coordinates[0]).max() > 1e-4


@pytest.mark.parametrize("name", ["cartpole/swingup", "humanoid/run", "quadcopter/hover", "dmc_ball_in_cup/catch"])
def test_shapes_on_their_bodies_are_where_mujoco_draws_them(name: str) -> None:
    model = load_task(name).model
    geometry, data, scene = geometry_of(model, name), mujoco.MjData(model), mujoco.MjvScene(model, maxgeom=500)
    generator = np.random.default_rng(4)
    mujoco.mj_forward(model, data)
    for joint in range(model.njnt):
        if model.jnt_type[joint] >= int(mujoco.mjtJoint.mjJNT_SLIDE):
            data.qpos[model.jnt_qposadr[joint]] += generator.uniform(-0.5, 0.5)
        else:
            data.qpos[model.jnt_qposadr[joint] + 3 : model.jnt_qposadr[joint] + 7] = [0.5, 0.5, 0.5, 0.5]
    mujoco.mj_forward(model, data)
    mujoco.mjv_updateScene(
        model, data, mujoco.MjvOption(), mujoco.MjvPerturb(), mujoco.MjvCamera(), mujoco.mjtCatBit.mjCAT_ALL, scene
    )
    drawn = [geom for geom in scene.geoms[: scene.ngeom] if geom.objtype in (5, 6)]  # geoms and sites
    assert len(geometry.shapes) == len(drawn) > 2
    bodies = [body for body in range(model.nbody) if model.body(body).name in geometry.tracks]
    for shape, geom in zip(geometry.shapes, drawn, strict=True):
        if shape.kind == "plane":  # MuJoCo moves one without an end along with its camera
            continue
        position, rotation = np.array(shape.position), np.array(shape.rotation)
        if shape.track >= 0:
            body = bodies[shape.track]
            position = data.xpos[body] + turned(data.xquat[body], position)
            whole = np.empty(4)
            mujoco.mju_mulQuat(whole, data.xquat[body], rotation)
            rotation = whole
        np.testing.assert_allclose(position, geom.pos, atol=1e-5)
        axes = np.stack([turned(rotation, axis) for axis in np.eye(3)], 1)
        np.testing.assert_allclose(axes, geom.mat, atol=1e-5)
        assert int(geom.type) == getattr(mujoco.mjtGeom, f"mjGEOM_{shape.kind.upper()}")


def test_a_string_is_drawn_where_the_model_has_one() -> None:
    task = load_task("dmc_ball_in_cup/catch")
    (replay,) = record(task, [policy(task, 1)], 1, seed=3)[0]
    assert len(geometry_of(task.model, task.name).cords) == 1
    assert replay.cords.shape == (len(replay.times), len(replay.cord_of), 2, 3) and len(replay.cord_of) > 0
    data = mujoco.MjData(task.model)
    data.qpos[:] = replay.coordinates[-1]
    mujoco.mj_forward(task.model, data)
    ends = data.wrap_xpos.reshape(-1, 3)[: int(data.ten_wrapnum[0])]
    np.testing.assert_allclose(replay.cords[-1, 0, 0], ends[0], atol=1e-5)
    np.testing.assert_allclose(replay.cords[-1, -1, 1], ends[-1], atol=1e-5)


def test_meshes_and_height_fields_come_as_triangles() -> None:
    spec = mujoco.MjSpec.from_string(
        """<mujoco><asset>
          <mesh name="tetrahedron" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/>
          <hfield name="hill" nrow="3" ncol="4" size="2 1 0.5 0.1" elevation="0 0 0 0  0 1 0.5 0  0 0 0 0"/>
        </asset><worldbody>
          <geom type="hfield" hfield="hill"/>
          <body pos="0 0 3"><freejoint/><geom type="mesh" mesh="tetrahedron" rgba="1 0 0 1"/>
            <geom size="0.1" group="3"/><geom size="0.2" rgba="1 1 1 0"/></body>
        </worldbody></mujoco>"""
    )
    model = spec.compile()
    geometry = geometry_of(model, "a/b")
    assert [shape.kind for shape in geometry.shapes] == ["mesh", "mesh"]  # what the viewer hides is left out
    hill, tetrahedron = (geometry.meshes[shape.mesh] for shape in geometry.shapes)
    assert geometry.shapes[1].rgba == (1.0, 0.0, 0.0, 1.0) and geometry.shapes[1].track == 0
    assert tetrahedron.vertices.shape == (4, 3) and tetrahedron.faces.shape == (4, 3)
    assert hill.vertices.shape == (12, 3) and hill.faces.shape == (12, 3)
    np.testing.assert_allclose(hill.vertices[5], [-2 + 4 / 3, 0.0, 0.5], atol=1e-6)  # row 1, column 1: the top
    corners = hill.vertices[hill.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).all() and np.abs(normals[:, 2]).sum() / 2 == pytest.approx(
        8.0
    )  # 4 m by 2 m, seen from above


def test_what_moves_away_is_followed_and_what_stays_is_not() -> None:
    runner, arm = load_task("cheetah/run"), load_task("reacher/reach")
    (still,) = record(arm, [policy(arm, 1)], 1, seed=3)[0]
    assert np.ptp(still.look_at, axis=0).max() == 0.0 and np.ptp(still.positions, axis=0).max() > 0.01
    geometry: Geometry = geometry_of(runner.model, runner.name)
    # half_cheetah.xml: <camera mode="trackcom" pos="0 -3 0.3" xyaxes="1 0 0 0 0 1">, so it looks along +y from 3 m
    assert geometry.look.azimuth == pytest.approx(90.0) and geometry.look.elevation == pytest.approx(0.0)
    assert geometry.look.distance == pytest.approx(3.0, abs=0.3)
    model = mujoco.MjModel.from_xml_string(
        """<mujoco><worldbody><camera pos="0 -4 1" xyaxes="1 0 0 0 0 1"/><body pos="0 0 1">
        <joint type="slide" axis="1 0 0"/>
        <geom size="0.1"/></body></worldbody></mujoco>"""
    )
    poser = Poser(model)  # before a camera that stands still: followed only out of its picture, 3.6 m here
    for reach, sees in ((1.7, 0.0), (1.9, 3.8)):
        path = np.linspace(-reach, reach, 5)[:, None]
        look_at = poser.poses(np.arange(5.0), path, np.zeros((5, 0, 7)))["look_at"]
        assert np.ptp(look_at[:, 0]) == pytest.approx(sees) and look_at[:, 2] == pytest.approx(1.0)


def test_a_task_without_a_mujoco_model_has_no_poses() -> None:
    class Elsewhere:
        name, model = "meta/push", object()

    with pytest.raises(ReplayError, match="no poses for meta/push"):
        model_of(Elsewhere())  # type: ignore[arg-type]
