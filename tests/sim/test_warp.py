"""The GPU's simulator against MuJoCo: on its CPU device and, where there is one, on a GPU.

Tolerances: float32 keeps 7 digits, and stiff contacts multiply an error by up to a thousand within a control step. From
then on it grows as fast as any error does: MuJoCo itself, with every state rounded to float32, is as far from MuJoCo
after 20 control steps of a running cheetah or ant as this simulator is. So long runs are compared where motion is
smooth or damped, and elsewhere each of 100 control steps by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
import pytest
import torch

from rewardgen.errors import SimulationFailed
from rewardgen.records import State
from rewardgen.sim import MujocoSim, Simulator, compute_post_constraint, make_simulator
from rewardgen.sim.buffers import buffer_sizes
from rewardgen.sim.warp import WarpSim
from rewardgen.tasks import Task, WorldRandom, load_task
from tests.gpu import DEVICES

WORLDS = 6
EVERYONE = torch.arange(WORLDS)
MakeWarp = Callable[[mujoco.MjModel], WarpSim]

ROLLING = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="5 5 0.1"/>
    <body name="guide" mocap="true" pos="0 2 1"><geom type="sphere" size="0.1" contype="0" conaffinity="0"/></body>
    <body name="ball" pos="0 0 0.15">
      <freejoint/>
      <geom type="sphere" size="0.1" mass="1"/>
      <site name="belly" size="0.2"/>
      <body name="arm" pos="0 0 0.1">
        <joint name="arm" type="hinge" axis="0 1 0" limited="true" range="-1 1"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.3" size="0.03" mass="0.3"/>
        <site name="tip" pos="0 0 0.3"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="arm" gear="3" ctrllimited="true" ctrlrange="-1 1"/></actuator>
  <sensor>
    <framelinvel objtype="site" objname="tip"/>
    <subtreelinvel body="ball"/>
    <touch site="belly"/>
  </sensor>
</mujoco>
"""
STATE = ("qpos", "qvel", "ctrl", "qfrc_applied", "xfrc_applied", "mocap_pos", "mocap_quat", "qacc_warmstart", "time")
KINEMATICS = ("xpos", "xquat", "xmat", "xipos", "geom_xpos", "geom_xmat", "site_xpos", "site_xmat", "subtree_com")
DYNAMICS = ("sensordata", "cvel", "subtree_linvel", "qacc", "qfrc_bias", "qfrc_actuator", "qfrc_constraint", "cfrc_ext")


def rolling_model(**options: int) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_string(ROLLING)
    compute_post_constraint(spec)
    model = spec.compile()
    for name, value in options.items():
        setattr(model.opt, name, value)
    return model


def push(sim: Simulator) -> None:
    """Set the balls of ``rolling_model`` rolling, each at another speed, with a mocap body of their own."""
    sim.field("qvel")[:, 0] = 0.3 * EVERYONE.to(sim.dtype)
    sim.field("qvel")[:, 6] = 0.5
    sim.field("mocap_pos")[:, 0, 2] = 1.0 + 0.1 * EVERYONE.to(sim.dtype)


def rolling(make: Callable[[mujoco.MjModel], Simulator], *fields: str) -> Simulator:
    sim = make(rolling_model())
    for name in fields:
        sim.field(name)
    push(sim)
    sim.forward(EVERYONE)
    return sim


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def on_warp(device: str) -> MakeWarp:
    return lambda model: WarpSim(model, WORLDS, device)


def assert_same(values: torch.Tensor, expected: torch.Tensor, name: str = "") -> None:
    """Equal bit for bit, or on a GPU, whose sums have no fixed order, nearly."""
    tolerance = 0.0 if values.device.type == "cpu" else 1e-3 * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(values, expected, rtol=0, atol=tolerance, msg=lambda text: f"{name}: {text}")


def on_mujoco(model: mujoco.MjModel) -> MujocoSim:
    return MujocoSim(model, WORLDS, 1)


@dataclass
class Pair:
    """The same task in the same start states on both simulators."""

    task: Task
    warp: WarpSim
    reference: MujocoSim

    def matrix(self, sim: Simulator) -> torch.Tensor:
        width = self.task.layout.width
        return self.task.layout.pack(self.task.state(sim), torch.empty(WORLDS, width, device=sim.device)).cpu()

    def actions(self, steps: int) -> torch.Tensor:
        shape, generator = (steps, WORLDS, self.task.action_size), torch.Generator().manual_seed(0)
        return self.task.clip(2.0 * torch.rand(shape, generator=generator) - 1.0)

    def step(self, action: torch.Tensor) -> None:
        for sim in (self.warp, self.reference):
            sim.step(action, self.task.frame_skip)

    def match(self) -> None:
        """Take the reference's state over to the other."""
        for name in ("qpos", "qvel", "qacc_warmstart"):
            self.warp.field(name).copy_(self.reference.field(name))


