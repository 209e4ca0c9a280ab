"""The one-legged planar hopper of Erez, Tassa and Todorov (2011), with the model of Gymnasium's Hopper-v5.

Tasks: hop forward fast, and three from Text2Reward (Xie et al., 2024): move forward, front flip, back flip.

Planar coordinates: x forward, z up. Positive pitch leans forward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import mujoco
import torch
from torch import Tensor

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

RESET_NOISE = 0.005  # m, rad, m/s and rad/s: half-width of the uniform noise on the default pose
LOWEST_TORSO = 0.7  # m: terminates at or below this height of the torso
LARGEST_PITCH = 0.2  # rad: terminates at or beyond this lean
LARGEST_VALUE = 100.0  # rad, m/s and rad/s: terminates when any angle or velocity reaches this
SEEN_VELOCITY = 10.0  # m/s and rad/s: clip of velocities in the observation
ALIVE_BONUS = 1.0  # expert reward: per step that does not terminate the episode
CONTROL_COST = 1e-3  # expert reward: per unit of squared action
HOPPING_SPEED = 1.5  # m/s: success threshold; the best known policies reach about 3

FORWARD_WAY = 4.0  # m: success threshold, 0.5 m/s on average; a dive from standing covers 1 m
LOWEST_FLIP = 0.3  # m: flips terminate when the torso's middle drops to this: its end touches the ground
WHOLE_TURN = 1.0  # turns: success threshold of a flip; falling over is a quarter turn
FASTEST_SEEN_FLIP = 20.0  # m/s and rad/s: clip of velocities in the observation of flips
FAST_SPIN = 10.0  # rad/s: flip expert reward: spin at which it saturates, one turn in a high jump of 0.6 s
SPIN_WEIGHT = 0.5  # flip expert reward: per rad/s
LIFT_WEIGHT = 2.0  # flip expert reward: per m of torso height
LIFT_HEIGHTS = (1.25, 2.0)  # m: flip expert reward: from standing height to where it saturates


class Hopper(Task):
    """Base of the hopper tasks: model, fields, observation, and the rewards of running."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field("torso_position", (2,), "m", "position of the torso: x forward, z its height above the ground"),
        Field("torso_pitch", (), "rad", "lean of the torso in the plane, 0 upright, positive forward"),
        Field("joint_angles", (3,), "rad", "hip, knee, ankle; hip and knee bend towards negative angles"),
        Field("torso_velocity", (2,), "m/s", "velocity of the torso along x and z"),
        Field("pitch_rate", (), "rad/s", "rate of change of torso_pitch"),
        Field("joint_velocities", (3,), "rad/s", "rates of change of joint_angles, in the same order"),
    )
    frame_skip = 4
    horizon = 1000
    # Measured over 3 and 4 seeds at 300,000 steps: expert return 1,960; with the defaults 900.
    training: ClassVar[Mapping[str, Any]] = {"worlds": 32, "rollout": 64, "epochs": 8}

    def make_model(self) -> mujoco.MjModel:
        """Load Gymnasium's ``hopper.xml``."""
        return mujoco.MjModel.from_xml_path(str(gymnasium_asset("hopper.xml")))

    def reset(self, sim: Simulator, ids: Tensor, generator: WorldRandom) -> None:
        """Add uniform noise to ``qpos`` and ``qvel``, as Hopper-v5 does."""
        sim.field("qpos")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 6)
        sim.field("qvel")[ids] += generator.uniform(-RESET_NOISE, RESET_NOISE, 6)

    def state(self, sim: Simulator) -> dict[str, Tensor]:
        """Split ``qpos`` and ``qvel`` into torso and joints."""
        qpos, qvel = sim.field("qpos"), sim.field("qvel")
        return {
            "torso_position": qpos[:, 0:2],
            "torso_pitch": qpos[:, 2],
            "joint_angles": qpos[:, 3:6],
            "torso_velocity": qvel[:, 0:2],
            "pitch_rate": qvel[:, 2],
            "joint_velocities": qvel[:, 3:6],
        }

    def observation(self, state: State) -> Tensor:
        """Return Hopper-v5's observation, ``(n, 11)``: everything but the x position, velocities clipped."""
        velocities = torch.cat([state.torso_velocity, state.pitch_rate[:, None], state.joint_velocities], dim=-1)
        return torch.cat(
            [
                state.torso_position[:, 1:],
                state.torso_pitch[:, None],
                state.joint_angles,
                velocities.clamp(-SEEN_VELOCITY, SEEN_VELOCITY),
            ],
            dim=-1,
        )

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode on Hopper-v5's conditions: low torso, large lean, or any value of 100 or more."""
        watched = [
            state.torso_pitch[:, None],
            state.joint_angles,
            state.torso_velocity,
            state.pitch_rate[:, None],
            state.joint_velocities,
        ]
        return {
            "torso too low": state.torso_position[:, 1] <= LOWEST_TORSO,
            "leaned too far": state.torso_pitch.abs() >= LARGEST_PITCH,
            "moved too violently": (torch.cat(watched, dim=-1).abs() >= LARGEST_VALUE).any(-1),
        }

    def forward_speed(self, state: State, next_state: State) -> Tensor:
        """Return the mean speed along x over one control step, ``(n,)`` m/s."""
        return (next_state.torso_position[:, 0] - state.torso_position[:, 0]) / self.control_step

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return Hopper-v5's reward: forward speed plus alive bonus minus control cost."""
        forward = self.forward_speed(state, next_state)
        alive = ALIVE_BONUS * (~self.terminated(next_state)).to(action.dtype)
        control = -CONTROL_COST * action.square().sum(-1)
        return forward + alive + control, {"forward": forward, "alive": alive, "control": control}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for steps at 1.5 m/s or more that do not terminate the episode."""
        fast = self.forward_speed(state, next_state) >= HOPPING_SPEED
        running = (fast & ~self.terminated(next_state)).to(action.dtype)
        return running, {"running": running}


@register("hopper/run")
class HopperRun(Hopper):
    """Gymnasium's Hopper-v5: hop along +x for 1000 steps of 0.008 s."""

    group = "gymnasium"
    description = (
        "A planar robot with a single leg of thigh, shin and foot and three driven joints (hip, knee, ankle) stands on "
        "flat ground. It should hop forward, in the +x direction, as fast as it can without falling; the episode ends "
        "when its torso drops below 0.7 m or leans by more than 0.2 rad."
    )
    fitness_unit = "m/s"
    fitness_meaning = "mean forward speed over the whole 8 s, a fall counting as standing still from then on"
    success_threshold = HOPPING_SPEED
    expert_source = "Gymnasium, Hopper-v5: 1 for staying up, plus forward speed, minus 0.001 times the squared action"
    gymnasium_id = "Hopper-v5"

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the distance along x over the full 8 s, ``(n,)`` m/s; time after a fall counts with speed 0."""
        way = episode.last("torso_position")[:, 0] - episode.first("torso_position")[:, 0]
        return way / (episode.horizon * self.control_step)


@register("hopper/forward")
class HopperForward(Hopper):
    """Text2Reward's "move forward": Hopper-v5's reward and terminations, scored by distance."""

    group = "text2reward"
    description = (
        "A planar robot with a single leg of thigh, shin and foot and three driven joints (hip, knee, ankle) stands on "
        "flat ground. It should move forward, in the +x direction, without falling; the episode ends when its torso "
        "drops below 0.7 m or leans by more than 0.2 rad."
    )
    fitness_unit = "m"
    fitness_meaning = "way covered forward in 8 s, or until it falls"
    success_threshold = FORWARD_WAY
    expert_source = "Gymnasium, Hopper-v5, which Text2Reward compares with: as for hopper/run"

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the distance along x from first to last state, ``(n,)`` m."""
        return episode.last("torso_position")[:, 0] - episode.first("torso_position")[:, 0]


