"""The built wheel in an environment of its own, far from the checkout: it has everything, and the command works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path, **environ: str) -> str:
    """Standard output of a command that must succeed; nothing of this environment leaks into it but the system's."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "REWARDGEN"))
    }
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, env={**kept, **environ}
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it. What the wheel depends on is lent by the environment that runs the
    tests (downloading torch once more would tell nothing new), after the wheel in the search path."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
        wheel,
        cwd=folder,
    )
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # only the folder, not what is in it: the .pth file of an editable installation there is not followed
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n" + sysconfig.get_path("platlib") + "\n")
    return folder


def test_the_wheel_holds_tasks_prompts_and_templates(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {f"rewardgen/_data/envs/{path.relative_to(ROOT / 'envs')}" for path in (ROOT / "envs").rglob("*.py")}
    for pattern in ("*.xml", "*.yaml"):
        wanted |= {f"rewardgen/_data/envs/{path.relative_to(ROOT / 'envs')}" for path in (ROOT / "envs").rglob(pattern)}
    wanted |= {f"rewardgen/_data/prompts/{path.name}" for path in (ROOT / "prompts").glob("*.j2")}
    for pattern in ("*.py", "*.j2", "*.yaml", "py.typed"):
        wanted |= {str(path.relative_to(ROOT)) for path in (ROOT / "rewardgen").rglob(pattern)}
    assert wanted
    assert not wanted - names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


def test_the_command_runs_from_the_wheel_alone(environment: Path, tmp_path: Path) -> None:
    python, command = environment / "bin" / "python", environment / "bin" / "rewardgen"
    where = run(python, "-c", "import rewardgen; print(rewardgen.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(environment)
    tasks = json.loads(run(command, "tasks", "--json", cwd=tmp_path))["tasks"]
    ours = {path.stem for pattern in ("[a-z]*.py", "*.yaml") for path in (ROOT / "envs").glob(pattern)}
    assert {task["name"].split("/")[0] for task in tasks} == ours
    for task in ("cheetah/run", "cartpole/swingup"):  # the second has assets of its own
        assert "compute_reward" in run(command, "prompt", task, cwd=tmp_path)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run(command, "--version", cwd=tmp_path).split() == ["rewardgen", version]


def test_a_search_runs_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    command = [environment / "bin" / "rewardgen", "run", "hopper/run", "--generations", 1, "--candidates", 2]
    command += ["--steps", 512, "--report-seeds", 1, "--llm", "offline", "--name", "first", "--json"]
    for setting in (
        "training.worlds=8",
        "training.rollout=16",
        "training.checkpoints=1",
        "training.checkpoint_episodes=1",
        "training.score_episodes=1",
    ):
        command += ["--set", setting]
    command += ["--set", "evaluation.report_episodes=1", "--set", "evaluation.resamples=100"]
    document = json.loads(run(*command, cwd=tmp_path))
    assert document["status"] == "finished"
    assert document["problems"] == []
    for path in (document["report"], document["export"]["wrapper"], document["export"]["policy"]):
        assert (tmp_path / path).is_file()
