"""For each task a policy that solves it, or why there is none here.

A weights file ``policies/DOMAIN_TASK.safetensors`` is the best of a few seeds on the task's expert reward:

    rewardgen train TASK --reward expert --seeds 2 --save tests/envs/policies/DOMAIN_TASK.safetensors

Where a few lines do as well, the policy is written here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from rewardgen.tasks import Task
from rewardgen.training import Population
from tests.envs.fetch_policies import FETCH
from tests.envs.suite_policies import SUITE

FOLDER = Path(__file__).parent / "policies"
Act = Callable[[Tensor], Tensor]

NONE_HERE: dict[str, str] = {
    "adroit/door": "five fingers on a handle: tens of millions of steps, or demonstrations (Rajeswaran et al., 2018)",
    "adroit/hammer": "as for the door",
    "adroit/pen": "as for the door",
    "adroit/relocate": "as for the door",
    "ant/forward": "no training has been long enough yet to make a weights file",
    "ant/run": "no training has been long enough yet to make a weights file",
    "dmc_acrobot/swingup": "nobody has trained a policy for it here yet",
    "dmc_ball_in_cup/catch": "nobody has trained a policy for it here yet",
    "dmc_cheetah/run": "nobody has trained a policy for it here yet",
    "dmc_finger/spin": "nobody has trained a policy for it here yet",
    "dmc_finger/turn_easy": "nobody has trained a policy for it here yet",
    "dmc_finger/turn_hard": "nobody has trained a policy for it here yet",
    "dmc_fish/swim": "nobody has trained a policy for it here yet",
    "dmc_fish/upright": "nobody has trained a policy for it here yet",
    "dmc_hopper/hop": "nobody has trained a policy for it here yet",
    "dmc_hopper/stand": "nobody has trained a policy for it here yet",
    "dmc_humanoid/run": "nobody has trained a policy for it here yet",
    "dmc_humanoid/stand": "nobody has trained a policy for it here yet",
    "dmc_humanoid/walk": "nobody has trained a policy for it here yet",
    "dmc_manipulator/bring_ball": "nobody has trained a policy for it here yet",
    "dmc_quadruped/run": "nobody has trained a policy for it here yet",
    "dmc_quadruped/walk": "nobody has trained a policy for it here yet",
    "dmc_swimmer/swimmer15": "nobody has trained a policy for it here yet",
    "dmc_swimmer/swimmer6": "nobody has trained a policy for it here yet",
    "dmc_walker/run": "nobody has trained a policy for it here yet",
    "dmc_walker/stand": "nobody has trained a policy for it here yet",
    "dmc_walker/walk": "nobody has trained a policy for it here yet",
    "fetch/slide": "millions of steps with hindsight (Plappert et al., 2018); by hand, one goal in four was met",
    "hopper/front_flip": "300,000 steps of two seeds came to 0.27 turns; more have not been tried",
    "humanoid/run": "a processor needs many hours for it; the best policies known took 10 M steps and more",
    "humanoid/standup": "the best policies known sit up; none is known to stand by the expert's reward",
    "pusher/push": "300,000 steps left the cylinder where it was; more have not been tried",
    "shadow_hand/block": "tens of millions of steps with hindsight (Plappert et al., 2018)",
    "shadow_hand/egg": "as for the block",
    "shadow_hand/pen": "as for the block",
    "shadow_hand/pen_reorient": "billions of steps on a GPU (Ma et al., 2024)",
    "shadow_hand/pen_spin": "as for reorienting the pen",
    "walker/run": "no training has been long enough yet to make a weights file",
}
"""Tasks that are not solved here, with what is known of them."""

SAME_POLICY = {"hopper/forward": "hopper/run"}
"""Tasks that another one's weights solve: the same body, seen in the same way, asked for less."""


def solver(task: Task) -> Act | None:
    """The policy that solves ``task``; None where there is none here."""
    if task.name in SCRIPTED:
        return SCRIPTED[task.name]
    name = SAME_POLICY.get(task.name, task.name)
    path = FOLDER / (name.replace("/", "_") + ".safetensors")
    return Population.from_weights([path.read_bytes()], task).act if path.is_file() else None


def ant_lie_down(observation: Tensor) -> Tensor:
    """All ankles folded; the columns are hip and ankle of the fourth, first, second and third leg."""
    return torch.tensor([0.0, -1.0, 0.0, -1.0, 0.0, 1.0, 0.0, 1.0]).expand(len(observation), 8)


