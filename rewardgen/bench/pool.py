"""A fixed pool of rewards for a task, good and bad ones, which trainings should be able to tell apart.

It is the same in every call: the expert's and the sparse reward, spoiled versions of the expert's, the offline author's
with a fixed seed, and those that a language model wrote, from a recording or as files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

import rewardgen
from rewardgen import prompting
from rewardgen.config import LLMConfig, SandboxConfig
from rewardgen.errors import UsageError
from rewardgen.llm import make_author
from rewardgen.llm.recording import read_recording
from rewardgen.records import RewardProgram, State
from rewardgen.sandbox import Sandbox
from rewardgen.screening import Transitions, random_transitions, screen_source
from rewardgen.tasks import RewardAndTerms, Task
from rewardgen.training import TaskReward

SIZE = 12
"""Min. number of rewards in a pool; the offline author fills it up."""
OFFLINE, WRITTEN = 3, 4
"""Min. number of rewards of the offline author, and max. number of a language model."""
MAX_DROPPED = 4
"""Max. number of components of the expert's reward that are dropped in turn, the largest first."""
RECORDINGS = Path(rewardgen.__file__).parents[1] / "tests" / "replies"
"""The recorded replies of a source checkout."""
_SEED = 0  # of the transitions on which sizes are measured, and of the offline author
_TRANSITIONS = 2048
_SAME = 1e-3  # rewards whose scaled labels differ by less than this (root mean square) count as the same

Function = Callable[[State, Tensor, State], RewardAndTerms]
Kind = Literal["task", "spoiled", "offline", "written"]


@dataclass(frozen=True)
class PoolReward:
    """One reward of a pool.

    ``about`` describes it in a line. ``digest`` identifies it, and is part of the path of its curves.
    ``reward`` is one of the task's own, or a program for the sandbox.
    """

    name: str
    kind: Kind
    about: str
    digest: str
    reward: TaskReward | RewardProgram


@dataclass(frozen=True)
class Pool:
    """``rewards`` in a fixed order, and name → why, for those that do not belong into it (``left_out``)."""

    rewards: tuple[PoolReward, ...]
    left_out: dict[str, str]


def make_pool(
    task: Task,
    sandbox: Sandbox,
    written: Path | None = None,
    *,
    settings: SandboxConfig | None = None,
    threads: int = 0,
) -> Pool:
    """Return the pool of ``task``.

    Args:
        sandbox: where written rewards are tried before they are accepted.
        written: a language model's rewards: a recording (.jsonl) of which the first generation is used, a folder of
            programs (.py), or a folder that holds either under the task's name (``cheetah_run.jsonl``,
            ``cheetah_run/``). None: ``tests/replies`` of a source checkout.
        settings: how many transitions programs are tried on, and for how long.

    Raises:
        UsageError: ``written`` has nothing that could be rewards, or the pool would have fewer than ``SIZE``.
        LLMError: a recording cannot be read.
    """
    # The task's own rewards, and spoiled ones
    settings = settings or SandboxConfig()
    texts = list(_written(written, task.name))
    transitions = random_transitions(task, _TRANSITIONS, _SEED, threads)
    rewards, left_out = _task_rewards(task, transitions)

    def accept(name: str, kind: Kind, text: str, *, is_reply: bool) -> bool:
        """Add a written reward if it passes its checks and is new."""
        sample = Transitions(
            *(values[: settings.smoke_transitions] for values in
              (transitions.states, transitions.actions, transitions.next_states))
        )  # fmt: skip
        trial = screen_source(sandbox, task, sample, text, call_seconds=settings.smoke_seconds, is_reply=is_reply)
        if trial.program is None:
            left_out[name] = "; ".join(map(str, trial.problems))
            return False
        if (
            duplicate := next((each.name for each in rewards if each.digest == trial.program.digest), None)
        ) is not None:
            left_out[name] = f"the same program as {duplicate}"
            return False
        about = "written by a language model" if kind == "written" else "by the offline author"
        rewards.append(PoolReward(name, kind, about, trial.program.digest, trial.program))
        return True

    # A language model's, then the offline author's until the pool is full
    for number, (text, is_reply) in enumerate(texts[:WRITTEN]):
        accept(f"written {number}", "written", text, is_reply=is_reply)
    accepted = 0
    for number, text in enumerate(_offline(task, OFFLINE + SIZE)):
        if accepted >= OFFLINE and len(rewards) >= SIZE:
            break
        accepted += accept(f"offline {number}", "offline", text, is_reply=True)
    if len(rewards) < SIZE:
        raise UsageError(f"the pool of {task.name} has only {len(rewards)} different rewards; give more with --rewards")
    return Pool(tuple(rewards), left_out)


def _task_rewards(task: Task, transitions: Transitions) -> tuple[list[PoolReward], dict[str, str]]:
    """Return the task's own rewards and spoiled ones, except those that are constant or a scaled copy of another."""
    args = (
        State(task.layout, transitions.states),
        transitions.actions,
        State(task.layout, transitions.next_states),
    )
    rewards: list[PoolReward] = []
    left_out: dict[str, str] = {}
    seen: list[tuple[str, Tensor]] = []
    plain: list[tuple[str, Kind, str, Function]] = [
        ("expert", "task", task.expert_source, task.expert_reward),
        ("sparse", "task", "1 where the goal is met, else 0", task.sparse_reward),
    ]
    spoiled: list[tuple[str, Kind, str, Function]] = [
        (name, "spoiled", about, function) for name, about, function in spoil(task, *args)
    ]
    for name, kind, about, function in (*plain, *spoiled):
        labels = function(*args)[0].double()
        size = labels.square().mean().sqrt()
        duplicate = next((other for other, theirs in seen if _alike(labels / size, theirs)), None)
        if kind == "spoiled" and float(labels.std()) <= 1e-6 * float(size):
            left_out[name] = "it is the same everywhere under random actions"
        elif float(size) > 0 and duplicate is not None:
            left_out[name] = f"it is {duplicate}, scaled"
        else:
            if float(size) > 0:
                seen.append((name, labels / size))
            digest = hashlib.sha256(f"{task.name}\n{name}\n{about}".encode()).hexdigest()
            rewards.append(PoolReward(name, kind, about, digest, TaskReward(function, task.layout)))
    return rewards, left_out


