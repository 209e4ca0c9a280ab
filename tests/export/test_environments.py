"""Exported environments and policies, compared with rewardgen's own worlds from the same start states."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import onnxruntime
import pytest
import torch
from gymnasium.utils import seeding

from rewardgen.export import export
from rewardgen.program import check
from rewardgen.records import State
from rewardgen.sim import GymnasiumSim, MujocoSim
from rewardgen.sim.derived import keeps_current, keeps_post_constraint
from rewardgen.tasks import Task, Worlds, load_task, play_episodes
from tests.export.test_export import exported, policy_of, probe_program, probe_value, run_alone

EXAMPLE = Path(__file__).parents[1] / "tasks" / "example"

PLAY = """
import json
import numpy as np
from {module} import make

env = make()
env.action_space.seed(3)
rows, episode = [], []
observation, _ = env.reset(seed=3)
starts = [np.asarray(observation).tolist()]
for _ in range({steps}):
    action = env.action_space.sample()
    observation, reward, terminated, truncated, info = env.step(action)
    rows.append([np.asarray(action).tolist(), np.asarray(observation).tolist(), reward, terminated, truncated])
    assert set(info["reward_components"]) == {{"total"}}
    if terminated or truncated:
        break
print(json.dumps({{"start": starts[0], "rows": rows}}))
"""

TRAIN = """
import json
import warnings
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from {module} import make
from policy import Policy

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    check_env(make(), skip_render_check=True)
told = [str(each.message) for each in caught]
model = PPO("MlpPolicy", make(), n_steps=64, batch_size=32, n_epochs=2, device="cpu", seed=1).learn(256)
mean, _ = evaluate_policy(Policy(), make(), n_eval_episodes=1, warn=False)
env = make()
observation, _ = env.reset(seed=0)
action, _ = Policy().predict(observation)
assert env.action_space.contains(action), action
# What it says of the environment's own spaces, and of any wrapper
known = ("Box observation space m", "symmetric and normalized space", "has a wrapper applied",
         "different from the unwrapped version")
print(json.dumps([model.num_timesteps, mean, [text for text in told if not any(part in text for part in known)]]))
"""


def stream_of(seed: int) -> torch.Tensor:
    """The random stream that ``reset(seed=seed)`` of an exported environment draws."""
    return torch.tensor([int(seeding.np_random(seed)[0].integers(2**62))])


def compare(task: Task, played: dict[str, Any]) -> None:
    """Replay what an exported environment of a MuJoCo ``task`` did in rewardgen's own worlds."""
    worlds = Worlds(task, MujocoSim(task.model, 1, threads=1), stream_of(3))
    state = worlds.start().clone()
    assert played["start"] == task.observation(State(task.layout, state))[0].tolist()
    for number, (action, observation, reward, terminated, truncated) in enumerate(played["rows"]):
        applied = task.clip(torch.tensor([action]))
        step = worlds.step(applied)
        reached = step.next_matrix
        wanted = task.observation(State(task.layout, reached))[0].numpy()
        np.testing.assert_allclose(observation, wanted, rtol=1e-5, atol=1e-6, err_msg=f"step {number}")
        value = probe_value(task, state, applied.double().numpy(), reached)
        assert reward == pytest.approx(value, rel=1e-4, abs=1e-3), f"step {number}"
        assert [terminated, truncated] == [bool(step.terminated), bool(step.truncated)], f"step {number}"
        state = reached.clone()


def park() -> Task:
    return load_task("slider/park", [EXAMPLE])


def test_the_environment_of_a_task_of_ones_own_plays_a_whole_episode_as_rewardgen_does(tmp_path: Path) -> None:
    task = park()
    files = exported(task, tmp_path)
    assert files.environment is not None and files.model is not None and files.wrapper is None and not files.notes
    played = run_alone(tmp_path, PLAY.format(module="environment", steps=1000))
    assert len(played["rows"]) == task.horizon and played["rows"][-1][3:] == [False, True]
    compare(task, played)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dmc_finger/turn_easy", "ant/run", "hopper/run"])
