"""The batched simulator against one MjData at a time."""

from __future__ import annotations

import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest
import torch

from rewardgen.errors import SimulationFailed
from rewardgen.sim import MujocoSim, compute_post_constraint, keep_current

WALKING_BALL = """
<mujoco>
  <option timestep="0.005" integrator="RK4"/>
  <worldbody>
    <geom type="plane" size="5 5 0.1"/>
    <body name="ball" pos="0 0 0.3">
      <freejoint/>
      <geom type="sphere" size="0.1" mass="1"/>
      <body name="arm" pos="0 0 0.1">
        <joint name="arm" type="hinge" axis="0 1 0" limited="true" range="-1 1"/>
        <geom type="capsule" fromto="0 0 0 0 0 0.3" size="0.03" mass="0.3"/>
        <site name="tip" pos="0 0 0.3"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="arm" gear="3" ctrllimited="true" ctrlrange="-1 1"/></actuator>
  <sensor><framelinvel objtype="site" objname="tip"/></sensor>
</mujoco>
"""
WORLDS = 7


def make_model(post_constraint: bool = False) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_string(WALKING_BALL)
    if post_constraint:
        compute_post_constraint(spec)
    return spec.compile()


def controls(steps: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(steps, WORLDS, 1, generator=generator) * 2 - 1


def run(model: mujoco.MjModel, threads: int, names: tuple[str, ...], steps: int = 60) -> dict[str, torch.Tensor]:
    sim = MujocoSim(model, WORLDS, threads)
    everyone = torch.arange(WORLDS)
    fields = {name: sim.field(name) for name in names}
    sim.reset(everyone)
    sim.field("qpos")[:, 0] += 0.1 * everyone.double()
    sim.field("qvel")[:, 1] += 0.05 * everyone.double()
    sim.forward(everyone)
    for ctrl in controls(steps):
        sim.step(ctrl, 3)
    return {name: field.clone() for name, field in fields.items()}


@pytest.mark.parametrize("post_constraint", [False, True])
def test_worlds_match_mj_step_bit_for_bit(post_constraint: bool) -> None:
    names = ("qpos", "qvel", "xpos", "sensordata", "site_xpos")
    if post_constraint:
        names += ("cfrc_ext", "cfrc_int", "cacc")
    model = make_model(post_constraint)
    ours = run(model, 2, names)
    for world in range(WORLDS):
        data = mujoco.MjData(model)
        data.qpos[0] += 0.1 * world
        data.qvel[1] += 0.05 * world
        mujoco.mj_forward(model, data)
        for ctrl in controls(60):
            data.ctrl[:] = ctrl[world].double().numpy()
            mujoco.mj_step(model, data, nstep=3)
        mujoco.mj_rnePostConstraint(model, data)
        for name in names:
            np.testing.assert_array_equal(ours[name][world].numpy(), getattr(data, name), err_msg=name)
    if post_constraint:
        assert ours["cfrc_ext"].abs().max() > 1.0  # the ball does lie on the ground


@pytest.mark.parametrize("integrator", ["RK4", "Euler"])
def test_a_model_can_ask_for_derived_fields_of_the_present_state(integrator: str) -> None:
    spec = mujoco.MjSpec.from_string(WALKING_BALL.replace("RK4", integrator))
    keep_current(spec)
    model = spec.compile()
    sim = MujocoSim(model, WORLDS, 2)
    current = {name: sim.field(name) for name in ("xpos", "site_xpos", "sensordata")}
    everyone = [mujoco.MjData(model) for _ in range(WORLDS)]
    for step, ctrl in enumerate(controls(60)):
        if step == 30:  # by hand, with no forward() after it
            sim.field("qpos")[2, 0] += 0.3
            everyone[2].qpos[0] += 0.3
        sim.step(ctrl, 3)
        for world, data in enumerate(everyone):
            data.ctrl[:] = ctrl[world].double().numpy()
            mujoco.mj_step(model, data, nstep=3)
            mujoco.mj_step1(model, data)
            np.testing.assert_array_equal(sim.field("qpos")[world].numpy(), data.qpos)
            for name, value in current.items():
                np.testing.assert_array_equal(value[world].numpy(), getattr(data, name), err_msg=name)
    kept = sim.keep(torch.tensor([4, 2]))
    assert kept is not None
    ctrl = torch.full((WORLDS, 1), 0.5)
    sim.step(ctrl, 3)
    kept.step(ctrl[:2], 3)
    for name in ("qpos", "xpos"):
        assert torch.equal(kept.field(name), sim.field(name)[[4, 2]])


def test_threads_change_nothing() -> None:
    names = ("qpos", "qvel", "sensordata")
    one, two = (run(make_model(), threads, names) for threads in (1, 2))
    for name in names:
        assert torch.equal(one[name], two[name])


def test_fields_are_live_and_writable() -> None:
    sim = MujocoSim(make_model(), WORLDS, 1)
    qpos, xpos = sim.field("qpos"), sim.field("xpos")
    assert qpos.shape == (WORLDS, 8)
    assert qpos.dtype == torch.float64
    assert sim.field("qpos") is qpos
    qpos[3, 0] = 2.5
    sim.forward(torch.tensor([3]))
    assert xpos[3, 1, 0] == 2.5
    assert xpos[2, 1, 0] == 0.0
    sim.step(torch.zeros(WORLDS, 1), 1)
    assert qpos[3, 2] < 0.3  # it falls


def test_a_derived_field_is_right_from_its_first_use() -> None:
    sim = MujocoSim(make_model(), WORLDS, 1)
    sim.field("qpos")[:, 0] = 1.5
    assert sim.field("xpos")[:, 1, 0].tolist() == [1.5] * WORLDS


def test_reset_touches_only_its_worlds() -> None:
    sim = MujocoSim(make_model(), WORLDS, 1)
    start = sim.field("qpos").clone()
    sim.step(torch.ones(WORLDS, 1), 20)
    moved = sim.field("qpos").clone()
    sim.reset(torch.tensor([1, 4]))
    expected = moved.clone()
    expected[[1, 4]] = start[[1, 4]]
    assert torch.equal(sim.field("qpos"), expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e12])
