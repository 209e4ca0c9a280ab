"""The terms that reward code may call without importing anything: bounded tolerances, distances, angles, quaternions.

Every function works on tensors with any leading shape, row by row, and returns new tensors. Quaternions are ``wxyz``,
as MuJoCo has them. The functions use torch and math only, so that an exported reward can carry those that it calls.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rewardgen.tolerance import tolerance

__all__ = [
    "above",
    "angle_difference",
    "below",
    "distance",
    "exponential",
    "gaussian",
    "heading",
    "proximity",
    "quat_angle",
    "quat_conjugate",
    "quat_multiply",
    "quat_rotate",
    "quat_rotate_inverse",
    "quat_upright",
    "squared_norm",
    "tolerance",
    "wrap_angle",
]


def above(x: Tensor, threshold: float, margin: float) -> Tensor:
    """Soft step up: 0.5 at the threshold, 0.95 one margin above it, 0.05 one margin below it."""
    return torch.sigmoid(math.log(19.0) * (x - threshold) / margin)


def below(x: Tensor, threshold: float, margin: float) -> Tensor:
    """Soft step down: 0.5 at the threshold, 0.95 one margin below it, 0.05 one margin above it."""
    return torch.sigmoid(math.log(19.0) * (threshold - x) / margin)


def exponential(error: Tensor, scale: float) -> Tensor:
    """exp(-|error| / scale): 1 at no error, 0.37 at an error of one scale."""
    return torch.exp(-torch.abs(error) / scale)


def gaussian(error: Tensor, scale: float) -> Tensor:
    """exp(-(error / scale)^2 / 2): 1 at no error, 0.61 at an error of one scale, flat near 0."""
    return torch.exp(-0.5 * (error / scale) ** 2)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance over the last dimension: (n, k) and (n, k) or (k,) give (n,)."""
    return torch.linalg.vector_norm(a - b, dim=-1)


def squared_norm(x: Tensor) -> Tensor:
    """Sum of squares over the last dimension: (n, k) gives (n,), as for the effort of an action."""
    return torch.sum(x * x, dim=-1)


def proximity(distance: Tensor, scale: float) -> Tensor:
    """1 - tanh(distance / scale): 1 at the goal, 0.24 at one scale, with a slope everywhere near the goal."""
    return 1.0 - torch.tanh(distance / scale)


def wrap_angle(angle: Tensor) -> Tensor:
    """The same angle in [-pi, pi), in rad."""
    return torch.remainder(angle + math.pi, 2.0 * math.pi) - math.pi


def angle_difference(a: Tensor, b: Tensor) -> Tensor:
    """The turn from b to a the short way round, in [-pi, pi), in rad."""
    return wrap_angle(a - b)


def quat_conjugate(q: Tensor) -> Tensor:
    """The inverse rotation of the unit quaternions q (n, 4) wxyz."""
    return torch.cat([q[..., :1], -q[..., 1:]], dim=-1)


def quat_multiply(a: Tensor, b: Tensor) -> Tensor:
    """The rotation b followed by a, (n, 4) wxyz."""
    aw, ax, ay, az = torch.unbind(a, dim=-1)
    bw, bx, by, bz = torch.unbind(b, dim=-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def quat_rotate(q: Tensor, v: Tensor) -> Tensor:
    """The vectors v (n, 3) turned by the unit quaternions q (n, 4) wxyz: body frame to world frame."""
    w, axis = q[..., :1], q[..., 1:]
    axis, v = torch.broadcast_tensors(axis, v)
    turn = 2.0 * torch.linalg.cross(axis, v, dim=-1)
    return v + w * turn + torch.linalg.cross(axis, turn, dim=-1)


def quat_rotate_inverse(q: Tensor, v: Tensor) -> Tensor:
    """The vectors v (n, 3) turned back by the unit quaternions q (n, 4) wxyz: world frame to body frame."""
    return quat_rotate(quat_conjugate(q), v)


def quat_angle(a: Tensor, b: Tensor) -> Tensor:
    """The angle between two orientations (n, 4) wxyz, in [0, pi] rad; q and -q are the same orientation."""
    difference = quat_multiply(a, quat_conjugate(b))
    return 2.0 * torch.atan2(torch.linalg.vector_norm(difference[..., 1:], dim=-1), torch.abs(difference[..., 0]))


def quat_upright(q: Tensor) -> Tensor:
    """Cosine of the tilt of the body's z axis from the world's: 1 upright, 0 on its side, -1 upside down."""
    return 1.0 - 2.0 * (q[..., 1] ** 2 + q[..., 2] ** 2)


def heading(q: Tensor) -> Tensor:
    """Yaw of the unit quaternions q (n, 4) wxyz about the world's z axis, in [-pi, pi] rad."""
    w, x, y, z = torch.unbind(q, dim=-1)
    return torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
