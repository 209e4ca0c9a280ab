"""Play whole episodes under a policy, one per world."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rewardgen.records import Episodes, State
from rewardgen.sim import Simulator, torch_threads
from rewardgen.tasks.base import Task
from rewardgen.tasks.worlds import Worlds

TIME_LIMIT = "time limit"
DIVERGED = "simulation diverged"
_LOOK_EVERY = 32
"""Control steps from one look at whether any episode still runs to the next, where a look waits for the device."""


def play_episodes(
    task: Task,
    sim: Simulator,
    act: Callable[[Tensor], Tensor],
    streams: Tensor,
    watch: Callable[[], None] = lambda: None,
) -> Episodes:
    """Play one whole episode in each world of ``sim``.

    Args:
        task: what is simulated.
        sim: a simulator of ``task.model``.
        act: the policy: observations ``(n, observation_size)`` → actions ``(n, action_size)`` in actuator units. It
            is also called for worlds whose episode has ended; those actions are ignored.
        streams: ``(n,)`` int64, random streams that determine the start states.
        watch: called at the start and after every control step, while the simulator holds what was reached; also
            for worlds whose episode has ended, which go on with another.

    Returns:
        The episodes, on the simulator's device, with ``causes`` from ``task.terminations``, "time limit" and
        "simulation diverged".
    """
    worlds = Worlds(task, sim, streams, watch)
    present = worlds.start()
    count, horizon, device = sim.num_worlds, task.horizon, sim.device
    states = torch.empty(horizon + 1, count, task.layout.width, device=device)
    actions = torch.zeros(horizon, count, task.action_size, device=device)
    length = torch.full((count,), horizon, device=device)
    terminated = torch.zeros(count, dtype=torch.bool, device=device)
    running = torch.ones(count, dtype=torch.bool, device=device)
    states[0] = present
    steps = 0
    look_every = _LOOK_EVERY if sim.masked else 1
    with torch_threads(1):
        while steps < horizon and (steps % look_every or running.any()):
            # Ask the policy; worlds whose episode has ended take a zero action
            action = task.clip(act(task.observation(State(task.layout, worlds.matrix))))
            action = torch.where(running[:, None], action, 0.0)
            reached = worlds.step(action)
            # Freeze the state of ended episodes, although their worlds run on
            present = torch.where(running[:, None], reached.next_matrix, present)
            actions[steps] = action
            states[steps + 1] = present
            steps += 1
            # Record the first end of each episode
            ended = running & (reached.terminated | reached.truncated)
            terminated |= running & reached.terminated
            length.masked_fill_(ended, steps)
            running &= ~ended
    # Fill up with the last states: every row has the full horizon
    states[steps + 1 :] = present
    worlds.check()
    return Episodes(
        layout=task.layout,
        states=states,
        actions=actions,
        length=length,
        terminated=terminated,
        control_step=task.control_step,
        causes=_causes(task, present, terminated),
    )


def _causes(task: Task, last: Tensor, terminated: Tensor) -> dict[str, Tensor]:
    """Map each cause to ``(n,)`` bools: the episodes that it ended, from their last states ``(n, width)``."""
    named = {cause: held & terminated for cause, held in task.terminations(State(task.layout, last)).items()}
    # Terminated without a cause of the task: the physics became NaN or huge
    explained = torch.zeros_like(terminated)
    for held in named.values():
        explained |= held
    if (terminated & ~explained).any():
        named[DIVERGED] = terminated & ~explained
    named[TIME_LIMIT] = ~terminated
    return named
