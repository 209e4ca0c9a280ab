"""The four-legged ant of Schulman et al. (2016) with the model of Gymnasium's Ant-v5.

Tasks: run forward, and three from Text2Reward (Xie et al., 2024): move forward, wave a leg, lie down.

World frame: x forward, z up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import mujoco
import torch
from torch import Tensor

from rewardgen.sim import compute_post_constraint
from rewardgen.tasks import (
    Episodes,
    Field,
    RewardAndTerms,
    Simulator,
    State,
    Task,
    WorldRandom,
    gymnasium_asset,
    register,
)

RESET_NOISE = 0.1  # half-width of the uniform noise on qpos (m, rad); standard deviation on qvel (m/s, rad/s)
TORSO_HEIGHTS = (0.2, 1.0)  # m: terminates when the torso leaves this range
CONTACT_LIMIT = 1.0  # N and N m: contact forces are clipped to this
ALIVE_BONUS = 1.0  # expert reward: per step that does not terminate the episode
CONTROL_COST = 0.5  # expert reward: per unit of squared action
CONTACT_COST = 5e-4  # expert reward: per unit of squared clipped contact force
RUNNING_SPEED = 1.5  # m/s: success threshold; the best known policies reach about 6

SHORT_HORIZON = 200  # control steps, 10 s: long enough for the Text2Reward tasks
FORWARD_WAY = 5.0  # m: success threshold, 0.5 m/s on average
FEET = ("left_ankle_geom", "right_ankle_geom", "third_ankle_geom", "fourth_ankle_geom")  # in the order of joint_angles
RAISED = 0.05  # m: a foot at this height or above counts as off the ground
SWUNG = 0.3  # rad: hip angle that counts as the end of a swing; the joint limit is 0.52
WAVES = 10.0  # full swings: success threshold, one per second; random thrashing reaches up to four
WAVE_RATE = 5.0  # rad/s: angular frequency at which the expert reward is highest, one wave in 1.3 s
SWEEP_WEIGHT = 20.0  # wave_leg expert reward: per rad^2 swept in the plane of hip angle and scaled hip rate
LIFT_WEIGHT = 0.5  # wave_leg expert reward: for a foot off the ground
UPRIGHT_WEIGHT = 0.2  # wave_leg expert reward: for a level torso
LYING_HEIGHT = 0.4  # m: largest torso height that counts as lying; it is 0.38 with all legs folded
LYING_TILT = 0.8  # smallest cosine of the torso's tilt that counts as lying on the belly
LYING_SPEED = 0.1  # m/s: largest torso speed that counts as still
LYING_SECONDS = 8.0  # s of 10: success threshold; with zero torque the legs take at least 4 s to give way
FOLDED_SCALE = 0.2  # m: height above LYING_HEIGHT at which the expert reward has decayed to 1/e
CALM_SCALE = 0.5  # m/s: decay scale of the expert reward's speed factor


def body_state(sim: Simulator) -> dict[str, Tensor]:
    """Read the state fields that all ant tasks have."""
    qpos, qvel = sim.field("qpos"), sim.field("qvel")
    return {
        "torso_position": qpos[:, 0:3],
        "torso_orientation": qpos[:, 3:7],
        "joint_angles": qpos[:, 7:15],
        "torso_velocity": qvel[:, 0:3],
        "torso_angular_velocity": qvel[:, 3:6],
        "joint_velocities": qvel[:, 6:14],
        "contact_forces": sim.field("cfrc_ext")[:, 1:].clamp(-CONTACT_LIMIT, CONTACT_LIMIT),
        "tracked_position": sim.field("xpos")[:, 1, 0:2],
    }


def foot_heights(sim: Simulator) -> Tensor:
    """Return the height of each foot's sole above the ground, ``(n, 4)`` m.

    A foot is a capsule along its own z axis; the sole is the capsule's lower end.
    """
    feet = [sim.model.geom(name).id for name in FEET]
    xpos = sim.field("geom_xpos")
    size = torch.as_tensor(sim.model.geom_size[feet], dtype=xpos.dtype, device=xpos.device)  # radius, half length
    slope = sim.field("geom_xmat").flatten(2)[:, feet, 8]
    return xpos[:, feet, 2] - slope * size[:, 1] - size[:, 0]


def uprightness(orientation: Tensor) -> Tensor:
    """Return the cosine of the tilt of quaternions ``orientation`` ``(..., 4)``: 1 level, -1 on its back."""
    return 1.0 - 2.0 * orientation[..., 1:3].square().sum(-1)


class Ant(Task):
    """Base of the ant tasks: model, fields, observation, and the rewards of running."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field("torso_position", (3,), "m", "position of the torso, world frame: x forward, y left, z up"),
        Field("torso_orientation", (4,), "1", "orientation of the torso, a unit quaternion w, x, y, z"),
        Field("joint_angles", (8,), "rad", "hip and ankle of the front left, front right, back left, back right leg"),
        Field("torso_velocity", (3,), "m/s", "linear velocity of the torso, world frame"),
        Field("torso_angular_velocity", (3,), "rad/s", "angular velocity of the torso, in its own frame"),
        Field("joint_velocities", (8,), "rad/s", "rates of change of joint_angles, in the same order"),
        Field("contact_forces", (13, 6), "N m, N", "contact torque and force on each body, clipped to [-1, 1]"),
        Field("tracked_position", (2,), "m", "x and y of the torso as Gymnasium tracks them, a few ms behind"),
    )
    frame_skip = 5

    def make_model(self) -> mujoco.MjModel:
        """Compile Gymnasium's ``ant.xml``, with contact forces computed after each step."""
        spec = mujoco.MjSpec.from_file(str(gymnasium_asset("ant.xml")))
        compute_post_constraint(spec)
        return spec.compile()

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Add uniform noise to ``qpos`` and Gaussian noise to ``qvel``, as Ant-v5 does."""
        sim.field("qpos")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 15)
        sim.field("qvel")[ids] += RESET_NOISE * generator.normal(14)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Return the fields of ``body_state``."""
        return body_state(sim)

    def observation(self, state: State) -> Tensor:
        """Return Ant-v5's observation, ``(n, 105)``: everything but the horizontal position."""
        return torch.cat(
            [
                state.torso_position[:, 2:],
                state.torso_orientation,
                state.joint_angles,
                state.torso_velocity,
                state.torso_angular_velocity,
                state.joint_velocities,
                state.contact_forces.flatten(1),
            ],
            dim=-1,
        )

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode when the torso's height leaves 0.2 to 1 m, as Ant-v5 does."""
        height, (lowest, highest) = state.torso_position[:, 2], TORSO_HEIGHTS
        return {"torso too low": height < lowest, "torso too high": height > highest}

    def forward_speed(self, state: State, next_state: State) -> Tensor:
        """Return the mean speed along x over one control step as Gymnasium measures it, ``(n,)`` m/s."""
        return (next_state.tracked_position[:, 0] - state.tracked_position[:, 0]) / self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Ant-v5's reward: forward speed plus alive bonus, minus control and contact costs."""
        forward = self.forward_speed(state, next_state)
        alive = ALIVE_BONUS * (~self.terminated(next_state)).to(action.dtype)
        control = -CONTROL_COST * action.square().sum(-1)
        contact = -CONTACT_COST * next_state.contact_forces.square().sum((-2, -1))
        terms = {"forward": forward, "alive": alive, "control": control, "contact": contact}
        return forward + alive + control + contact, terms

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps at 1.5 m/s or more that do not terminate the episode."""
        fast = self.forward_speed(state, next_state) >= RUNNING_SPEED
        running = (fast & ~self.terminated(next_state)).to(action.dtype)
        return running, {"running": running}


@register("ant/run")
class AntRun(Ant):
    """Gymnasium's Ant-v5: run along +x for 1000 steps of 0.05 s."""

    group = "gymnasium"
    description = (
        "A four-legged robot with eight driven joints (a hip and an ankle for each leg) stands on flat ground. It "
        "should run forward, in the +x direction, as fast as it can; the episode ends when its torso leaves the "
        "heights from 0.2 m to 1 m."
    )
    horizon = 1000
    # Less noise at first: an ant that stands still is paid for it, and loses that under noise before it learns to run.
    # Measured over 4 seeds at 200,000 steps: a return of 1,092, where a standard deviation of 1 came to 59.
    training: ClassVar[Mapping[str, Any]] = {"initial_std": 0.5, "worlds": 32, "rollout": 64, "epochs": 8}
    fitness_unit = "m/s"
    fitness_meaning = "mean forward speed over the whole 50 s, a fall counting as standing still from then on"
    success_threshold = RUNNING_SPEED
    expert_source = (
        "Gymnasium, Ant-v5: 1 for staying up, plus forward speed, minus 0.5 times the squared action and 0.0005 times "
        "the squared contact forces"
    )
    gymnasium_id = "Ant-v5"

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the distance along x over the full 50 s, ``(n,)`` m/s; time after a fall counts with speed 0."""
        way = episode.last("torso_position")[:, 0] - episode.first("torso_position")[:, 0]
        return way / (episode.horizon * self.control_step)


@register("ant/forward")
class AntForward(Ant):
    """Text2Reward's "move forward": Ant-v5's reward and terminations over 200 steps of 0.05 s."""

    group = "text2reward"
    description = (
        "A four-legged robot with eight driven joints (a hip and an ankle for each leg) stands on flat ground. It "
        "should move forward, in the +x direction; the episode ends when its torso leaves the heights from 0.2 m to "
        "1 m."
    )
    horizon = SHORT_HORIZON
    fitness_unit = "m"
    fitness_meaning = "way covered forward in 10 s, or until the episode ends"
    success_threshold = FORWARD_WAY
    expert_source = "Gymnasium, Ant-v5, which Text2Reward compares with: as for ant/run"

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the distance along x from first to last state, ``(n,)`` m."""
        return episode.last("torso_position")[:, 0] - episode.first("torso_position")[:, 0]