def test_the_environment_of_a_mujoco_task_is_the_task(name: str, tmp_path: Path) -> None:
    task = load_task(name)
    exported(task, tmp_path)
    played = run_alone(tmp_path, PLAY.format(module="environment", steps=60))
    compare(task, played)
    # One with current positions, one with contact forces, one whose episode ends by a fall
    assert keeps_current(task.model) == (name == "dmc_finger/turn_easy")
    assert keeps_post_constraint(task.model) == (name == "ant/run")
    assert played["rows"][-1][3] or name != "hopper/run"


def test_the_policy_earns_in_the_environment_what_it_earns_in_rewardgen(tmp_path: Path) -> None:
    task = park()
    population, weights = policy_of(task)
    export(check(probe_program(task), task.layout), weights, task, tmp_path)
    earned = run_alone(
        tmp_path,
        """
        import json
        from environment import make
        from policy import Policy

        env, policy, returns = make(), Policy(), []
        for seed in range(4):
            observation, _ = env.reset(seed=seed)
            total, ended = 0.0, False
            while not ended:
                observation, reward, terminated, truncated, _ = env.step(policy.predict(observation)[0])
                total, ended = total + reward, terminated or truncated
            returns.append(total)
        print(json.dumps(returns))
        """,
    )
    streams = torch.cat([stream_of(seed) for seed in range(4)])
    episodes = play_episodes(task, MujocoSim(task.model, 4, threads=1), population.act, streams)
    for world, value in enumerate(earned):
        states, actions = episodes.states[:, world : world + 1], episodes.actions[:, world].double().numpy()
        wanted = sum(
            probe_value(task, states[t], actions[t], states[t + 1]) for t in range(int(episodes.length[world]))
        )
        assert value == pytest.approx(wanted, rel=1e-3)
    assert np.std(earned) > 1.0


HELPER = """
class Doubled:
    def __call__(self, value):
        return 2.0 * value

DOUBLED = Doubled()
"""


def test_a_task_whose_code_cannot_be_copied_is_loaded_by_rewardgen(tmp_path: Path) -> None:
    envs = tmp_path / "envs"
    envs.mkdir()
    text = (EXAMPLE / "my_tasks.py").read_text().replace("slider/park", "slider/again")
    text = text.replace("\nMODEL =", f"{HELPER}\nMODEL =", 1)
    text = text.replace(
        "torch.stack([state.position, state.velocity]", "torch.stack([DOUBLED(state.position), state.velocity]"
    )
    (envs / "again.py").write_text(text)
    task = load_task("slider/again", [envs])
    files = exported(task, tmp_path / "out")
    assert files.environment is not None and files.model is None
    assert "DOUBLED" in files.notes[0] and files.notes[0] in files.readme.read_text()
    sys.path.insert(0, str(files.folder))
    try:
        import environment  # type: ignore[import-not-found]

        env = environment.make(envs=[str(envs)])
        env.action_space.seed(3)
        start, _ = env.reset(seed=3)
        rows: list[list[Any]] = []
        while not (rows and any(rows[-1][3:])):
            action = env.action_space.sample()
            rows.append([action.tolist(), *env.step(action)[:4]])
    finally:
        sys.path.remove(str(files.folder))
        for name in ("environment", "reward"):
            sys.modules.pop(name, None)
    assert len(rows) == task.horizon
    compare(task, {"start": start.tolist(), "rows": rows})


PENDULUM = """
task: pendulum/swing
description: Swing up.
environment: {id: Pendulum-v1, arguments: {g: 9.0}}
fields:
  - {name: upright, from: "observation[0]", unit: "1", meaning: cosine}
  - {name: both, from: "observation[0:2]", unit: "1", meaning: cosine and sine}
success: {from: "observation[0]", at_least: 0.95}
fitness: {from: "observation[0]", over: mean, unit: "1", meaning: mean cosine, threshold: 0.5}
horizon: 50
"""