def ant_wave_leg(observation: Tensor) -> Tensor:
    """Two legs stretched and the opposite one folded lift the foot; the hip goes on as it moves, to either end."""
    hip, rate = observation[:, 5], observation[:, 19]
    onward = torch.where(rate.abs() < 0.1, -hip.sign(), rate.sign())
    action = torch.tensor([0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0]).repeat(len(observation), 1)
    action[:, 2] = torch.where(hip.abs() > 0.4, -hip.sign(), onward)
    return action


def ball_balance_keep(observation: Tensor) -> Tensor:
    """Stretch the legs that the ball is at or heads for, through the knees' rates."""
    angles = torch.tensor([0.0, 2.0, 4.0]) * math.pi / 3.0
    legs = torch.stack([torch.cos(angles), torch.sin(angles)])
    position, velocity, knees = observation[:, 0:2], observation[:, 3:5], observation[:, 12:15]
    wanted = ((0.5 * position + 0.3 * velocity) @ legs).clamp(-0.5, 0.5)
    return 10.0 * (wanted - knees)


def cartpole_balance(observation: Tensor) -> Tensor:
    return observation @ torch.tensor([[0.02], [0.06], [1.0], [0.3]])


def inverted_pendulum_balance(observation: Tensor) -> Tensor:
    return observation @ torch.tensor([[1.0], [10.0], [1.0], [1.0]])


def quadcopter_hover(observation: Tensor) -> Tensor:
    """Level by differences of thrust, lift by its sum, and move aside by tilting all rotors."""
    away, turn, velocity, spin, tilts, thrusts = observation.split([3, 4, 3, 3, 8, 4], dim=-1)
    wanted = 4.0 * away.clamp(-0.5, 0.5) - 3.0 * velocity  # m/s^2
    roll, pitch = (2.0 * turn[:, 1:3] * turn[:, :1].sign()).unbind(-1)
    angles = (torch.arange(4) + 0.5) * math.pi / 2.0
    level = torch.sin(angles) * (-0.6 * roll - 0.12 * spin[:, 0])[:, None]
    level = level - torch.cos(angles) * (-0.6 * pitch - 0.12 * spin[:, 1])[:, None]
    lift = 0.25 * (9.81 + wanted[:, 2:]) / 4.0  # N, a quarter of the weight each
    lean = torch.stack([wanted[:, 0] / 9.81 - pitch, -wanted[:, 1] / 9.81 - roll], dim=-1).clamp(-0.4, 0.4)
    return torch.cat([20.0 * (lean.repeat(1, 4) - tilts), 40.0 * (lift + level - thrusts)], dim=-1)


def reacher_reach(observation: Tensor) -> Tensor:
    """The arm's angles at the target by the law of cosines (links of 0.1 m and 0.11 m), and a spring to there."""
    cosines, sines, target, rates = observation[:, 0:2], observation[:, 2:4], observation[:, 4:6], observation[:, 6:8]
    shoulder, elbow = torch.atan2(sines, cosines).unbind(-1)
    cosine = (target.square().sum(-1) - 0.1**2 - 0.11**2) / (2.0 * 0.1 * 0.11)
    bend = torch.where(elbow >= 0.0, 1.0, -1.0) * torch.acos(cosine.clamp(-1.0, 1.0))
    aim = torch.atan2(target[:, 1], target[:, 0])
    aim = aim - torch.atan2(0.11 * torch.sin(bend), 0.1 + 0.11 * torch.cos(bend))
    turn = torch.remainder(aim - shoulder + math.pi, 2.0 * math.pi) - math.pi
    return torch.stack([turn, bend - elbow], dim=-1) - 0.1 * rates


def swimmer_swim(observation: Tensor) -> Tensor:
    """Each joint is driven by the other's angle, with opposite signs: a wave that runs along the body."""
    front, rear = observation[:, 1], observation[:, 2]
    return torch.stack([-torch.tanh(rear / 0.3), torch.tanh(front / 0.3)], dim=-1)


SCRIPTED: dict[str, Act] = {
    **SUITE,
    **FETCH,
    "ant/lie_down": ant_lie_down,
    "ant/wave_leg": ant_wave_leg,
    "ball_balance/keep": ball_balance_keep,
    "cartpole/balance": cartpole_balance,
    "inverted_pendulum/balance": inverted_pendulum_balance,
    "quadcopter/hover": quadcopter_hover,
    "reacher/reach": reacher_reach,
    "swimmer/swim": swimmer_swim,
}
"""Observations ``(n, O)`` → actions ``(n, A)``."""
