"""Share code between the tasks of dm_control's Control Suite (Tassa et al., 2018).

Models are read from the installed package (extra ``dmc``) without importing it. Where the suite moves a target by
editing the model, the target is a mocap body here, so that each world has its own position of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import mujoco
import torch
from torch import Tensor

from rewardgen.errors import SimulationFailed
from rewardgen.records import Episodes, State
from rewardgen.sim import Simulator, keep_current
from rewardgen.tasks.assets import package_asset
from rewardgen.tasks.base import RewardAndTerms, Task
from rewardgen.tasks.random import WorldRandom

SKY = 100
"""Pixels on each side of the picture of the sky."""
_ATTEMPTS = 1000
"""At finding a start without contacts; the suite's finger makes as many, its others go on for ever."""

PACKAGE = ("dm_control", "rewardgen[dmc]")
"""What the models come with, and what pip installs it by."""


class SuiteTask(Task):
    """Score a task by the suite's score: the sum of the suite's reward, which is its expert reward.

    Episodes end at the time limit only.
    """

    group = "dmc"
    package = PACKAGE
    horizon = 1000
    fitness_unit = "score"
    fitness_meaning = "the suite's score: the sum over 1000 steps of a reward between 0 and 1"
    fitness_range = (0.0, 1000.0)

    def fitness(self, episode: Episodes) -> Tensor:
        # All transitions of all episodes as one batch; those after the end are masked out
        before, after = episode.states[:-1].flatten(0, 1), episode.states[1:].flatten(0, 1)
        layout = episode.layout
        reward, _ = self.expert_reward(State(layout, before), episode.actions.flatten(0, 1), State(layout, after))
        return (reward.view(episode.mask.shape) * episode.mask).sum(0)

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 where a step's reward is at least the mean step reward of a successful episode."""
        reward, _ = self.expert_reward(state, action, next_state)
        succeeding = (reward >= self.success_threshold / self.horizon).to(action.dtype)
        return succeeding, {"succeeding": succeeding}


def suite_spec(name: str) -> mujoco.MjSpec:
    """The suite's model ``name``, with derived fields of the state that a step led to, as dm_control has them.

    Raises:
        MissingPackage: dm_control is not installed.
    """
    path = package_asset(PACKAGE[0], f"suite/{name}.xml", PACKAGE[1])
    spec = mujoco.MjSpec.from_file(str(path))
    sky = spec.texture("skybox")
    sky.width = sky.height = SKY  # the original takes 12 MB per model and most of the compile time
    keep_current(spec)
    return spec


def loosen_target(spec: mujoco.MjSpec, element: mujoco.MjsGeom | mujoco.MjsSite) -> None:
    """Put ``element``, the geom or site "target" of the world, at the origin of a mocap body of that name."""
    shape = {"name": element.name, "type": element.type, "size": element.size.copy(), "material": element.material}
    position, is_site = element.pos.copy(), isinstance(element, mujoco.MjsSite)
    # MuJoCo cannot move an element to another body: delete it and add a copy
    spec.delete(element)
    body = spec.worldbody.add_body(name="target", pos=position, mocap=True)
    if is_site:
        body.add_site(**shape)
    else:
        # A target must not collide
        body.add_geom(**shape, contype=0, conaffinity=0)


def read_sensor(sim: Simulator, name: str) -> Tensor:
    """What the sensor ``name`` reads, ``(num_worlds, its size)``: a view."""
    sensor = sim.model.sensor(name)
    return sim.field("sensordata")[:, sensor.adr[0] : sensor.adr[0] + sensor.dim[0]]


def small_control(action: Tensor) -> Tensor:
    """1 for an action of 0, down to 0 for one of 1 or more, by its square; of the same shape as ``action``."""
    return torch.clamp(1.0 - action.square(), min=0.0)


def random_joints(model: mujoco.MjModel, generator: WorldRandom, unlimited: bool = True) -> tuple[list[int], Tensor]:
    """Even draws over the range of each limited hinge and slide, and over a whole turn of each ``unlimited`` hinge.

    Returns:
        the columns of qpos that they are for, and ``(k, columns)``. The suite's ``randomizers`` is the source.
    """
    hinge, slide = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
    columns, low, high = [], [], []
    # Ball and free joints are left out: see random_orientation
    for joint in range(model.njnt):
        kind, limited = model.jnt_type[joint], bool(model.jnt_limited[joint])
        if (kind == hinge and (limited or unlimited)) or (kind == slide and limited):
            columns.append(int(model.jnt_qposadr[joint]))
            low.append(float(model.jnt_range[joint, 0]) if limited else -math.pi)
            high.append(float(model.jnt_range[joint, 1]) if limited else math.pi)
    unit = generator.uniform(0.0, 1.0, len(columns))
    least, most = unit.new_tensor(low), unit.new_tensor(high)
    return columns, least + unit * (most - least)


def random_orientation(generator: WorldRandom) -> Tensor:
    """Draw uniformly distributed orientations: ``(k, 4)`` unit quaternions."""
    drawn = generator.normal(4)
    return drawn / drawn.norm(dim=-1, keepdim=True)


def until_no_contacts(sim: Simulator, ids: Tensor, place: Callable[[Tensor], None]) -> None:
    """Draw new starts for the worlds ``ids`` ``(k,)`` until none has a contact.

    Args:
        place: is called with the ``(k,)`` bools of the worlds that need another start, and writes it.

    Raises:
        SimulationFailed: a world still had contacts after 1000 starts.
    """
    contacts = sim.field("ncon")
    touching = torch.ones_like(ids, dtype=torch.bool)
    for _ in range(_ATTEMPTS):
        place(touching)
        sim.forward(ids[touching])
        touching = touching & (contacts[ids].reshape(len(ids)) > 0)
        if not touching.any():
            return
    raise SimulationFailed(f"found no start without contacts in {_ATTEMPTS} attempts; check the model's geometry")