CARTPOLE = """
task: pole/stay
description: Keep the pole up.
environment: {id: CartPole-v1}
fields:
  - {name: angle, from: "observation[2]", unit: rad, meaning: angle of the pole}
success: {from: reward, at_least: 1}
fitness: {from: reward, over: sum, unit: steps, meaning: steps before it falls, threshold: 400}
horizon: 400
"""

MIXED = """
task: mixed/choose
description: Choose.
environment: {id: Mixed-v0, imports: [mixed]}
fields:
  - {name: place, from: "observation.place[0:2]", unit: m, meaning: place}
  - {name: told, from: info.told, unit: "1", meaning: what the step told}
success: {from: reward, at_least: 1}
fitness: {from: reward, over: sum, unit: "1", meaning: reward, threshold: 1}
horizon: 8
"""

MIXED_MODULE = '''
import gymnasium
import numpy as np
from gymnasium import spaces


class Mixed(gymnasium.Env):
    """Choices counted from 1 and 5, a dict of two kinds of observation, and an info that a reset does not give."""

    observation_space = spaces.Dict({"place": spaces.Box(-9, 9, (2,), np.float32), "kind": spaces.Discrete(3)})
    action_space = spaces.MultiDiscrete([2, 3], start=[1, 5])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.seen(0), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.place = np.clip(self.place + np.float32(0.1) * np.asarray(action, np.float32), -9, 9)
        return self.seen(int(action[1]) % 3), float(action[0]), False, False, {"told": float(action[1])}

    def seen(self, kind):
        return {"place": self.place, "kind": kind}


gymnasium.register("Mixed-v0", Mixed, max_episode_steps=20)
'''
DECLARED = {"pendulum/swing": PENDULUM, "pole/stay": CARTPOLE, "mixed/choose": MIXED}


def declared(name: str, folder: Path) -> Task:
    folder.mkdir()
    (folder / "task.yaml").write_text(DECLARED[name])
    if name == "mixed/choose":
        (folder / "mixed.py").write_text(MIXED_MODULE)
    return load_task(name, [folder])


def columns_of(task: Task, action: Any) -> torch.Tensor:
    """The environment's own ``action`` as a reward program reads it, by hand."""
    if not task.action_choices:
        return torch.tensor(np.clip([action], -2.0, 2.0), dtype=torch.float32)
    taken = np.atleast_1d(action) - (np.array([1, 5]) if task.name == "mixed/choose" else 0)
    return torch.tensor(
        [[float(option == index) for option, n in zip(taken, task.action_choices, strict=True) for index in range(n)]]
    )


def declared_value(task: Task, state: torch.Tensor, columns: torch.Tensor, next_state: torch.Tensor) -> float:
    """What ``declared_probe`` pays, by hand, from state matrices ``(1, width)``."""
    total = columns[0, 0].item() + 3.0 * columns[0, -1].item()
    for index, field in enumerate(task.layout.shown.fields):
        part = task.layout.columns[field.name]
        total += (0.5 + index) * state[0, part].double().sum().item()
        total += (1.25 + 2 * index) * next_state[0, part].double().sum().item()
    return total


def declared_probe(task: Task) -> str:
    """As ``probe_program``, of the fields that programs may read."""
    lines = ["def compute_reward(state, action, next_state):", "    total = action[:, 0] + 3.0 * action[:, -1]"]
    for index, field in enumerate(task.layout.shown.fields):
        for moment, weight in (("state", 0.5 + index), ("next_state", 1.25 + 2 * index)):
            term = f"{moment}.{field.name}"
            lines.append(f"    total = total + {weight} * {term + '.flatten(1).sum(-1)' if field.shape else term}")
    return "\n".join([*lines, '    return total, {"total": total}', ""])


