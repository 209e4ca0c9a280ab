"""How fast this machine trains, against raw physics and against Stable-Baselines3 with its defaults, in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rewardgen.config import TrainingConfig
from rewardgen.errors import UsageError
from rewardgen.program import check
from rewardgen.records import Labels
from rewardgen.sandbox import Sandbox
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task
from rewardgen.training import Member, Reward, Timings, label_rows, train

_WARM_UPDATES = 3  # not counted: buffers are touched for the first time
_SB3_ROLLOUTS = 2  # of Stable-Baselines3's default length


def measure(
    task: Task,
    config: TrainingConfig | None = None,
    *,
    population: int = 8,
    updates: int = 40,
    threads: int = 0,
    say: Callable[[str], None] | None = None,
) -> dict[str, float]:
    """Measure the throughput of training ``population`` rewards together, each a program in the sandbox.

    Rates are environment steps (control steps of one world) per second of wall clock. Training is counted as a whole
    training of ``config.steps`` would go: simulation, labelling, learning, and its checkpoints in proportion.

    Args:
        config: the settings to train with; the task's own without it.
        population: members, a different program each.
        updates: rollouts and updates that are timed.
        threads: processor threads; 0 is all.
        say: told what is being measured next.

    Returns:
        ``physics_steps_per_s``, of the same batch of worlds under the same commands with nothing else done;
        ``train_steps_per_s``; ``sb3_steps_per_s``, of Stable-Baselines3's PPO with its defaults on the matching
        Gymnasium environment; ``ratio_to_physics`` and ``ratio_to_sb3``, of training to each; ``sandbox_share``, the
        share of the training's time spent waiting for labels; ``checkpoint_share``, that spent on checkpoints;
        ``first_reward_ms``, from a program's text to its first labels, the sandbox's server being warm. Where the task
        has no matching environment, both of Stable-Baselines3's are NaN.

    Raises:
        UsageError: a count is not positive.
    """
    if population < 1 or updates < 1:
        raise UsageError("a benchmark needs at least one member and one update")
    config = config or TrainingConfig.model_validate(dict(task.training))
    tell = say or (lambda _: None)
    tell(f"training {population} rewards together")
    trained, commands = training_rate(task, config, population, updates, threads)
    tell("raw physics under the same commands")
    physics = physics_rate(task, commands, threads)
    reference = float("nan")
    if task.gymnasium_id is not None:
        tell(f"Stable-Baselines3 on {task.gymnasium_id}")
        reference = sb3_rate(task.gymnasium_id)
    return {
        "physics_steps_per_s": physics,
        "train_steps_per_s": trained["steps_per_s"],
        "sb3_steps_per_s": reference,
        "ratio_to_physics": trained["steps_per_s"] / physics,
        "ratio_to_sb3": trained["steps_per_s"] / reference,
        "sandbox_share": trained["sandbox_share"],
        "checkpoint_share": trained["checkpoint_share"],
        "first_reward_ms": trained["first_reward_ms"],
    }


def physics_rate(task: Task, commands: Sequence[Tensor], threads: int = 0) -> float:
    """Control steps per second of physics alone (``Task.advance``) under the commands that a training gave.

    How a robot moves changes what its contacts cost, so raw physics is timed on the motion that training was timed on,
    from the model's resting pose. An episode's end is not repeated.

    Args:
        commands: one ``(worlds, A)`` for each control step; the first eighth of them warms up.
    """
    sim = MujocoSim(task.model, len(commands[0]), threads)
    warm = len(commands) // 8
    for command in commands[:warm]:
        task.advance(sim, command)
    began = time.perf_counter()
    for command in commands[warm:]:
        task.advance(sim, command)
    return (len(commands) - warm) * len(commands[0]) / (time.perf_counter() - began)


class Watched:
    """A reward that remembers the actions it was asked about: what the training commanded, rollout by rollout."""

    def __init__(self, reward: Reward) -> None:
        self._reward = reward
        self.actions: list[Tensor] = []

    def submit(self, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
        self.actions.append(actions.clone())
        self._reward.submit(states, actions, next_states)

    def result(self) -> Labels:
        return self._reward.result()


def training_rate(
    task: Task, config: TrainingConfig, population: int, updates: int, threads: int = 0
) -> tuple[dict[str, float], list[Tensor]]:
    """Time ``updates`` updates and one checkpoint.

    Returns:
        ``steps_per_s``, ``sandbox_share``, ``checkpoint_share`` and ``first_reward_ms``; and the commands of every
        control step of the rollouts, ``(population · worlds, A)`` each.
    """
    each = config.worlds * config.rollout
    short = config.model_copy(update={"steps": each * (_WARM_UPDATES + updates), "checkpoints": 1})
    marks: list[tuple[float, int, float, float]] = []
    timings = Timings()

    def mark(steps: int) -> None:
        seconds = timings.seconds
        marks.append((time.perf_counter(), steps, seconds["labels"], seconds.get("checkpoints", 0.0)))

    with Sandbox() as sandbox:
        first_reward = first_reward_seconds(sandbox, task)
        workers = [
            sandbox.open(check(_program(task, k), task.layout), task.layout, task.action_size, label_rows(config))
            for k in range(population)
        ]
        watched = [Watched(worker) for worker in workers]
        members = [Member(f"bench{k}", k, reward) for k, reward in enumerate(watched)]
        results = train(task, members, short, threads=threads, on_progress=mark, timings=timings)
    failed = [result.message for result in results if result.status == "failed"]
    if failed:
        raise UsageError(f"the benchmark's rewards failed on {task.name}: {failed[0]}")
    first, last = marks[_WARM_UPDATES - 1], marks[-1]
    checkpoint = last[3] - first[3]
    steps, seconds = last[1] - first[1], last[0] - first[0] - checkpoint
    whole = population * config.steps
    training_seconds = whole * seconds / steps
    checkpoint_seconds = config.checkpoints * checkpoint
    total = training_seconds + checkpoint_seconds
    rates = {
        "steps_per_s": whole / total,
        "sandbox_share": whole * (last[2] - first[2]) / steps / total,
        "checkpoint_share": checkpoint_seconds / total,
        "first_reward_ms": 1000.0 * first_reward,
    }
    rollouts = zip(*(reward.actions[: _WARM_UPDATES + updates] for reward in watched), strict=True)
    commands = [
        torch.cat([actions.view(-1, config.worlds, task.action_size)[t] for actions in rollout])
        for rollout in rollouts
        for t in range(len(rollout[0]) // config.worlds)
    ]
    return rates, commands


def first_reward_seconds(sandbox: Sandbox, task: Task, programs: int = 9) -> float:
    """From a program's text to the labels of one transition, the median over ``programs``; the server warm."""
    state, action = torch.zeros(1, task.layout.width), torch.zeros(1, task.action_size)
    took = []
    for k in range(programs + 1):
        began = time.perf_counter()
        with sandbox.open(check(_program(task, k), task.layout), task.layout, task.action_size, 1) as worker:
            worker.submit(state, action, state)
            worker.result()
            took.append(time.perf_counter() - began)
    return sorted(took[1:])[programs // 2]  # the first has waited for the server


def sb3_rate(gymnasium_id: str) -> float:
    """Steps per second of Stable-Baselines3's PPO with its defaults, simulation and learning."""
    import gymnasium
    from stable_baselines3 import PPO
    from stable_baselines3.common.logger import Logger

    environment = gymnasium.make(gymnasium_id)
    try:
        model = PPO("MlpPolicy", environment, device="cpu", seed=0)
        model.set_logger(Logger(None, []))
        steps = _SB3_ROLLOUTS * model.n_steps
        began = time.perf_counter()
        model.learn(steps)
        return steps / (time.perf_counter() - began)
    finally:
        environment.close()


def _program(task: Task, number: int) -> str:
    """A reward of the usual kind for any task: a bounded term of each field, and the effort."""
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
