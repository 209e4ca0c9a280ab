"""How fast this machine trains, compared with raw physics and with other trainers, in one run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.program import check
from rewardgen.records import Labels
from rewardgen.sandbox import Sandbox
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task
from rewardgen.training import Member, Reward, Timings, label_rows, train
from rewardgen.training.timings import TimedSteps

SCALING = (1, 2, 4, 8, 16)
"""Sizes of the populations that are timed to show what training together gains."""

_WARM_UPDATES = 3  # not counted: they touch their buffers for the first time


def measure(
    task: Task,
    config: TrainingConfig | None = None,
    *,
    population: int = 8,
    updates: int = 40,
    scaling: Sequence[int] = SCALING,
    threads: int = 0,
    envpool: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure the throughput of training ``population`` rewards together, each a program in the sandbox.

    Rates are environment steps (control steps of one world) per second of wall clock. A whole training of
    ``config.steps`` is extrapolated: simulation, labelling, learning, and its checkpoints in proportion. The references
    are measured twice, and the better rate counts.

    Args:
        config: the training settings; default: the task's own.
        population: number of members, each with a different program.
        updates: number of rollouts and updates that are timed.
        scaling: sizes of further populations, each timed over a quarter of the updates.
        threads: CPU threads; 0: all.
        envpool: the interpreter of an environment with EnvPool and Stable-Baselines3; None: skip that reference.
        on_progress: called with what is being measured next.

    Returns:
        ``physics_steps_per_s``, of the same batch of worlds under the same commands with nothing else done, and
        ``physics_random_steps_per_s``, under uniformly random ones; ``train_steps_per_s``; ``sb3_steps_per_s``, of
        Stable-Baselines3's PPO with its defaults on the matching Gymnasium environment; ``envpool_steps_per_s``, of its
        PPO on EnvPool's worlds with our networks, epochs and rollouts, with ``config.worlds`` or with as many worlds as
        the population has, whichever is faster; ``ratio_to_physics``, ``ratio_to_physics_random``, ``ratio_to_sb3`` and
        ``ratio_to_envpool``, of training to each; the shares of the training's time that went into ``rollout_share``
        (physics and acting), ``learning_share``, ``checkpoint_share`` and ``sandbox_share`` (waiting for labels);
        ``first_reward_ms``, from a program's text to its first labels, the sandbox's server being warm; ``scaling``,
        members → ``train_steps_per_s``. What cannot be had here is NaN.

    Raises:
        UsageError: a count is not positive, or ``envpool`` cannot be measured.
    """
    if min(population, updates, *scaling) < 1:
        raise UsageError("a benchmark needs at least one member and one update")
    config = config or TrainingConfig.model_validate(dict(task.training))
    report = on_progress or (lambda _: None)
    # Training, and the physics of the same motion alone
    report(f"training {population} rewards together")
    trained, commands = training_rate(task, config, population, updates, threads)
    report("raw physics under the same commands, then under random ones")
    physics = _best(lambda: physics_rate(task, commands, threads))
    random_actions = random_commands(task, commands)
    physics_random = _best(lambda: physics_rate(task, random_actions, threads))
    # Other trainers
    sb3 = with_envpool = math.nan
    if task.gymnasium_id is not None:
        from rewardgen.bench.reference import envpool_rate, sb3_rate  # Stable-Baselines3 takes seconds to import

        report(f"Stable-Baselines3 on {task.gymnasium_id}")
        sb3 = _best(partial(sb3_rate, task.gymnasium_id))
        if envpool is not None:
            sizes = sorted({config.worlds, population * config.worlds})
            report(f"Stable-Baselines3 on EnvPool's {task.gymnasium_id}, {' and '.join(map(str, sizes))} worlds")
            with_envpool = max(
                _best(partial(envpool_rate, envpool, task.gymnasium_id, config, size, threads)) for size in sizes
            )
    # Populations of other sizes
    by_members = {}
    for members in scaling:
        report(f"training {members} together")
        by_members[members] = training_rate(task, config, members, max(1, updates // 4), threads)[0]["steps_per_s"]
    rate = trained.pop("steps_per_s")
    return {
        "physics_steps_per_s": physics,
        "physics_random_steps_per_s": physics_random,
        "train_steps_per_s": rate,
        "sb3_steps_per_s": sb3,
        "envpool_steps_per_s": with_envpool,
        "ratio_to_physics": rate / physics,
        "ratio_to_physics_random": rate / physics_random,
        "ratio_to_sb3": rate / sb3,
        "ratio_to_envpool": rate / with_envpool,
        **trained,
        "scaling": by_members,
    }


def _best(rate: Callable[[], float]) -> float:
    """Return the better of two measurements of a reference, so that other load does not favour us."""
    return max(rate(), rate())


def random_commands(task: Task, like: Sequence[Tensor]) -> list[Tensor]:
    """Return commands drawn uniformly from the actuators' range, as many as ``like``."""
    generator = Generator().manual_seed(0)
    span = task.action_high - task.action_low
    return [task.action_low + span * torch.rand(command.shape, generator=generator) for command in like]


def physics_rate(task: Task, commands: Sequence[Tensor], threads: int = 0) -> float:
    """Return the control steps per second of physics alone (``Task.advance``) under a training's commands.

    How a robot moves changes what its contacts cost, so raw physics is timed on the motion that training was timed on,
    from the model's resting pose. An episode's end is not repeated.

    Args:
        commands: one ``(worlds, A)`` per control step; the first eighth of them warms up.
    """
    sim = MujocoSim(task.model, len(commands[0]), threads)
    warm = len(commands) // 8
    for command in commands[:warm]:
        task.advance(sim, command)
    began = time.perf_counter()
    for command in commands[warm:]:
        task.advance(sim, command)
    return (len(commands) - warm) * len(commands[0]) / (time.perf_counter() - began)


class RecordingReward:
    """A reward that records the actions of the training, rollout by rollout."""

    def __init__(self, reward: Reward) -> None:
        self._reward = reward
        self.actions: list[Tensor] = []

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
        """Record the actions, and pass everything on."""
        self.actions.append(actions.clone())
        self._reward.submit(states, actions, next_states)

    def result(self) -> Labels:
        """Return the reward's labels."""
        return self._reward.result()


def training_rate(
    task: Task, config: TrainingConfig, population: int, updates: int, threads: int = 0
) -> tuple[dict[str, float], list[Tensor]]:
    """Time ``updates`` updates and one checkpoint.

    Returns:
        ``steps_per_s``, the shares and ``first_reward_ms`` as ``measure`` gives them; and the commands of every control
        step of the rollouts, ``(population · worlds, A)`` each.
    """
    # Train for a short while, with marks after each update
    each = config.worlds * config.rollout
    short = config.model_copy(update={"steps": each * (_WARM_UPDATES + updates), "checkpoints": 1})
    timings = Timings()
    marks = TimedSteps(timings)

    with Sandbox() as sandbox:
        first_reward = first_reward_seconds(sandbox, task)
        workers = [
            sandbox.open(check(_program(task, k), task.layout), task.layout, task.action_size, label_rows(config))
            for k in range(population)
        ]
        recorded = [RecordingReward(worker) for worker in workers]
        members = [Member(f"bench{k}", k, reward) for k, reward in enumerate(recorded)]
        results = train(task, members, short, threads=threads, watcher=marks, timings=timings)
    failed = [result.message for result in results if result.status == "failed"]
    if failed:
        raise UsageError(f"the benchmark's rewards failed on {task.name}: {failed[0]}")
    # Time between the first and the last mark, extrapolated to a whole training
    first, last = marks.updates[_WARM_UPDATES - 1], marks.updates[-1]
    took = {what: last[2][what] - first[2][what] for what in last[2]}
    checkpoint = took.pop("checkpoints")
    whole = population * config.steps
    times = whole / (last[1] - first[1])  # how often a whole training repeats the updates that were timed
    scoring = timings.seconds["checkpoints"] - last[2]["checkpoints"]  # once, after the last update
    total = times * (last[0] - first[0] - checkpoint) + config.checkpoints * checkpoint + scoring
    rates = {
        "steps_per_s": whole / total,
        "rollout_share": times * took["rollout"] / total,
        "learning_share": times * took["learning"] / total,
        "checkpoint_share": (config.checkpoints * checkpoint + scoring) / total,
        "sandbox_share": times * took["labels"] / total,
        "first_reward_ms": 1000.0 * first_reward,
    }
    # The commands of every control step
    rollouts = zip(*(reward.actions[: _WARM_UPDATES + updates] for reward in recorded), strict=True)
    commands = [
        torch.cat([actions.view(-1, config.worlds, task.action_size)[t] for actions in rollout])
        for rollout in rollouts
        for t in range(len(rollout[0]) // config.worlds)
    ]
    return rates, commands


def first_reward_seconds(sandbox: Sandbox, task: Task, programs: int = 9) -> float:
    """Return the median seconds from a program's text to the labels of one transition, with the server running."""
    state, action = torch.zeros(1, task.layout.width), torch.zeros(1, task.action_size)
    took = []
    for k in range(programs + 1):
        began = time.perf_counter()
        with sandbox.open(check(_program(task, k), task.layout), task.layout, task.action_size, 1) as worker:
            worker.submit(state, action, state)
            worker.result()
            took.append(time.perf_counter() - began)
    return sorted(took[1:])[programs // 2]  # the first has waited for the server


def _program(task: Task, number: int) -> str:
    """Return a typical reward for any task: a bounded term per field, and the effort."""
    lines = ["def compute_reward(state, action, next_state):", '    """Bounded terms of every field."""']
    for i, field in enumerate(task.fields):
        lines.append(f"    size_{i} = next_state.{field.name}.reshape(action.shape[0], -1).square().sum(-1)")
        lines.append(f"    term_{i} = torch.exp(-{0.1 * (number + 1):.1f} * size_{i})")
    names = [f"term_{i}" for i in range(len(task.fields))]
    lines.append("    effort = -0.01 * action.square().sum(-1)")
    lines.append(f"    total = {' + '.join([*names, 'effort'])}")
    pairs = ", ".join(f'"{name}": {name}' for name in [*names, "effort"])
    lines.append(f"    return total, {{{pairs}}}")
    return "\n".join(lines) + "\n"
