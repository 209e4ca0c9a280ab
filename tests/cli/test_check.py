"""``rewardgen check`` and ``train`` on what is accepted but odd, and on the product's own export."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewardgen.export import export
from rewardgen.program import check
from rewardgen.tasks import load_task
from tests.cli.commands import rewardgen

SUM = """
def compute_reward(state, action, next_state):
    up = tolerance(next_state.pole_upright, 0.9, 1.0, 0.5).clone()
    total = up
    middle = -0.1 * next_state.cart_position.abs()
    total += middle
    return total, {"up": up, "middle": middle}
"""
QUICK = (
    "--steps", 256, "--threads", 1, "--set", "training.worlds=8", "--set", "training.rollout=16",
    "--set", "training.checkpoints=1", "--set", "training.checkpoint_episodes=2", "--set", "training.score_episodes=2",
    "--set", "training.minibatches=1",
)  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "adds_up"),
    [
        ("", "", True),  # += on a name is made anew: ``up`` stays as it was
        ("total += middle", "total[:] = total + middle", False),  # ``up`` is the total's memory
        ("return total", "return total + 1.0", False),
        ("return total", "return total + 1e-6", True),
    ],
)
def test_components_that_do_not_add_up_are_told(tmp_path: Path, old: str, new: str, adds_up: bool) -> None:
    reward = tmp_path / "reward.py"
    reward.write_text(SUM.replace(old, new) if old else SUM)
    done = rewardgen("check", reward, "--task", "cartpole/swingup", "--json")
    assert done.code == 0 and done.json["accepted"]
    assert bool(done.json["warnings"]) is not adds_up
    assert all("the components do not add up to the total" in warning for warning in done.json["warnings"])


def test_check_and_train_accept_an_export(tmp_path: Path) -> None:
    task = load_task("cartpole/swingup")
    program = check(SUM, task.layout)
    reward = export(program, None, task, tmp_path / "export").reward
    checked = rewardgen("check", reward, "--task", "cartpole/swingup")
    assert (checked.code, checked.err) == (0, "") and "warning" not in checked.out
    trained, plain = (
        rewardgen("train", "cartpole/swingup", "--reward", file, *QUICK, "--json").json["trainings"][0]["curve"]
        for file in (reward, _written(tmp_path / "reward.py"))
    )
    assert trained == plain


def _written(path: Path) -> Path:
    path.write_text(SUM)
    return path


def test_train_tells_of_episodes_that_diverged(tmp_path: Path) -> None:
    example = Path(__file__).parents[1] / "tasks" / "example" / "my_tasks.py"
    text = example.read_text().replace("slider/park", "slider/blown")
    (tmp_path / "blown.py").write_text(text.replace('gear="5"', 'gear="1e13"'))
    done = rewardgen("train", "slider/blown", "--envs", tmp_path, *QUICK)
    assert done.code == 0
    assert "warning: 2 of 2 episodes at the checkpoints ended because the simulation diverged" in done.err
    as_json = rewardgen("train", "slider/blown", "--envs", tmp_path, *QUICK, "--json").json
    assert as_json["episodes_diverged"] == 2
    assert as_json["trainings"][0]["curve"][0]["causes"] == {"simulation diverged": 1.0}
    sound = rewardgen("train", "slider/park", "--envs", example.parent, *QUICK)
    assert sound.code == 0 and "diverged" not in sound.out + sound.err
