"""What is exported works where rewardgen is not: in processes of its own, in which importing rewardgen is an error."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from rewardgen.config import TrainingConfig
from rewardgen.errors import ProgramRejected, RewardgenError
from rewardgen.export import Exported, export
from rewardgen.program import check
from rewardgen.sim import MujocoSim
from rewardgen.tasks import Task, load_task
from rewardgen.training import Population
from tests.ours import MATCHED
from tests.sampling import few

FORBID = """
import sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rewardgen":
            raise AssertionError(f"the export imports {name}")

sys.meta_path.insert(0, Forbid())
"""


def run_alone(folder: Path, code: str) -> Any:
    """Run ``code`` in ``folder`` where rewardgen cannot be imported; what it prints last is JSON."""
    script = FORBID + "sys.path.insert(0, '.')\n" + textwrap.dedent(code)
    script += "\nassert not any(name.partition('.')[0] == 'rewardgen' for name in sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def probe_program(task: Task) -> str:
    """A reward that reads every field of both states, each with a weight of its own, and the action."""
    lines = ["def compute_reward(state, action, next_state):", "    total = action.sum(-1) * 0.125"]
    for index, field in enumerate(task.fields):
        for moment, weight in (("state", 0.5 + index), ("next_state", 1.25 + 2 * index)):
            term = f"{moment}.{field.name}"
            lines.append(f"    total = total + {weight} * {term + '.flatten(1).sum(-1)' if field.shape else term}")
    return "\n".join([*lines, '    return total, {"total": total}', ""])


def probe_value(task: Task, state: torch.Tensor, action: np.ndarray, next_state: torch.Tensor) -> float:
    """The same by hand, from our state matrices ``(1, width)``."""
    total = 0.125 * float(np.sum(action))
    for index, field in enumerate(task.fields):
        columns = task.layout.columns[field.name]
        total += (0.5 + index) * state[0, columns].double().sum().item()
        total += (1.25 + 2 * index) * next_state[0, columns].double().sum().item()
    return total


def policy_of(task: Task) -> tuple[Population, bytes]:
    generator = torch.Generator().manual_seed(5)
    population = Population.fresh(task, TrainingConfig(hidden=(16, 8)), [generator])
    population.parameters.flat.add_(0.3 * torch.randn(population.parameters.flat.shape, generator=generator))
    population.scale.update(3.0 * torch.randn(1, 64, task.observation_size, generator=generator) + 1.0)
    return population, population.weights(0)


def exported(task: Task, folder: Path, source: str | None = None) -> Exported:
    program = check(source or probe_program(task), task.layout)
    return export(program, policy_of(task)[1], task, folder)


PLAY = """
import json
import numpy as np
from wrapper import make

env = make()
env.action_space.seed(3)
rows, resets = [], []
env.reset(seed=3)
data = env.unwrapped.data
resets.append([0, data.qpos.tolist(), data.qvel.tolist()])
for number in range(60):
    action = 1.3 * env.action_space.sample()  # beyond the range now and then
    _, reward, terminated, truncated, info = env.step(action)
    rows.append([np.asarray(action, dtype=float).tolist(), reward, bool(terminated or truncated)])
    assert np.isfinite(info["environment_reward"]) and set(info["reward_components"]) == {"total"}
    if terminated or truncated:
        env.reset()
        resets.append([number + 1, data.qpos.tolist(), data.qvel.tolist()])
