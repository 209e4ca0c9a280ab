"""Rotations as the packages have them whose tasks are here. Quaternions are ``(w, x, y, z)``, as MuJoCo's."""

from __future__ import annotations

import torch
from torch import Tensor

_SMALL = 4.0 * 2.0**-52
"""Below this cosine of the second angle only the sum of the first and the third is determined."""


def euler_angles(matrix: Tensor) -> Tensor:
    """Angles ``(n, 3)`` rad about x, y and z of rotation matrices ``(n, 3, 3)``.

    The matrix is Rx Ry Rz, turns about the axes as they have been turned already; the convention and the choice at the
    poles are those of ``mat2euler`` in Gymnasium-Robotics, whence mujoco-py's and transforms3d's.
    """
    level = torch.hypot(matrix[:, 2, 2], matrix[:, 1, 2])
    regular = level > _SMALL
    about_x = torch.where(regular, -torch.atan2(matrix[:, 1, 2], matrix[:, 2, 2]), 0.0)
    about_y = -torch.atan2(-matrix[:, 0, 2], level)
    about_z = torch.where(
        regular, -torch.atan2(matrix[:, 0, 1], matrix[:, 0, 0]), -torch.atan2(-matrix[:, 1, 0], matrix[:, 1, 1])
    )
    return torch.stack([about_x, about_y, about_z], dim=-1)


def quaternion_product(left: Tensor, right: Tensor) -> Tensor:
    """``left`` after ``right``, ``(..., 4)`` each."""
    w, x, y, z = left.unbind(-1)
    a, b, c, d = right.unbind(-1)
    return torch.stack(
        [
            w * a - x * b - y * c - z * d,
            w * b + x * a + y * d - z * c,
            w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        ],
        dim=-1,
    )