def spoil(task: Task, state: State, action: Tensor, next_state: State) -> list[tuple[str, str, Function]]:
    """Return spoiled versions of the expert's reward: (name, what was changed in a line, the reward).

    The transitions, of random actions, tell how large its components are (standard deviations) and what random
    behaviour is paid. These numbers are rounded, so that the pool is the same on every machine.
    """
    expert = task.expert_reward
    total, terms = expert(state, action, next_state)
    spoiled_rewards: list[tuple[str, str, Function]] = []
    # Change the weight of one component
    if len(terms) > 1:
        order = sorted(terms, key=lambda name: float(terms[name].double().std()), reverse=True)
        largest, smallest = order[0], order[-1]
        for name, factor, suffix in (
            *((name, 0.0, "dropped") for name in order[:MAX_DROPPED]),
            (largest, 0.1, "÷ 10"),
            (smallest, 10.0, "× 10"),
            (smallest, 0.1, "÷ 10"),
            (smallest, -1.0, "sign flipped"),
        ):
            spoiled_rewards.append(
                (f"{name} {suffix}", f"the expert's, {name} times {factor:g}", _weighted(expert, name, factor))
            )
    # Change the shape of the total
    spread = _rounded(float(total.double().std())) or 1.0
    usual, high, rare = (_rounded(float(total.double().quantile(q))) for q in (0.75, 0.9, 0.95))
    spoiled_rewards += [
        (
            "saturated",
            f"the expert's up to {usual:g}: no more than the better quarter of random steps",
            _shaped(expert, lambda t: t.clamp(max=usual)),
        ),
        (
            "late",
            f"the expert's above {rare:g}: nothing below the best twentieth of random steps",
            _shaped(expert, lambda t: (t - rare).clamp(min=0.0)),
        ),
        (
            "threshold",
            f"1 where the expert's is above {high:g}, else 0",
            _shaped(expert, lambda t: (t > high).to(t.dtype)),
        ),
        (
            "coarse",
            f"the expert's in steps of {2 * spread:g}",
            _shaped(expert, lambda t: (t / (2 * spread)).floor() * (2 * spread)),
        ),
    ]
    if len(terms) == 1:  # no component to weigh against others: add an effort
        effort = _rounded(float(action.double().square().sum(-1).mean())) or 1.0
        for name, factor in (("action cost", -1.0), ("large action cost", -10.0), ("action bonus", 1.0)):
            weight = _rounded(factor * spread / effort)
            spoiled_rewards.append(
                (name, f"the expert's plus {weight:g} times the squared action", _with_effort(expert, weight))
            )
    return spoiled_rewards


def _weighted(expert: Function, name: str, factor: float) -> Function:
    """Return the expert's reward with another weight of one component."""

    def reward(state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        _, terms = expert(state, action, next_state)
        changed = {key: factor * term if key == name else term for key, term in terms.items()}
        return torch.stack(list(changed.values())).sum(0), changed

    return reward


def _shaped(expert: Function, shape: Callable[[Tensor], Tensor]) -> Function:
    """Return a function of the expert's total."""

    def reward(state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        total = shape(expert(state, action, next_state)[0])
        return total, {"total": total}

    return reward


def _with_effort(expert: Function, weight: float) -> Function:
    def reward(state: State, action: Tensor, next_state: State) -> RewardAndTerms:
        total, terms = expert(state, action, next_state)
        effort = weight * action.square().sum(-1)
        return total + effort, {**terms, "effort": effort}

    return reward


def _offline(task: Task, count: int) -> list[str]:
    author = make_author(LLMConfig(model="offline"), environ={}, cache_dir=None, recording=None)
    return [reply.text for reply in author.reply(prompting.generation(task), count, seed=_SEED)]


def _written(path: Path | None, task: str) -> Iterator[tuple[str, bool]]:
    """The texts of ``path`` for ``task``, and whether they are whole replies."""
    root, name = path or RECORDINGS, task.replace("/", "_")
    if path is not None and not path.exists():
        raise UsageError(f"--rewards {path}: there is no such file or folder")
    candidates = [root] if root.is_file() else [root / f"{name}.jsonl", root / name]
    own = path is not None and root.is_dir() and any(root.glob("*.py"))
    found = root if own else next((each for each in candidates if each.exists()), None)
    if found is None:
        if path is not None and not any((*root.glob("*.jsonl"), *root.glob("*/*.py"))):
            raise UsageError(f"--rewards {path}: give a recording (.jsonl), a folder of programs (.py), or a folder "
                             f"that holds either under the task's name, such as {name}.jsonl")  # fmt: skip
        return
    if found.is_dir():
        for file in sorted(found.glob("*.py")):
            yield file.read_text(encoding="utf-8"), False
        return
    calls = (call for call in read_recording(found) if call.purpose == "generation" and call.replies)
    for reply in getattr(next(calls, None), "replies", ()):
        yield reply.text, True


def _alike(mine: Tensor, theirs: Tensor) -> bool:
    return float((mine - theirs).square().mean().sqrt()) < _SAME


def _rounded(value: float) -> float:
    """Two significant digits."""
    return float(f"{value:.2g}")