@pytest.mark.parametrize("name", ["qpos", "qvel"])
def test_a_world_that_diverges_is_told_of_and_harms_no_other(bad: float, name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sim, reference = (MujocoSim(make_model(), WORLDS, 2) for _ in range(2))
    for ctrl in controls(5):
        for each in (sim, reference):
            each.step(ctrl, 4)
    assert not sim.diverged().any()
    sim.field(name)[2, 0] = bad
    for each in (sim, reference):
        each.step(torch.zeros(WORLDS, 1), 4)
    assert sim.diverged().tolist() == [world == 2 for world in range(WORLDS)]
    others = torch.arange(WORLDS) != 2
    assert torch.equal(sim.field("qpos")[others], reference.field("qpos")[others])
    assert sim.field("qpos").isfinite().all()
    assert not list(tmp_path.iterdir())  # MuJoCo would leave its log here

    sim.reset(torch.tensor([2]))
    sim.forward(torch.tensor([2]))
    sim.step(torch.zeros(WORLDS, 1), 4)
    assert not sim.diverged().any()


def test_divergence_in_the_first_step_is_seen() -> None:
    sim = MujocoSim(make_model(), WORLDS, 1)
    sim.field("qvel")[0, 0] = 9e9  # within MuJoCo's limit at first: out of it after a substep or two
    sim.step(torch.zeros(WORLDS, 1), 2000)
    assert sim.diverged().tolist() == [True] + [False] * (WORLDS - 1)


SLIDER = """
<mujoco>
  <option timestep="0.01">{flag}</option>
  <worldbody><body><joint type="slide" axis="1 0 0"/><geom type="box" size=".1 .1 .1" mass="1"/></body></worldbody>
  <actuator><motor joint="j" gear="{gear}" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
""".replace("<joint ", '<joint name="j" ')
SLEEP = '<flag sleep="enable"/>'


@pytest.mark.parametrize(
    ("flag", "gear", "nstep"),
    [
        ("", 1e12, 1),  # an acceleration above 1e10 in the first substep of an episode: MuJoCo resets the world
        ("", 1e12, 5),
        (SLEEP, 1e12, 5),
        ('<flag autoreset="disable"/>', 1e300, 5),  # nothing is reset
        ('<flag autoreset="disable"/>', 1e14, 1),  # the numbers are finite
    ],
)
def test_a_blow_up_in_the_first_substep_of_an_episode_is_seen(flag: str, gear: float, nstep: int) -> None:
    sim = MujocoSim(mujoco.MjModel.from_xml_string(SLIDER.format(flag=flag, gear=gear)), 3, 1)
    sim.field("qpos")[:] = 0.5
    sim.step(torch.tensor([[0.0], [1.0], [0.0]]), nstep)
    assert sim.diverged().tolist() == [False, True, False]
    assert sim.field("qpos")[[0, 2], 0].tolist() == [0.5, 0.5]
    sim.step(torch.zeros(3, 1), nstep)
    assert sim.diverged().tolist() == [False, True, False]  # an action may take several calls
    sim.reset(torch.tensor([1]))
    sim.step(torch.zeros(3, 1), nstep)
    assert not sim.diverged().any()


def test_a_blow_up_in_the_last_substep_is_seen() -> None:
    # 9.99e9 N on 1 kg add 9.99e7 m/s in 0.01 s: beyond MuJoCo's limit of 1e10, which only the next step would look at.
    sim = MujocoSim(mujoco.MjModel.from_xml_string(SLIDER.format(flag="", gear=9.99e9)), 2, 1)
    sim.field("qvel")[0, 0] = 9.99e9
    sim.step(torch.tensor([[1.0], [1.0]]), 1)
    assert sim.diverged().tolist() == [True, False]


@pytest.mark.parametrize("control", [float("nan"), float("inf"), 1e11])
def test_a_control_that_mujoco_replaces_by_0_counts_as_diverged(control: float) -> None:
    sim = MujocoSim(mujoco.MjModel.from_xml_string(SLIDER.format(flag="", gear=1)), 2, 1)
    sim.step(torch.tensor([[0.5], [control]]), 1)
    assert sim.diverged().tolist() == [False, True]


def test_looking_for_a_reset_leaves_forces_as_they_are() -> None:
    sim = MujocoSim(make_model(), 2, 1)
    forces = sim.field("xfrc_applied")
    forces[0, 0, 0], forces[0, 1, 2] = 3.0, 2.0
    expected = forces.clone()
    sim.step(torch.zeros(2, 1), 3)
    assert torch.equal(forces, expected)
    assert not forces[1].signbit().any()
    kept = sim.keep(torch.tensor([0]))
    assert kept is not None
    assert torch.equal(kept.field("xfrc_applied"), expected[:1])


def test_unknown_fields_are_refused() -> None:
    sim = MujocoSim(make_model(), 1, 1)
    with pytest.raises(SimulationFailed, match="no field 'position'"):
        sim.field("position")
    with pytest.raises(SimulationFailed, match="compute_post_constraint"):
        sim.field("cfrc_ext")


def test_a_simulation_without_worlds_is_refused() -> None:
    with pytest.raises(SimulationFailed, match="at least 1 world"):
        MujocoSim(make_model(), 0)


def test_rendering_draws_the_model_or_says_why_not() -> None:
    sim = MujocoSim(make_model(), 2, 1)
    sim.field("qpos")[1, 2] = 5.0
    sim.forward(torch.tensor([1]))
    try:
        first = sim.render(0, width=96, height=64)
    except SimulationFailed:
        with pytest.raises(SimulationFailed, match=r"install libegl1 or libosmesa6 .*egl: .*osmesa: "):
            sim.render(1, width=96, height=64)
        return
    second = sim.render(1, width=96, height=64)
    assert first.shape == (64, 96, 3)
    assert first.dtype == np.uint8
    assert first.std() > 0
    assert (first != second).any()


def test_importing_looks_for_no_display_and_leaves_the_environment_alone() -> None:
    code = (
        "import os, sys, rewardgen.sim; "
        "assert 'glfw' not in sys.modules and 'OpenGL' not in sys.modules; "
        "assert 'MUJOCO_GL' not in os.environ"
    )
    environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=120)