@pytest.mark.slow
@pytest.mark.parametrize("name", DECLARED)
def test_the_wrapper_of_a_declared_environment_pays_what_rewardgen_pays(name: str, tmp_path: Path) -> None:
    task = declared(name, tmp_path / "envs")
    out = tmp_path / "out"
    files = export(check(declared_probe(task), task.layout), policy_of(task)[1], task, out)
    assert files.wrapper is not None and files.environment is None and not files.notes
    assert "environment_reward" not in (out / "reward.py").read_text()  # hidden fields stay hidden
    (out / "mixed.py").write_text(MIXED_MODULE)
    played = run_alone(out, PLAY.format(module="wrapper", steps=1000))

    sim = GymnasiumSim(task.model, 1)  # type: ignore[arg-type]
    try:
        sim.begin(torch.arange(1), torch.tensor([3]))
        state = task.layout.pack(task.state(sim), torch.empty(1, task.layout.width))
        np.testing.assert_allclose(played["start"], task.observation(State(task.layout, state))[0], rtol=1e-6)
        for number, (action, observation, reward, terminated, _) in enumerate(played["rows"]):
            columns = columns_of(task, action)
            sim.step(columns, 1)
            reached = task.layout.pack(task.state(sim), torch.empty(1, task.layout.width))
            np.testing.assert_allclose(observation, task.observation(State(task.layout, reached))[0], rtol=1e-5)
            assert reward == pytest.approx(declared_value(task, state, columns, reached), rel=1e-4, abs=1e-4), number
            assert terminated == bool(task.terminated(State(task.layout, reached))[0])
            state = reached
    finally:
        sim.close()
    assert len(played["rows"]) == task.horizon or played["rows"][-1][3]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["slider/park", "pendulum/swing", "pole/stay"])
def test_stable_baselines3_trains_in_what_is_exported(name: str, tmp_path: Path) -> None:
    task = park() if name == "slider/park" else declared(name, tmp_path / "envs")
    out = tmp_path / "out"
    module = "environment" if export(
        check(declared_probe(task), task.layout), policy_of(task)[1], task, out
    ).environment else "wrapper"  # fmt: skip
    (out / "mixed.py").write_text(MIXED_MODULE)
    steps, mean, told = run_alone(out, TRAIN.format(module=module))
    assert steps == 256 and np.isfinite(mean) and told == []


@pytest.mark.parametrize("name", ["hopper/run", *DECLARED])
def test_the_onnx_model_acts_as_the_policy_does(name: str, tmp_path: Path) -> None:
    task = load_task(name) if name == "hopper/run" else declared(name, tmp_path / "envs")
    population, weights = policy_of(task)
    files = export(check(declared_probe(task), task.layout), weights, task, tmp_path / "out")
    assert files.onnx is not None
    session = onnxruntime.InferenceSession(str(files.onnx), providers=["CPUExecutionProvider"])
    observations = 4.0 * torch.randn(200, task.observation_size, generator=torch.Generator().manual_seed(0))
    observations[0] = 1e4  # beyond the clipping
    (acted,) = session.run(None, {"observation": observations.numpy()})
    wanted = population.act(observations)
    if not task.action_choices:
        np.testing.assert_allclose(acted, wanted.numpy(), rtol=1e-4, atol=1e-4)
        assert acted.dtype == np.float32 and acted.std() > 0.1
        return
    # The number of the option taken, one for each component, in the environment's own counting
    taken = torch.stack([part.argmax(-1) for part in wanted.split(list(task.action_choices), -1)], -1).numpy()
    shown = taken + np.array([1, 5]) if name == "mixed/choose" else taken[:, 0]
    assert acted.dtype == np.int64 and np.array_equal(acted, shown) and len(np.unique(acted)) > 1
    space = gymnasium.make("CartPole-v1").action_space if name == "pole/stay" else None
    assert space is None or space.contains(acted[0])


def test_without_onnx_everything_else_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    files = exported(park(), tmp_path)
    assert files.onnx is None and files.policy is not None
    assert files.notes == (
        "There is no policy.onnx: ONNX models need the package onnx: pip install 'rewardgen[onnx]'.",
    )
