"""Eureka's pen spinning: when goals count, what the next one is, and that worlds keep their own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rewardgen.records import State
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, Worlds, load_task

pytest.importorskip("gymnasium_robotics")
WORLDS = 4
LIFT = 0.3  # m
EVERY = torch.arange(WORLDS)


def begin(name: str) -> Worlds:
    """Pens in the air, where nothing turns them, and their places with them."""
    task = load_task(name)
    worlds = Worlds(task, MujocoSim(task.model, WORLDS, 1), EVERY)
    worlds.start()
    worlds.sim.field("mocap_pos")[:, 0, 2] += LIFT
    worlds.sim.field("qpos")[:, 26] += LIFT
    return worlds


@pytest.fixture(params=["shadow_hand/pen_reorient", "shadow_hand/pen_spin"])
def worlds(request: pytest.FixtureRequest) -> Worlds:
    return begin(request.param)


def look(worlds: Worlds) -> State:
    return State(worlds.task.layout, worlds._read())


def put_on_goal(worlds: Worlds, ids: Tensor) -> None:
    """Put the pens of ``ids`` into their places with the attitude that is wanted."""
    worlds.sim.field("qpos")[ids, 24:27] = worlds.sim.field("mocap_pos")[ids, 0]
    worlds.sim.field("qpos")[ids, 27:31] = worlds.sim.field("mocap_quat")[ids, 0]
    worlds.sim.field("qvel")[ids] = 0.0


def rest(task: Task) -> Tensor:
    return torch.zeros(WORLDS, task.action_size)


def test_goals_count_when_the_pen_points_as_wanted_and_for_that_world_alone(worlds: Worlds) -> None:
    task, lucky = worlds.task, torch.tensor([1, 3])
    before = look(worlds)
    assert before.goals_reached.tolist() == [0.0] * WORLDS
    for count in (1, 2, 3):
        put_on_goal(worlds, lucky)
        worlds.step(rest(task))
        after = look(worlds)
        assert after.goals_reached.tolist() == [0.0, count, 0.0, count]
    others = torch.tensor([0, 2])
    torch.testing.assert_close(after.goal_direction[others], before.goal_direction[others])
    assert len({tuple(row.tolist()) for row in after.goal_direction}) == WORLDS
    torch.testing.assert_close(after.goal_direction.norm(dim=-1), torch.ones(WORLDS))


def test_spinning_asks_for_30_degrees_more_about_the_vertical() -> None:
    worlds = begin("shadow_hand/pen_spin")
    headings = []
    for _ in range(14):
        goal = look(worlds).goal_direction
        headings.append(torch.atan2(goal[:, 1], goal[:, 0]))
        put_on_goal(worlds, EVERY)
        worlds.step(rest(worlds.task))
    turns = torch.stack(headings).diff(dim=0).remainder(2.0 * math.pi)
    torch.testing.assert_close(turns, torch.full_like(turns, math.radians(30.0)), atol=1e-5, rtol=0.0)


def test_the_rewards_pay_for_the_goal_that_was_pursued(worlds: Worlds) -> None:
    task = worlds.task
    state = look(worlds)
    put_on_goal(worlds, torch.tensor([2]))
    reached = State(task.layout, worlds.step(rest(task)).next_matrix)
    total, terms = task.expert_reward(state, rest(task), reached)
    assert terms["goal"].tolist() == [0.0, 0.0, 250.0, 0.0]
    assert terms["turn"][2] > 1.0 / (0.2 + 0.1) > terms["turn"][[0, 1, 3]].max()
    sparse, _ = task.sparse_reward(state, rest(task), reached)
    assert sparse.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert total.isfinite().all()


def test_an_episode_begins_at_no_goal_and_ends_with_the_pen(worlds: Worlds) -> None:
    put_on_goal(worlds, EVERY)
    worlds.step(rest(worlds.task))
    worlds.sim.field("qpos")[1, 26] -= 0.3
    step = worlds.step(rest(worlds.task))
    assert step.terminated.tolist() == [False, True, False, False]
    assert look(worlds).goals_reached.tolist() == [1.0, 0.0, 1.0, 1.0]