def make_pair(name: str, on_warp: MakeWarp) -> Pair:
    task = load_task(name)
    model = task.make_model()
    if name == "ant/run":
        # mujoco_warp turns the pyramid of friction of a steep capsule on a plane about the normal, MuJoCo does not
        # (WarpSim says so): with a cone, which has no corners, the two must agree.
        model.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    pair = Pair(task, on_warp(model), on_mujoco(model))
    for sim in (pair.warp, pair.reference):
        task.state(sim)
    task.reset(pair.reference, EVERYONE, WorldRandom(EVERYONE, EVERYONE))
    pair.match()
    for sim in (pair.warp, pair.reference):
        sim.forward(EVERYONE)
    return pair


@pytest.mark.parametrize(
    ("name", "steps", "tolerance"),
    [("cartpole/swingup", 100, 2e-4), ("hopper/run", 100, 5e-4), ("cheetah/run", 10, 3e-3), ("ant/run", 10, 3e-3)],
)
def test_a_run_stays_with_mujoco(name: str, steps: int, tolerance: float, on_warp: MakeWarp) -> None:
    pair = make_pair(name, on_warp)
    before = pair.matrix(pair.reference)
    torch.testing.assert_close(pair.matrix(pair.warp), before, rtol=0, atol=1e-5)
    for action in pair.actions(steps):
        pair.step(action)
    after = pair.matrix(pair.reference)
    assert (after - before).abs().max() > 0.5  # something has happened
    torch.testing.assert_close(pair.matrix(pair.warp), after, rtol=0, atol=tolerance)
    assert not pair.warp.diverged().any()


@pytest.mark.parametrize(("name", "tolerance"), [("cheetah/run", 5e-3), ("ant/run", 2e-2)])
def test_each_of_100_steps_and_its_reward_are_mujocos(name: str, tolerance: float, on_warp: MakeWarp) -> None:
    pair = make_pair(name, on_warp)
    task = pair.task
    for action in pair.actions(100):
        pair.match()
        before = State(task.layout, pair.matrix(pair.reference))
        pair.step(action)
        ours, theirs = pair.matrix(pair.warp), pair.matrix(pair.reference)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
        (reward, _), (expected, _) = (
            task.expert_reward(before, action, State(task.layout, reached)) for reached in (ours, theirs)
        )
        torch.testing.assert_close(reward, expected, rtol=0, atol=tolerance)


def test_all_fields_are_mujocos_after_forward_and_after_steps(on_warp: MakeWarp) -> None:
    names = (*STATE, *KINEMATICS, *DYNAMICS)
    ours, theirs = rolling(on_warp, *names), rolling(on_mujoco, *names)
    for steps in (0, 1, 40):
        for _ in range(steps):
            for sim in (ours, theirs):
                sim.step(torch.full((WORLDS, 1), 0.3), 3)
        for name in names:
            field, expected = ours.field(name), theirs.field(name)
            assert field.shape == expected.shape, name
            assert field.dtype == torch.float32, name
            largest = max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(
                field.double().cpu(), expected, rtol=0, atol=2e-4 * largest, msg=lambda m, n=name: n + m
            )
    assert theirs.field("cfrc_ext").abs().max() > 1.0  # the balls do lie on the ground
    assert theirs.field("sensordata")[:, -1].min() > 1.0  # and are felt to
    assert theirs.field("mocap_pos")[:, 0, 2].unique().numel() == WORLDS


def test_fields_are_live_and_writable(on_warp: MakeWarp) -> None:
    sim = on_warp(rolling_model())
    qpos = sim.field("qpos")
    qpos[3, 0] = 2.5
    assert sim.field("xpos")[3, 2, 0] == 2.5  # right from its first use
    qpos[3, 0] = 3.5
    sim.forward(torch.tensor([3]))
    assert sim.field("qpos") is qpos
    assert sim.field("xpos")[:, 2, 0].tolist() == [3.5 if world == 3 else 0.0 for world in range(WORLDS)]
    sim.step(torch.zeros(WORLDS, 1), 1)
    assert (qpos[:, 2] < 0.15).all()  # they fall


