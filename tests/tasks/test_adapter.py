"""Tasks on other people's environments, by the documentation's own example."""

from __future__ import annotations

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from rewardgen import config, search
from rewardgen.errors import MissingPackage, RewardFailed, SimulationFailed, TaskError
from rewardgen.program import check
from rewardgen.prompting import render_prompt
from rewardgen.records import RewardProgram, State
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.sim import EnvironmentSpec, GymnasiumSim, make_simulator
from rewardgen.tasks import Task, Worlds, load_task, play_episodes, task_names

PAGE = Path(__file__).parents[2] / "docs" / "environments.md"
SECRETS = ("environment_reward", "environment_success", "environment_measure")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's first example in it."""
    example = re.search(r"```yaml\n(# upright.yaml\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert example is not None
    (tmp_path / "upright.yaml").write_text(example[1])
    return tmp_path


@pytest.fixture
def task(folder: Path) -> Task:
    return load_task("upright/swing", [folder])


def test_episodes_are_the_environments_own(task: Task) -> None:
    sim = make_simulator(task.model, 2, threads=2)

    def act(observation: torch.Tensor) -> torch.Tensor:  # pumps energy in, then brakes
        return (2.0 * observation[:, 2:3].sign()).clamp(-2, 2)

    played = play_episodes(task, sim, act, torch.tensor([3, 4]))
    reference = gymnasium.make("Pendulum-v1", g=9.81)
    for world in range(2):
        start = played.states[0, world, :3].numpy()
        reference.reset(seed=0)
        reference.unwrapped.state = np.array([np.arctan2(start[1], start[0]), start[2]])  # type: ignore[attr-defined]
        seen, rewards = [], []
        for action in played.actions[:, world].numpy():
            observation, reward, _, _, _ = reference.step(action)
            seen.append(observation)
            rewards.append(reward)
        assert np.allclose(played.states[1:, world, :3].numpy(), np.stack(seen), atol=1e-2)
        assert float(task.fitness(played)[world]) == pytest.approx(float(np.stack(seen)[:, 0].mean()), abs=1e-3)
        states = State(task.layout, played.states[:, world])
        paid, _ = task.expert_reward(states, played.actions[:, world], State(task.layout, played.states[1:, world]))
        assert np.allclose(paid.numpy(), rewards, atol=1e-2)
    assert played.length.tolist() == [200, 200] and not played.terminated.any()


def test_start_states_follow_from_the_world_alone(task: Task) -> None:
    first = Worlds(task, make_simulator(task.model, 3, threads=1), torch.tensor([7, 8, 9])).start().clone()
    second = Worlds(task, make_simulator(task.model, 2, threads=2), torch.tensor([9, 7])).start()
    assert torch.equal(first[[2, 0]], second) and not torch.equal(first[0], first[1])


def test_neither_prompt_nor_reward_gets_what_is_hidden(task: Task) -> None:
    text = render_prompt(task)
    assert "angular_velocity" in text and not [secret for secret in SECRETS if secret in text]
    source = "def compute_reward(state, action, next_state):\n    return next_state.environment_reward, {}\n"
    with pytest.raises(Exception, match="environment_reward"):
        check(source, task.layout)
    states, actions = torch.rand(4, task.layout.width), torch.rand(4, 1)
    with Sandbox(SandboxLimits(10, 60, 4.0)) as sandbox:
        with sandbox.open(RewardProgram(source), task.layout, 1, 4) as worker:  # past the check: it is not there
            worker.submit(states, actions, states)
            with pytest.raises(RewardFailed, match="environment_reward"):
                worker.result()
        fair = "def compute_reward(state, action, next_state):\n    return next_state.upright * 2.0, {}\n"
        with sandbox.open(check(fair, task.layout), task.layout, 1, 4) as worker:
            worker.submit(states, actions, states)
            assert torch.equal(worker.result().reward, states[:, 0] * 2.0)


@pytest.mark.slow
def test_a_search_on_an_environment_ends_with_a_winner(folder: Path, tmp_path: Path) -> None:
    settings = config.load(
        overrides={
            "task": "upright/swing",
            "llm.model": "offline",
            "search.generations": 1,
            "search.candidates": 2,
            "training.steps": 1600,
            "training.worlds": 4,
            "training.rollout": 100,
            "training.checkpoints": 2,
            "training.checkpoint_episodes": 2,
            "training.score_episodes": 2,
            "evaluation.report_seeds": 1,
            "evaluation.report_episodes": 2,
        }
    )
    view = search.run(settings, tmp_path / "runs" / "run", envs=[folder])
    assert view.status == "finished" and view.winner is not None
    assert all(final.evaluation is not None and -1 <= final.evaluation.mean <= 1 for final in view.finals)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("horizon: 200", "horizon: 300"), "after 200 steps; set horizon"),
        (('"observation[2]"', '"observation[9]"'), "observation"),
        (('"observation[2]"', '"velocity"'), "is no source"),
        (("over: mean", "over: median"), "fitness.over"),
        (("unit: rad/s", "units: rad/s"), "units"),
        (("id: Pendulum-v1", "id: Pendulum-v77"), "Pendulum"),
        (("  id: Pendulum-v1", "  id: Pendulum-v1\n  python: no/such/python"), "no interpreter"),
    ],
)
def test_a_wrong_declaration_is_named(folder: Path, change: tuple[str, str], says: str) -> None:
    file = folder / "upright.yaml"
    file.write_text(file.read_text().replace(*change))
    with pytest.raises(TaskError, match=says):
        load_task("upright/swing", [folder])


