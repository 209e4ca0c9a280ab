"""The shaping functions against values worked out by hand and rotations done with plain matrices."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

from rewardgen.program import shaping, shaping_reference

HALF = math.sqrt(0.5)
TURNS = torch.tensor(
    [
        [1.0, 0.0, 0.0, 0.0],  # none
        [HALF, HALF, 0.0, 0.0],  # 90 degrees about x
        [HALF, 0.0, 0.0, HALF],  # 90 degrees about z
        [0.0, 1.0, 0.0, 0.0],  # 180 degrees about x
    ]
)


def matrix(q):
    """Rotation matrix of a unit quaternion, by the textbook, in plain Python floats."""
    w, x, y, z = (float(value) for value in q)
    return torch.tensor(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def some_rotations(n=16):
    q = torch.randn(n, 4, generator=torch.Generator().manual_seed(3))
    return q / q.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("shape", ["gaussian", "linear", "long_tail"])
def test_tolerance_is_one_inside_and_as_asked_at_the_margin(shape):
    x = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0])
    value = shaping.tolerance(x, lower=-1.0, upper=1.0, margin=2.0, shape=shape, value_at_margin=0.25)
    torch.testing.assert_close(value, torch.tensor([0.25, 1.0, 1.0, 1.0, 0.25]))


def test_tolerance_halfway_to_the_margin_by_hand():
    half = torch.tensor([1.5])
    assert float(shaping.tolerance(half, 0, 1, 1.0, "gaussian", 0.1)) == pytest.approx(0.1**0.25)
    assert float(shaping.tolerance(half, 0, 1, 1.0, "linear", 0.1)) == pytest.approx(0.55)
    assert float(shaping.tolerance(half, 0, 1, 1.0, "long_tail", 0.1)) == pytest.approx(1 / (1 + 9 / 4))


def test_tolerance_without_margin_and_with_an_open_side():
    x = torch.tensor([-1.0, 0.5, 1e6])
    assert shaping.tolerance(x, 0.0, 1.0).tolist() == [0.0, 1.0, 0.0]
    assert shaping.tolerance(x, 0.0, math.inf).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "arguments",
    [{"lower": 1.0, "upper": 0.0}, {"margin": -1.0}, {"value_at_margin": 1.0}, {"shape": "square", "margin": 1}],
)
def test_tolerance_refuses_what_makes_no_sense(arguments):
    with pytest.raises(ValueError, match="tolerance"):
        shaping.tolerance(torch.zeros(2), **arguments)


def test_soft_bounds_by_hand():
    x = torch.tensor([0.0, 1.0, 2.0])
    torch.testing.assert_close(shaping.above(x, 1.0, 1.0), torch.tensor([0.05, 0.5, 0.95]))
    torch.testing.assert_close(shaping.below(x, 1.0, 1.0), torch.tensor([0.95, 0.5, 0.05]))


def test_terms_on_errors_by_hand():
    error = torch.tensor([-2.0, 0.0, 2.0])
    assert shaping.exponential(error, 2.0).tolist() == pytest.approx([math.exp(-1), 1, math.exp(-1)])
    assert shaping.gaussian(error, 2.0).tolist() == pytest.approx([math.exp(-0.5), 1, math.exp(-0.5)])
    assert shaping.proximity(error.abs(), 2.0).tolist() == pytest.approx([1 - math.tanh(1), 1, 1 - math.tanh(1)])


def test_distances_by_hand():
    a, b = torch.tensor([[3.0, 4.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert shaping.distance(a, b).tolist() == [5.0, 0.0]
    assert shaping.distance(a, torch.tensor([1.0, 1.0])).tolist() == pytest.approx([math.sqrt(13), 0.0])
    assert shaping.squared_norm(a).tolist() == [25.0, 2.0]


def test_angles_come_the_short_way_round():
    angles = torch.tensor([0.0, 3.5, -3.5, 2 * math.pi, 7 * math.pi / 2])
    expected = torch.tensor([0.0, 3.5 - 2 * math.pi, 2 * math.pi - 3.5, 0.0, -math.pi / 2])
    torch.testing.assert_close(shaping.wrap_angle(angles), expected, atol=1e-5, rtol=0)
    assert float(shaping.wrap_angle(torch.tensor(math.pi))) == pytest.approx(-math.pi)
    short = shaping.angle_difference(torch.tensor([3.0]), torch.tensor([-3.0]))
    assert float(short) == pytest.approx(6 - 2 * math.pi, abs=1e-5)


def test_rotating_is_multiplying_with_the_matrix():
    q = torch.cat([TURNS, some_rotations()])
    v = torch.randn(len(q), 3, generator=torch.Generator().manual_seed(4))
    expected = torch.stack([matrix(turn) @ vector for turn, vector in zip(q, v, strict=True)])
    torch.testing.assert_close(shaping.quat_rotate(q, v), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shaping.quat_rotate_inverse(q, expected), v, atol=1e-5, rtol=1e-5)


def test_one_vector_serves_every_row():
    turned = shaping.quat_rotate(TURNS, torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(
        turned, torch.tensor([[0.0, 0, 1], [0, -1, 0], [0, 0, 1], [0, 0, -1]]), atol=1e-6, rtol=0
    )


def test_multiplying_quaternions_is_multiplying_matrices():
    a, b = some_rotations(), some_rotations().flip(0)
    for left, right, both in zip(a, b, shaping.quat_multiply(a, b), strict=True):
        torch.testing.assert_close(matrix(both), matrix(left) @ matrix(right), atol=1e-5, rtol=1e-5)


def test_angle_between_orientations():
    still = TURNS[:1].expand(4, 4)
    expected = torch.tensor([0.0, math.pi / 2, math.pi / 2, math.pi])
    torch.testing.assert_close(shaping.quat_angle(TURNS, still), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(shaping.quat_angle(-TURNS, still), expected, atol=1e-5, rtol=0)


def test_upright_and_heading():
    torch.testing.assert_close(shaping.quat_upright(TURNS), torch.tensor([1.0, 0.0, 1.0, -1.0]), atol=1e-6, rtol=0)
    q = some_rotations()
    up = torch.stack([matrix(turn)[2, 2] for turn in q])
    torch.testing.assert_close(shaping.quat_upright(q), up, atol=1e-5, rtol=1e-5)
    yaw = torch.tensor([-2.0, 0.0, 0.5, 3.0])
    about_z = torch.stack([torch.cos(yaw / 2), 0 * yaw, 0 * yaw, torch.sin(yaw / 2)], dim=-1)
    torch.testing.assert_close(shaping.heading(about_z), yaw, atol=1e-5, rtol=1e-5)


def test_everything_exported_is_described_to_the_model():
    reference = shaping_reference()
    lines = reference.splitlines()
    assert len(lines) == len(shaping.__all__)
    for name in shaping.__all__:
        (line,) = [line for line in lines if line.startswith(f"{name}(")]
        assert inspect.getdoc(getattr(shaping, name)).split()[0] in line
        for parameter in inspect.signature(getattr(shaping, name)).parameters:
            assert parameter in line
    functions = {name for name, value in vars(shaping).items() if inspect.isfunction(value)}
    assert functions == set(shaping.__all__)