@pytest.mark.parametrize("names", [KINEMATICS, KINEMATICS + DYNAMICS], ids=["kinematics", "dynamics"])
def test_forward_and_reset_touch_only_their_worlds(names: tuple[str, ...], on_warp: MakeWarp) -> None:
    sim = rolling(on_warp, *names)
    for _ in range(3):
        sim.step(torch.ones(WORLDS, 1), 5)
    before = {name: sim.field(name).clone() for name in (*STATE, *names)}
    sim.reset(torch.tensor([1, 4]))
    sim.forward(torch.tensor([1, 4]))
    fresh = on_warp(sim.model)
    for name in names:
        fresh.field(name)
    fresh.forward(EVERYONE)
    for name, values in before.items():
        values[[1, 4]] = fresh.field(name)[[1, 4]]
        assert_same(sim.field(name), values, name)


def test_restart_gives_the_chosen_worlds_new_states_and_the_others_theirs_back(on_warp: MakeWarp) -> None:
    names = KINEMATICS + DYNAMICS
    sim, named = (rolling(on_warp, *names) for _ in range(2))
    ids, ended = torch.tensor([0, 5]), torch.tensor([world in (0, 5) for world in range(WORLDS)])
    for each in (sim, named):
        each.step(torch.ones(WORLDS, 1), 5)
        each.step(torch.ones(WORLDS, 1), 5)
    sim.restart(ended.to(sim.device), lambda: push(sim))
    named.reset(ids)
    for name in ("qvel", "mocap_pos"):
        start = rolling(on_warp).field(name)
        named.field(name)[ids] = start[ids]
    named.forward(ids)
    for name in (*STATE, *names):
        assert_same(sim.field(name), named.field(name), name)
    for each in (sim, named):
        each.step(torch.ones(WORLDS, 1), 5)
    assert_same(sim.field("qpos"), named.field("qpos"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e12])
def test_a_world_that_diverges_is_told_of_and_harms_no_other(bad: float, on_warp: MakeWarp) -> None:
    sim, reference = rolling(on_warp), rolling(on_warp)
    for _ in range(3):
        for each in (sim, reference):
            each.step(torch.ones(WORLDS, 1), 4)
    assert not sim.diverged().any()
    sim.field("qvel")[2, 0] = bad
    for each in (sim, reference):
        each.step(torch.zeros(WORLDS, 1), 4)
    assert sim.diverged().tolist() == [world == 2 for world in range(WORLDS)]
    assert not reference.diverged().any()
    others = EVERYONE != 2
    assert_same(sim.field("qpos")[others], reference.field("qpos")[others])

    for each in (sim, reference):
        each.reset(torch.tensor([2]))
        each.forward(torch.tensor([2]))
        each.step(torch.zeros(WORLDS, 1), 4)
    assert not sim.diverged().any()
    assert_same(sim.field("qpos"), reference.field("qpos"))
    sim.check()


def test_constraints_beyond_their_room_end_only_their_world(caplog: pytest.LogCaptureFixture, device: str) -> None:
    sim = WarpSim(rolling_model(), WORLDS, device, rows=5)
    sim.field("qpos")[:, 2] = 1.0  # in the air, no contact
    sim.field("qpos")[4, 2] = 0.09  # on the ground: 4 rows, and
    sim.field("qpos")[4, 7] = 1.5  # beyond the joint's limit: 1
    sim.step(torch.zeros(WORLDS, 1), 1)
    assert not sim.diverged().any()
    tight = WarpSim(rolling_model(), WORLDS, device, rows=4)
    for name in ("qpos", "qvel"):
        tight.field(name).copy_(sim.field(name))
    tight.step(torch.zeros(WORLDS, 1), 1)
    assert tight.diverged().tolist() == [world == 4 for world in range(WORLDS)]
    with caplog.at_level(logging.WARNING, logger="rewardgen.sim"):
        tight.check()
        tight.check()
    assert [record.message for record in caplog.records] == [
        "worlds ended as diverged because their constraints needed more than 4 rows; choose --sim mujoco if that "
        "happens often"
    ]


def test_contacts_beyond_their_room_are_an_error(device: str) -> None:
    sim = WarpSim(rolling_model(), WORLDS, device, contacts=1)
    sim.field("qpos")[1:, 2] = 1.0
    sim.field("qpos")[:3, 2] = -0.6  # ball and the whole arm below the ground: 3 contacts each, where 6 have room
    sim.step(torch.zeros(WORLDS, 1), 1)
    assert sim.diverged().all()  # nobody knows whose contacts are missing
    with pytest.raises(SimulationFailed, match="more contacts than the 1 each .* choose --sim mujoco"):
        sim.check()


