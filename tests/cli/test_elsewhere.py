"""Where there is neither fork nor what else only Unix has, as on Windows, everything works, the sandbox being basic."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.elsewhere import elsewhere


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return elsewhere(f"from rewardgen.cli import main\nmain({list(arguments)!r})")


@pytest.mark.slow
def test_tasks_and_prompts_are_shown() -> None:
    listed = command("tasks", "--json")
    assert listed.returncode == 0 and "cartpole/swingup" in listed.stdout, listed.stderr
    asked = command("prompt", "cartpole/swingup")
    assert asked.returncode == 0 and "compute_reward" in asked.stdout, asked.stderr


@pytest.mark.slow
def test_doctor_says_what_is_missing() -> None:
    done = command("doctor", "--json")
    assert done.returncode in (0, 1), done.stderr  # whether pictures can be drawn is a matter of this machine
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["checks"]}
    assert findings["sandbox"]["level"] == findings["tasks"]["level"] == findings["physics"]["level"] == "ok"
    assert findings["confinement"]["level"] == "note"
    assert "only basic is possible; in force: none" in findings["confinement"]["found"]


IMPORTS = """
import importlib, pkgutil, types
import rewardgen

names = [module.name for module in pkgutil.walk_packages(rewardgen.__path__, "rewardgen.")]
names = [name for name in names if not name.endswith("__main__")]
for name in names:
    importlib.import_module(name)

# once more, under the name of Windows: what they need of other packages is loaded by now. Its library is only named
# when a module is read, and called by nothing here
for name in [name for name in sys.modules if name.partition(".")[0] == "rewardgen"]:
    del sys.modules[name]
library = ("CreateJobObjectW SetInformationJobObject AssignProcessToJobObject TerminateJobObject CloseHandle "
           "GetCurrentProcess K32GetProcessMemoryInfo").split()
ctypes.WinDLL = lambda name, use_last_error: types.SimpleNamespace(
    **{function: types.SimpleNamespace() for function in library}
)
sys.platform = "win32"
for name in names:
    importlib.import_module(name)
from rewardgen.sandbox import Sandbox, spawn, windows
assert Sandbox()._way is spawn.Spawner and Sandbox().level == "basic" and windows.JobObject
print(len(names))
"""


@pytest.mark.slow
def test_every_module_can_be_imported() -> None:
    done = elsewhere(IMPORTS, "ray", "mcp.server")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


@pytest.mark.slow
def test_a_training_is_labelled(tmp_path: Path) -> None:
    reward = tmp_path / "reward.py"
    reward.write_text(
        "def compute_reward(state, action, next_state):\n"
        '    """Pay for being on the right."""\n'
        "    up = next_state.fingertip_position[:, 0]\n"
        '    return up, {"up": up}\n'
    )
    small = ["--set", "training.worlds=8", "--set", "training.rollout=64", "--set", "training.checkpoints=2"]
    done = command("train", "reacher/reach", "--reward", str(reward), "--steps", "1024", *small, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (training,) = json.loads(done.stdout)["trainings"]
    assert training["status"] == "done" and training["curve"]
    assert "the sandbox is basic" in done.stderr