print(json.dumps({"rows": rows, "resets": resets}))
"""


@pytest.mark.parametrize("name", few(MATCHED))
def test_the_wrapper_rewards_what_our_own_simulation_rewards(name: str, tmp_path: Path) -> None:
    task = load_task(name)
    files = exported(task, tmp_path)
    assert files.wrapper is not None, files.notes
    played = run_alone(tmp_path, PLAY)

    sim, every = MujocoSim(task.model, 1, threads=1), torch.arange(1)
    task.state(sim)  # asks for the fields, so that the first forward computes them
    starts = {step: (qpos, qvel) for step, qpos, qvel in played["resets"]}

    def read() -> torch.Tensor:
        return task.layout.pack(task.state(sim), torch.empty(1, task.layout.width))

    for number, (action, reward, _) in enumerate(played["rows"]):
        if number in starts:
            sim.reset(every)
            sim.field("qpos")[0] = torch.tensor(starts[number][0], dtype=torch.float64)
            sim.field("qvel")[0] = torch.tensor(starts[number][1], dtype=torch.float64)
            sim.forward(every)
            state = read()
        applied = task.clip(torch.tensor([action], dtype=torch.float32))
        sim.step(applied, task.frame_skip)
        reached = read()
        wanted = probe_value(task, state, applied.double().numpy(), reached)
        assert reward == pytest.approx(wanted, rel=1e-4, abs=1e-3), f"step {number}"
        state = reached


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cheetah/run", "reacher/reach"])
def test_stable_baselines3_trains_with_the_wrapper(name: str, tmp_path: Path) -> None:
    task = load_task(name)
    exported(task, tmp_path)
    trained = run_alone(
        tmp_path,
        """
        import json
        from stable_baselines3 import PPO
        from stable_baselines3.common.evaluation import evaluate_policy
        from wrapper import make
        from policy import Policy

        model = PPO("MlpPolicy", make(), n_steps=64, batch_size=32, n_epochs=2, device="cpu", seed=1).learn(192)
        mean, _ = evaluate_policy(Policy(), make(max_episode_steps=20), n_eval_episodes=1, warn=False)
        print(json.dumps([model.num_timesteps, float(mean)]))
        """,
    )
    assert trained[0] == 192
    assert np.isfinite(trained[1])


@pytest.mark.slow
def test_the_policy_acts_as_it_did_in_training(tmp_path: Path) -> None:
    task = load_task("hopper/run")
    population, weights = policy_of(task)
    export(check(probe_program(task), task.layout), weights, task, tmp_path)
    observations = 4.0 * torch.randn(50, task.observation_size, generator=torch.Generator().manual_seed(0))
    acted = run_alone(
        tmp_path,
        f"""
        import json
        from policy import Policy
        print(json.dumps(Policy().act({observations.tolist()}).tolist()))
        """,
    )
    wanted = population.act(observations)
    assert wanted.std() > 0.1
    torch.testing.assert_close(torch.tensor(acted), wanted, atol=1e-4, rtol=1e-4)


def test_the_reward_needs_torch_alone_and_carries_the_shaping_that_it_uses(tmp_path: Path) -> None:
    task = load_task("cheetah/run")
    source = textwrap.dedent('''
        """Run, but not too fast."""
        LIMIT = 2.0


        def compute_reward(state, action, next_state):
            pace = tolerance(next_state.torso_velocity[:, 0], LIMIT, LIMIT, margin=1.0, value_at_margin=0.1)
            turn = wrap_angle(next_state.torso_pitch)
            return pace - turn.abs(), {"pace": pace, "turn": -turn.abs()}
        ''')
    exported(task, tmp_path, source)
    text = (tmp_path / "reward.py").read_text()
    assert "def tolerance" in text
    assert "def quat_rotate" not in text
    found = run_alone(
        tmp_path,
        """
        import json
        for name in ("gymnasium", "mujoco", "safetensors", "stable_baselines3"):
            sys.modules[name] = None  # importing it fails
        import torch
        from reward import State, compute_reward
        now = State(torso_velocity=torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torso_pitch=torch.tensor([0.0, 0.0]))
        later = State(torso_velocity=torch.tensor([[2.0, 0.0], [3.0, 0.0]]), torso_pitch=torch.tensor([7.0, 0.0]))
        total, parts = compute_reward(now, torch.zeros(2, 6), later)
        print(json.dumps([total.tolist(), sorted(parts), len(later)]))
        """,
    )
    # at the limit the tolerance is 1, one margin off it 0.1; an angle of 7 is 7 - 2 pi
    assert found[0] == pytest.approx([1.0 - (7.0 - 2.0 * np.pi), 0.1], abs=1e-5)
    assert found[1:] == [["pace", "turn"], 2]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hopper/run", "reacher/reach"])
def test_gymnasiums_own_check_accepts_the_wrapper(name: str, tmp_path: Path) -> None:
    exported(load_task(name), tmp_path)
    code = """
        import json
        import warnings
        import gymnasium
        from gymnasium.utils.env_checker import check_env
        from wrapper import ENVIRONMENT, make

        def told(environment):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                check_env(environment, skip_render_check=True)
            return {str(each.message) for each in caught if "has a wrapper applied" not in str(each.message)}

        print(json.dumps(sorted(told(make()) - told(gymnasium.make(ENVIRONMENT)))))
    """
    assert run_alone(tmp_path, code) == []


def shaped_program(field: str) -> str:
    """A reward that calls every shaping function, those that refuse some arguments among them."""
    calls = [
        "above(x, 0.1, 0.2)", "below(x, 0.1, 0.2)", "exponential(x, 0.5)", "gaussian(x, 0.5)", "distance(q, q)",
        "squared_norm(q)", "wrap_angle(x)", "angle_difference(x, x)", "tolerance(x, 0.0, 1.0, 0.5)",
        "proximity(x, 0.5)", "quat_angle(q, q)", "quat_upright(q)", "heading(q)", "quat_conjugate(q)[..., 0]",
        "quat_multiply(q, q)[..., 0]", "quat_rotate(q, q[..., 1:])[..., 0]",
        "quat_rotate_inverse(q, q[..., 1:])[..., 0]",
    ]  # fmt: skip
    lines = ["def compute_reward(state, action, next_state):", f"    x = next_state.{field}"]
    lines += ["    q = torch.stack([x, 1.0 - x, x, x], dim=-1)", f"    total = {' + '.join(calls)}"]
    return "\n".join([*lines, '    return total, {"total": total}', ""])


def test_an_exported_reward_is_a_reward_again(tmp_path: Path) -> None:
    task = load_task("hopper/run")
    field = next(field.name for field in task.fields if not field.shape)
    program = check(shaped_program(field), task.layout)
    reward = export(program, None, task, tmp_path).reward
    again = check(reward.read_text(), task.layout)
    assert ast.dump(ast.parse(again.source).body[-1]) == ast.dump(ast.parse(program.source).body[-1])
    assert {type(node) for node in ast.parse(again.source).body[:-1]} <= {ast.Import, ast.ImportFrom}
    exported_twice = export(again, None, task, tmp_path / "again").reward
    assert exported_twice.read_text() == reward.read_text()
    # A class of one's own is still refused.
    reward.write_text(reward.read_text().replace("self.__dict__.update(fields)", "self.__dict__.update(fields, x=1)"))
    with pytest.raises(ProgramRejected, match="classes are not available"):
        check(reward.read_text(), task.layout)


def test_a_task_of_no_gymnasium_environment_gets_an_environment_of_its_own(tmp_path: Path) -> None:
    task = load_task("cartpole/swingup")
    files = exported(task, tmp_path)
    assert files.wrapper is None and files.environment is not None and not files.notes
    readme = (tmp_path / "README.md").read_text()
    assert "from environment import make" in readme and "`wrapper.py`" not in readme
    assert sorted(path.name for path in files.files) == sorted(path.name for path in tmp_path.iterdir())


def test_every_exported_file_is_python_and_tells_of_all_fields(tmp_path: Path) -> None:
    task = load_task("ant/run")
    exported(task, tmp_path)
    for path in tmp_path.glob("*.py"):
        ast.parse(path.read_text())
    readme = (tmp_path / "README.md").read_text()
    assert all(f"`{field.name}`" in readme for field in task.fields)
    assert gymnasium.spec(task.gymnasium_id or "") is not None


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RewardgenError, match="cannot write to"):
        exported(load_task("cheetah/run"), tmp_path / "file" / "export")