def test_a_model_for_gauss_seidel_is_solved_by_newtons_method(on_warp: MakeWarp) -> None:
    """Which finds what Gauss-Seidel finds after many iterations."""
    model = rolling_model(solver=mujoco.mjtSolver.mjSOL_PGS, iterations=1000)
    ours, theirs = on_warp(model), on_mujoco(model)
    for sim in (ours, theirs):
        push(sim)
        for _ in range(40):
            sim.step(torch.full((WORLDS, 1), 0.3), 3)
    assert theirs.field("qpos")[:, 2].max() < 0.11  # they lie on the ground
    torch.testing.assert_close(ours.field("qpos").double().cpu(), theirs.field("qpos"), rtol=0, atol=2e-4)
    assert ours.model.opt.solver == mujoco.mjtSolver.mjSOL_PGS


def test_room_is_made_for_all_that_can_touch() -> None:
    # Ball and arm against the floor (1 and 2 contacts; parent and child do not touch), 4 rows each; the joint's limits.
    assert buffer_sizes(rolling_model()) == (3, 3 * 4 + 2)
    assert buffer_sizes(rolling_model(cone=1)) == (3, 3 * 3 + 2)
    # Ant: 13 geoms against the floor alone: a sphere and 12 capsules, and 8 joints with limits.
    assert buffer_sizes(load_task("ant/run").model) == (1 + 12 * 2, 25 * 4 + 8 * 2)


def test_the_worlds_that_are_kept_go_on_as_they_would_have(on_warp: MakeWarp) -> None:
    sim, whole = (rolling(on_warp, "xpos", "sensordata") for _ in range(2))
    ids = torch.tensor([4, 1])
    for each in (sim, whole):
        each.step(torch.ones(WORLDS, 1), 5)
    kept = sim.keep(ids)
    assert kept.num_worlds == 2
    for _ in range(3):
        kept.step(torch.ones(2, 1), 5)
        whole.step(torch.ones(WORLDS, 1), 5)
    for name in ("qpos", "qvel", "xpos", "sensordata", "time", "mocap_pos"):
        assert_same(kept.field(name), whole.field(name)[ids], name)


def test_what_it_cannot_simulate_it_names(on_warp: MakeWarp) -> None:
    controlled = rolling_model()
    controlled.actuator_gaintype[:] = mujoco.mjtGain.mjGAIN_PID
    with pytest.raises(SimulationFailed, match="mjGAIN_PID.* not supported; choose --sim mujoco"):
        on_warp(controlled)
    with pytest.raises(SimulationFailed, match="sleep.*choose --sim mujoco"):
        on_warp(rolling_model(enableflags=mujoco.mjtEnableBit.mjENBL_SLEEP))
    with pytest.raises(SimulationFailed, match="no device cuda:99 .*choose --sim mujoco"):
        WarpSim(rolling_model(), 1, "cuda:99")
    with pytest.raises(SimulationFailed, match="at least 1 world"):
        WarpSim(rolling_model(), 0, "cpu")


def test_unknown_fields_are_refused() -> None:
    sim = WarpSim(mujoco.MjModel.from_xml_string(ROLLING), 1, "cpu")
    with pytest.raises(SimulationFailed, match="MuJoCo's data has no field 'position'"):
        sim.field("position")
    with pytest.raises(SimulationFailed, match="WarpSim keeps no field 'qLD'; --sim mujoco"):
        sim.field("qLD")
    with pytest.raises(SimulationFailed, match="compute_post_constraint"):
        sim.field("cfrc_ext")


def test_the_simulator_is_chosen_by_its_name() -> None:
    model, cpu = rolling_model(), torch.device("cpu")
    threads = make_simulator(model, 3, kind="mujoco", device=cpu, threads=1)
    device = make_simulator(model, 3, kind="warp", device=cpu)
    assert isinstance(threads, MujocoSim) and isinstance(device, WarpSim)
    assert (threads.dtype, device.dtype) == (torch.float64, torch.float32)
    assert threads.num_worlds == device.num_worlds == 3
    # Physics on threads beside learning on a GPU: its tensors stay where its threads are.
    assert make_simulator(model, 3, kind="mujoco", device=torch.device("cuda")).device == cpu


def test_rendering_draws_the_world_or_says_why_not(on_warp: MakeWarp) -> None:
    sim, reference = rolling(on_warp), rolling(on_mujoco)
    for each in (sim, reference):
        each.field("qpos")[1, 2] = 0.5
    try:
        expected = reference.render(1, width=96, height=64)
    except SimulationFailed:
        with pytest.raises(SimulationFailed, match="install libegl1 or libosmesa6"):
            sim.render(1, width=96, height=64)
        return
    np.testing.assert_allclose(sim.render(1, width=96, height=64).astype(int), expected.astype(int), atol=8)