SPRING = """
import gymnasium, numpy as np

class Spring(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {"near": True}

    def step(self, action):
        reward = 0.0
        return np.zeros(2, np.float32), reward, False, False, {"near": True}

gymnasium.register("Spring-v0", entry_point=Spring)
"""
SPRING_TASK = """
task: spring/rest
description: Rest.
environment: {id: Spring-v0, imports: [springs]}
fields: [{name: place, from: "observation[0]", unit: m, meaning: place}]
success: {from: info.near}
fitness: {from: info.near, over: mean, unit: "1", meaning: share, threshold: 0.5}
horizon: 50
"""
RESET, STEP = "def reset(", "def step("


@pytest.mark.parametrize(
    ("old", "new", "method", "says"),
    [
        ("return np.zeros(2, np.float32), reward", "return np.zeros(2, np.float32), np.array([reward])", STEP,
         "step() gives an array of shape (1,) as the reward; a single number is expected"),
        ("reward = 0.0", "reward = None", STEP, "step() gives NoneType None as the reward"),
        ("reward, False, False,", "reward, False,", STEP, "step() gives 4 values; Gymnasium's gives (observation, rew"),
        ("reset(self, *, seed=None, options=None)", "reset(self)", RESET, "reset() takes no seed; Gymnasium's is"),
        ('return np.zeros(2, np.float32), {"near": True}\n\n', "return np.zeros(2, np.float32)\n\n", RESET,
         "reset() gives an array of shape (2,); Gymnasium's gives (observation, info)"),
        ('return np.zeros(2, np.float32), {"near": True}\n\n', 'return np.zeros(1), {"near": True}\n\n', RESET,
         "reset() gives an array of shape (1,) as the observation; its space is Box("),
        ('False, False, {"near": True}', 'False, False, {"near": "yes"}', STEP,
         "step() gives info.near as what is no number (could not convert string to float: 'yes')"),
        ("reward = 0.0", "reward = 1 / 0", "1 / 0", "step() failed: ZeroDivisionError: division by zero"),
        ("Box(-1, 1, (1,)", "Box(-np.inf, 1, (1,)", None, "the range of column 0, -inf to 1, must have two"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_environment_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, method: str | None, says: str
) -> None:
    assert old in SPRING
    (tmp_path / "springs.py").write_text(SPRING.replace(old, new))
    (tmp_path / "springs.yaml").write_text(SPRING_TASK)
    with pytest.raises(TaskError) as caught:
        load_task("spring/rest", [tmp_path])
    told = str(caught.value)
    assert told.startswith(f"{(tmp_path / 'springs.yaml').resolve()}:") and says in told
    if method is not None:
        lines = (tmp_path / "springs.py").read_text().splitlines()
        line = next(number for number, text in enumerate(lines, 1) if method in text)
        assert told.endswith(f"({(tmp_path / 'springs.py').resolve()}, line {line})")


@pytest.mark.parametrize(
    ("hanging", "says"),
    [
        ("import time; time.sleep(3600)", "step() has not come back after 0.2 s ({file}, line {line}); correct it"),
        # native code that keeps the interpreter to itself: only the other process can end that
        ("import ctypes; ctypes.PyDLL(None).sleep(3600)", "has not answered for 0.4 s and was ended"),
    ],
)
def test_a_step_that_hangs_ends_with_its_place(tmp_path: Path, hanging: str, says: str) -> None:
    source = SPRING.replace("reward = 0.0", f"reward = 0.0; {hanging}")
    (tmp_path / "springs.py").write_text(source)
    (tmp_path / "springs.yaml").write_text(SPRING_TASK)
    spec = EnvironmentSpec("Spring-v0", imports=("springs",), folder=str(tmp_path), step_seconds=0.2)
    sim = GymnasiumSim(spec, 2)
    try:
        sim.begin(torch.arange(2), torch.arange(2))
        if "ctypes" in hanging:
            sim._workers[0]._deadline.seconds = 0.4  # without what a process has to start
        with pytest.raises(SimulationFailed) as caught:
            sim.step(torch.zeros(2, 1), 1)
    finally:
        sim.close()
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "3600" in text)
    assert says.format(file=tmp_path / "springs.py", line=line) in str(caught.value)


def test_an_unbounded_action_takes_the_stated_range(tmp_path: Path) -> None:
    (tmp_path / "springs.py").write_text(SPRING.replace("Box(-1, 1, (1,)", "Box(np.array([-np.inf, -1]), 3, (2,)"))
    stated = SPRING_TASK.replace("imports: [springs]", "imports: [springs], action_range: [-5, 7]")
    (tmp_path / "springs.yaml").write_text(stated)
    task = load_task("spring/rest", [tmp_path])
    assert task.action_low.tolist() == [-5, -1] and task.action_high.tolist() == [3, 3]


def test_actions_are_named_in_the_declaration(tmp_path: Path) -> None:
    (tmp_path / "springs.py").write_text(SPRING)
    named = SPRING_TASK.replace("imports: [springs]", "imports: [springs], action_names: [push to the right]")
    (tmp_path / "springs.yaml").write_text(named)
    assert load_task("spring/rest", [tmp_path]).action_names == ("push to the right",)
    (tmp_path / "springs.yaml").write_text(named.replace("[push to the right]", "[left, right]"))
    with pytest.raises(TaskError, match="has 1 action columns, and environment.action_names names 2"):
        load_task("spring/rest", [tmp_path])


def test_an_info_key_that_no_step_has_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "springs.py").write_text(SPRING)
    (tmp_path / "springs.yaml").write_text(SPRING_TASK)
    load_task("spring/rest", [tmp_path])
    assert not caplog.records
    (tmp_path / "springs.yaml").write_text(SPRING_TASK.replace("from: info.near", "from: info.naer"))
    load_task("spring/rest", [tmp_path])
    (record,) = caplog.records
    assert "no step of the trial had info.naer, which therefore reads as 0" in record.getMessage()


def test_meta_worlds_tasks_say_how_their_python_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REWARDGEN_CACHE", str(tmp_path))
    assert sum(name.startswith("metaworld/") for name in task_names()) == 10
    with pytest.raises(MissingPackage, match="rewardgen prepare metaworld/push"):
        load_task("metaworld/push")
