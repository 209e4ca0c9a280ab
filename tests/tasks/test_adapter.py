"""Tasks on other people's environments, by the documentation's own example."""

from __future__ import annotations

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from rewardgen import config, search
from rewardgen.errors import MissingPackage, RewardFailed, TaskError
from rewardgen.program import check
from rewardgen.prompting import render_prompt
from rewardgen.records import RewardProgram, State
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.sim import make_simulator
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


def test_meta_worlds_tasks_say_how_their_python_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REWARDGEN_CACHE", str(tmp_path))
    assert sum(name.startswith("metaworld/") for name in task_names()) == 10
    with pytest.raises(MissingPackage, match="rewardgen prepare metaworld/push"):
        load_task("metaworld/push")