class HopperFlip(Hopper):
    """Base of both flips; ``direction`` is 1 for forward, -1 for backward."""

    group = "text2reward"
    fields = (
        *(field for field in Hopper.fields if field.name != "torso_pitch"),
        Field("torso_pitch", (), "rad", "turning of the torso in the plane, 0 upright, positive forward; 6.28 a turn"),
    )
    horizon = 500
    fitness_unit = "turns"
    fitness_range = (0.0, math.inf)
    success_threshold = WHOLE_TURN
    expert_source = (
        "rewardgen's authors, for this task: the speed of turning and the torso's height above standing, both bounded "
        "(Text2Reward publishes no reward written by people)"
    )
    direction: ClassVar[int]

    def observation(self, state: State) -> Tensor:
        """Return the observation of flips, ``(n, 12)``: as for running, the pitch as sine and cosine."""
        velocities = torch.cat([state.torso_velocity, state.pitch_rate[:, None], state.joint_velocities], dim=-1)
        return torch.cat(
            [
                state.torso_position[:, 1:],
                torch.sin(state.torso_pitch)[:, None],
                torch.cos(state.torso_pitch)[:, None],
                state.joint_angles,
                velocities.clamp(-FASTEST_SEEN_FLIP, FASTEST_SEEN_FLIP),
            ],
            dim=-1,
        )

    def terminations(self, state: State) -> dict[str, Tensor]:
        """End the episode when the torso's middle is at 0.3 m or lower."""
        return {"torso too low": state.torso_position[:, 1] <= LOWEST_FLIP}

    def turned(self, pitch: Tensor) -> Tensor:
        """Convert ``pitch`` from rad to turns in the requested direction; same shape."""
        return self.direction * pitch / (2.0 * math.pi)

    def fitness(self, episode: Episodes) -> Tensor:
        """Return the largest pitch relative to the start, ``(n,)`` turns in the requested direction."""
        turns = self.turned(episode.field("torso_pitch") - episode.first("torso_pitch"))
        return turns.amax(0)

    def expert_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Reward spin in the requested direction and torso height, both clipped, minus a control cost."""
        spin = SPIN_WEIGHT * (self.direction * next_state.pitch_rate).clamp(-FAST_SPIN, FAST_SPIN)
        lift = LIFT_WEIGHT * (next_state.torso_position[:, 1].clamp(*LIFT_HEIGHTS) - LIFT_HEIGHTS[0])
        control = -CONTROL_COST * action.square().sum(-1)
        return spin + lift + control, {"spin": spin, "lift": lift, "control": control}

    def sparse_reward(self, state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        """Return 1 for each step that completes a full turn in the requested direction."""
        before, after = self.turned(state.torso_pitch), self.turned(next_state.torso_pitch)
        another = torch.floor(after) > torch.floor(before)
        flipped = (another & (after >= WHOLE_TURN)).to(action.dtype)
        return flipped, {"flipped": flipped}


@register("hopper/front_flip")
class HopperFrontFlip(HopperFlip):
    """Text2Reward's "front flip": 500 steps of 0.008 s."""

    description = (
        "A planar robot with a single leg of thigh, shin and foot and three driven joints (hip, knee, ankle) stands on "
        "flat ground. It should do a front flip: jump and turn head over heels forward until it is upright again. The "
        "episode ends when the middle of its torso drops below 0.3 m."
    )
    fitness_meaning = "turns of the torso forward within 4 s, before its end meets the ground"
    direction = 1


@register("hopper/back_flip")
class HopperBackFlip(HopperFlip):
    """Text2Reward's "back flip": 500 steps of 0.008 s."""

    description = (
        "A planar robot with a single leg of thigh, shin and foot and three driven joints (hip, knee, ankle) stands on "
        "flat ground. It should do a back flip: jump and turn head over heels backward until it is upright again. The "
        "episode ends when the middle of its torso drops below 0.3 m."
    )
    fitness_meaning = "turns of the torso backward within 4 s, before its end meets the ground"
    direction = -1