@register("ant/wave_leg")
class AntWaveLeg(Ant):
    """Text2Reward's "wave a leg", scored by swings of the front left hip with that foot in the air."""

    group = "text2reward"
    description = (
        "A four-legged robot with eight driven joints (a hip and an ankle for each leg) stands on flat ground. It "
        "should wave its front left leg: lift that foot off the ground and swing the leg widely to and fro at the hip, "
        "again and again, with the torso up."
    )
    fields = (
        *Ant.fields,
        Field("foot_heights", (4,), "m", "height of each foot's sole above the ground: front left, right, back l., r."),
    )
    horizon = SHORT_HORIZON
    fitness_unit = "waves"
    fitness_meaning = "swings of the front left hip there and back, the foot off the ground throughout, in 10 s"
    fitness_range = (0.0, SHORT_HORIZON / 2.0)
    success_threshold = WAVES
    expert_source = (
        "rewardgen's authors, for this task: the foot off the ground, a level torso, and the area that the hip's angle "
        "and rate sweep (Text2Reward publishes no reward written by people)"
    )

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Return the fields of ``body_state`` and the foot heights."""
        return {**body_state(sim), "foot_heights": foot_heights(sim)}

    def terminations(self, state: State) -> dict[str, Tensor]:
        """Never terminate; episodes end at the time limit."""
        return {}

    def fitness(self, episode: Episodes) -> Tensor:
        """Count full swings of the front left hip between -0.3 and 0.3 rad, ``(n,)``; one way is half a swing.

        A swing counts only while the foot stays at least 0.05 m above the ground and the torso is tilted by less than
        90 degrees.
        """
        hip = episode.field("joint_angles")[..., 0]
        raised = episode.field("foot_heights")[..., 0] >= RAISED
        up = uprightness(episode.field("torso_orientation")) > 0.0
        side = torch.zeros_like(hip[0])  # side the hip last reached, -1 or 1; 0 while the foot is down
        swings = torch.zeros_like(side)
        for angle, held in zip(hip, raised & up, strict=True):
            reached = torch.where(angle.abs() >= SWUNG, angle.sign(), side)
            swings += held & (reached * side < 0.0)
            side = torch.where(held, reached, 0.0)
        return 0.5 * swings

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Reward a raised foot, a level torso, and the area swept in the plane of hip angle and rate."""
        lift = LIFT_WEIGHT * (next_state.foot_heights[:, 0] / RAISED).clamp(0.0, 1.0)
        # Swinging traces a circle in the plane of angle and rate; holding still or trembling sweeps no area.
        angle, rate = state.joint_angles[:, 0], state.joint_velocities[:, 0] / WAVE_RATE
        next_angle, next_rate = next_state.joint_angles[:, 0], next_state.joint_velocities[:, 0] / WAVE_RATE
        swept = (next_angle * rate - angle * next_rate).clamp(min=0.0)
        wave = SWEEP_WEIGHT * swept * (next_state.foot_heights[:, 0] >= RAISED)
        upright = UPRIGHT_WEIGHT * uprightness(next_state.torso_orientation)
        return lift + wave + upright, {"lift": lift, "wave": wave, "upright": upright}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps in which the hip crosses its middle with the foot off the ground."""
        crossed = state.joint_angles[:, 0] * next_state.joint_angles[:, 0] < 0.0
        waving = (crossed & (next_state.foot_heights[:, 0] >= RAISED)).to(action.dtype)
        return waving, {"waving": waving}


@register("ant/lie_down")
class AntLieDown(Ant):
    """Text2Reward's "lie down", scored by the time spent low, belly down and still."""

    group = "text2reward"
    description = (
        "A four-legged robot with eight driven joints (a hip and an ankle for each leg) stands on flat ground. It "
        "should lie down on its belly at once: fold its legs away until its torso is as low as it gets, and stay there "
        "without moving."
    )
    horizon = SHORT_HORIZON
    fitness_unit = "s"
    fitness_meaning = "time of the 10 s in which the torso is at most 0.4 m high, belly down, and all but still"
    fitness_range = (0.0, 10.0)
    success_threshold = LYING_SECONDS
    expert_source = (
        "rewardgen's authors, for this task: closeness to the height of lying, times calm, times belly down "
        "(Text2Reward publishes no reward written by people)"
    )

    def terminations(self, state: State) -> dict[str, Tensor]:
        """Never terminate; episodes end at the time limit."""
        return {}

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the time spent lying, ``(n,)`` s: at most 0.4 m high, belly down, at most 0.1 m/s."""
        low = episode.field("torso_position")[1:, :, 2] <= LYING_HEIGHT
        still = episode.field("torso_velocity")[1:].norm(dim=-1) <= LYING_SPEED
        belly = uprightness(episode.field("torso_orientation")[1:]) >= LYING_TILT
        return (low & still & belly & episode.mask).sum(0) * self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Reward a low torso, times factors from 0 to 1 for slowness and for the belly facing down."""
        above = (next_state.torso_position[:, 2] - LYING_HEIGHT).clamp(min=0.0)
        calm = 0.5 + 0.5 * torch.exp(-next_state.torso_velocity.norm(dim=-1) / CALM_SCALE)
        belly = 0.5 + 0.5 * uprightness(next_state.torso_orientation)
        lying = torch.exp(-above / FOLDED_SCALE) * calm * belly
        return lying, {"lying": lying}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps that end lying, by the same limits as ``fitness``."""
        low = next_state.torso_position[:, 2] <= LYING_HEIGHT
        still = next_state.torso_velocity.norm(dim=-1) <= LYING_SPEED
        belly = uprightness(next_state.torso_orientation) >= LYING_TILT
        lying = (low & still & belly).to(action.dtype)
        return lying, {"lying": lying}
