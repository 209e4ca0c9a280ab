"""Runs as the store would tell them, made up: one as real runs look, one that is all edges."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from rewardgen.records import Checkpoint, Evaluation, Message, Problem, Reply, TrainingResult
from rewardgen.store.view import (
    AttemptView,
    CallView,
    CandidateView,
    CostView,
    EventView,
    FinalView,
    GenerationView,
    RunView,
)

TASK = {
    "name": "hopper/run",
    "description": "A one-legged planar robot stands on flat ground. It should hop forward, in the +x direction, as "
    "fast as it can without falling over.",
    "fields": [
        {"name": "torso_height", "shape": [], "unit": "m", "meaning": "height of the torso above the ground"},
        {"name": "torso_velocity", "shape": [2], "unit": "m/s", "meaning": "velocity of the torso along x and z"},
        {"name": "joint_angles", "shape": [3], "unit": "rad", "meaning": "thigh, leg and foot"},
    ],
    "fitness_unit": "m/s",
    "fitness_meaning": "mean forward speed over the full horizon, a fall counting as standing still",
    "success_threshold": 1.5,
    "expert_source": "Gymnasium, Hopper-v5",
    "horizon": 1000,
    "control_step": 0.008,
}

SOURCES = [
    '''SPEED_SCALE = 2.0  # m/s


def compute_reward(state, action, next_state):
    """Run forward while staying upright."""
    speed = torch.tanh(next_state.torso_velocity[:, 0] / SPEED_SCALE)
    height = tolerance(next_state.torso_height, 1.1, 1.4, margin=0.4)
    effort = -0.03 * action.square().mean(-1)
    return speed + height + effort, {"speed": speed, "height": height, "effort": effort}
''',
    '''SPEED_SCALE = 3.0  # m/s


def compute_reward(state, action, next_state):
    """Speed counts only while upright: the product leaves nothing to trade."""
    speed = next_state.torso_velocity[:, 0] / SPEED_SCALE
    upright = tolerance(next_state.torso_height, 1.1, 1.4, margin=0.4)
    gated = speed.clamp(-1.0, 2.0) * upright
    effort = -0.01 * action.square().mean(-1)
    return gated + effort, {"gated_speed": gated, "effort": effort}
''',
    '''SPEED_SCALE = 3.0  # m/s
LIFT_SCALE = 1.5  # m/s


def compute_reward(state, action, next_state):
    """Speed while upright, plus a small pay for leaving the ground, which hopping needs."""
    speed = next_state.torso_velocity[:, 0] / SPEED_SCALE
    upright = tolerance(next_state.torso_height, 1.1, 1.4, margin=0.4)
    gated = speed.clamp(-1.0, 2.0) * upright
    lift = 0.15 * torch.tanh(next_state.torso_velocity[:, 1].clamp(min=0.0) / LIFT_SCALE)
    effort = -0.01 * action.square().mean(-1)
    return gated + lift + effort, {"gated_speed": gated, "lift": lift, "effort": effort}
''',
]


def curve(top: float, generator: torch.Generator, steps: int = 1_000_000, names: tuple[str, ...] = ()) -> tuple:
    points = []
    for i in range(1, 11):
        noise = float(torch.randn((), generator=generator)) * 0.06
        fitness = top * (1 - math.exp(-i / 3.5)) / (1 - math.exp(-10 / 3.5)) + noise
        alive = min(1.0, 0.15 * i + 0.1 * noise)
        components = {
            name: (0.25 + 0.5 * k * fitness / 2) * (-0.1 if name == "effort" else 1) * (0.5 + i / 10)
            for k, name in enumerate(names, start=1)
        }
        points.append(
            Checkpoint(
                steps=steps * i // 10,
                fitness=fitness,
                fitness_std=0.2,
                success_rate=max(0.0, min(1.0, (fitness - 1) / 2)),
                own_return=1000 * fitness,
                components=components,
                correlations=dict.fromkeys(names, 0.4),
                episode_length=1000 * alive,
                causes={"time limit": alive, "fell over": 1 - alive},
                goal_reached=0.01 * i,
                episodes=8,
            )
        )
    return tuple(points)


def training(key: str, seed: int, top: float, names: tuple[str, ...] = ()) -> TrainingResult:
    generator = torch.Generator().manual_seed(seed * 1000 + sum(map(ord, key)))
    points = curve(top + 0.15 * float(torch.randn((), generator=generator)), generator, names=names)
    return TrainingResult(key, seed, "done", "", points, None, 1_000_000, 61.0)


def reply(source: str, tokens: int = 420) -> Reply:
    text = f"The policy first has to stay up, then to move.\n\n```python\n{source}```"
    return Reply(text, "some-model", 2150, tokens, 0.0061, 8.2)


def candidate(key: str, parent: str | None, source: str, top: float | None, *, selected: bool = False) -> CandidateView:
    names = tuple(part.split('"')[0] for part in source.split('{"')[-1].replace(', "', '{"').split('{"'))
    attempts = [AttemptView(0, reply(source), source, ())]
    if top is None:
        problems = (Problem("check", "the state has no field 'torso_speed'; did you mean torso_velocity?", 6),)
        attempts = [AttemptView(i, reply(source), source, problems) for i in range(3)]
        return CandidateView(key, parent, "rejected", tuple(attempts), source, (), None, "", False)
    trainings = tuple(training(key, seed, top, names) for seed in (0, 1))
    score = sum(t.score for t in trainings) / 2
    text = f"fitness: 0.11 → {score:.2f} m/s over training, best {score:.2f} at 900000 steps; success rate 12 %"
    return CandidateView(key, parent, "trained", tuple(attempts), source, trainings, score, text, selected)


def evaluation(mean: float, half: float, seeds: int = 3) -> Evaluation:
    generator = torch.Generator().manual_seed(int(mean * 1000))
    draws = mean + half * 0.5 * torch.randn(seeds, 1, generator=generator)
    fitness = draws + 0.1 * torch.randn(seeds, 32, generator=generator)
    rows = tuple(tuple(row) for row in fitness.tolist())
    return Evaluation(rows, mean, mean - half, mean + half, 0.6)


def final(name: str, mean: float, half: float) -> FinalView:
    return FinalView(name, tuple(training(name, seed, mean) for seed in range(10, 13)), evaluation(mean, half))


@pytest.fixture
def good_run() -> RunView:
    return make_good_run()


@pytest.fixture
def empty_run() -> RunView:
    return make_empty_run()


@pytest.fixture
def degenerate_run() -> RunView:
    return make_degenerate_run()


def make_good_run() -> RunView:
    """Three generations of six with a rejected and a failed candidate, an expert beaten and a sparse reward too."""
    generations, parent = [], None
    messages = (Message("system", "You write reward functions."), Message("user", "# The task: hopper/run\n…"))
    calls = []
    for index in range(3):
        members = []
        for k in range(6):
            top = None if (index, k) in ((0, 4), (1, 2)) else 0.5 + 0.45 * index + 0.09 * ((k * 5) % 6)
            best = k == 1
            key = f"r0g{index}c{k}"
            source = SOURCES[index] if best else SOURCES[index].replace("3.0", f"{2 + 0.3 * k:.1f}")
            made = candidate(key, parent, source, top + 0.5 if best and top else top, selected=best)
            if (index, k) == (1, 5):
                message = "line 7: the total is not finite in 12 of 2048 rows"
                failed = TrainingResult(key, 0, "failed", message, (), None, 2048, 1.0)
                made = CandidateView(key, parent, "failed", made.attempts, source, (failed,), None, "", False)
            members.append(made)
        said = (
            messages if parent is None else (*messages, Message("assistant", SOURCES[index - 1]), Message("user", "…"))
        )
        generations.append(GenerationView(0, index, said, tuple(members), True))
        replies = tuple(c.attempts[0].reply for c in members)
        calls.append(CallView(f"r0g{index}", "generation", said, replies, "", "2026-03-02T10:00:00+00:00"))
        if index == 1:
            calls.append(
                CallView(f"r0g{index}c2", "repair", said, (), "the endpoint answered 500", "2026-03-02T10:10:00")
            )
        parent = f"r0g{index}c1"
    events = [
        EventView(
            f"2026-03-02T10:0{i}:00", "checkpoint", {"candidate": "r0g0c1", "steps": 100_000 * i, "fitness": 0.1 * i}
        )
        for i in range(6)
    ]
    events.append(
        EventView("2026-03-02T10:07:00", "warning", {"message": "the server ignored n=6: asked 5 times more"})
    )
    return RunView(
        name="hopper-run-1",
        path=Path("runs/hopper-run-1"),
        status="finished",
        message="",
        config={
            "task": "hopper/run",
            "seed": 0,
            "search": {"generations": 3, "candidates": 6, "seeds": 2},
            "llm": {"model": "some-model", "base_url": "https://me:secret@models.example/v1", "prices": None},
        },
        task=TASK,
        author="some-model",
        versions={"rewardgen": "0.1.0", "torch": "2.13.0", "mujoco": "4.0.0", "python": "3.11.9"},
        created="2026-03-02T10:00:00+00:00",
        generations=tuple(generations),
        calls=tuple(calls),
        finals=(final("winner", 1.86, 0.22), final("expert", 1.62, 0.31), final("sparse", 0.7, 0.14)),
        winner="r0g2c1",
        cost=CostView(4, 0, 9120, 7560, 0.1098, 41_000_000, 930.0, 1104.0, False),
        events=tuple(events),
    )


def make_empty_run(status: str = "interrupted") -> RunView:
    """A run that was stopped before anything was written."""
    return RunView(
        "empty", Path("runs/empty"), status, "", {}, {}, "offline (no language model)", {}, "", (), (), (), None,
        CostView(0, 0, 0, 0, 0.0, 0, 0.0, 0.0, False), (),
    )  # fmt: skip


def make_degenerate_run() -> RunView:
    """All that can be missing or not finite, in one run that failed."""
    nan = math.nan
    point = Checkpoint(1000, nan, nan, nan, math.inf, {"a": nan, "_b$": 1e300, "c": 1.0}, {}, nan, {}, nan, 8)
    odd = TrainingResult("r0g0c0", 0, "done", "", (point,), None, 1000, 0.0)
    empty = TrainingResult("r0g0c1", 0, "done", "", (), None, 0, 0.0)
    failed = TrainingResult("r0g0c2", 0, "failed", "boom", (), None, 0, 0.0)
    source = "def compute_reward(s, a, n):\n    return 1\n"
    none = AttemptView(0, Reply("", "m", finish_reason="length"), None, (Problem("extract", "the reply is empty"),))
    some = AttemptView(0, reply(source), source, ())
    members = (
        CandidateView("r0g0c0", None, "trained", (some,), source, (odd,), nan, "", False),
        CandidateView("r0g0c1", "gone", "trained", (some,), source, (empty,), None, "", False),
        CandidateView("r0g0c2", "r0g0c2", "failed", (some,), source, (failed,), None, "", False),
        CandidateView("r0g0c3", "r0g0c0", "rejected", (none,), None, (), None, "", False),
        CandidateView("r0g0c4", None, "writing", (), None, (), None, "", False),
    )
    broken = Evaluation(((nan,), ()), nan, nan, nan, nan)
    huge = Evaluation(((1e300,),), 1e300, -math.inf, math.inf, 0.0)
    return RunView(
        name="degenerate",
        path=Path("runs/degenerate"),
        status="failed",
        message="every candidate failed",
        config={"training": {"steps": None}},
        task={"name": "odd/task", "fitness_unit": "1", "success_threshold": nan, "fields": ["plain text"]},
        author="offline",
        versions={},
        created="not a time",
        generations=(GenerationView(0, 0, (), members, False), GenerationView(1, 0, (), (), False)),
        calls=(CallView("k", "generation", (), (Reply("", "m"),), "", ""),),
        finals=(
            FinalView("winner", (odd,), broken),
            FinalView("expert", (failed,), huge),
            FinalView("sparse", (), None),
        ),
        winner="r0g0c9",
        cost=CostView(1, 1, 0, 0, 0.0, 10, 0.0, nan, True),
        events=(EventView("", "warning", {}),),
    )
