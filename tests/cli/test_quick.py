"""Commands that look something up load neither torch nor MuJoCo, and still say what the files say now."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rewardgen.config import Config
from tests.cli.commands import rewardgen, small_search
from tests.cli.test_conventions import settings as declared_settings

EXAMPLE = Path(__file__).parents[1] / "tasks" / "example"
HEAVY = ("gymnasium", "matplotlib", "mujoco", "openai", "scipy.stats", "stable_baselines3", "torch")
# Runs a command and then prints, as the last line, which of the heavy modules it has loaded.
_WATCHED = f"""
import sys
from rewardgen.cli import main
try:
    main()
finally:
    print("loaded", *[name for name in {HEAVY!r} if name in sys.modules])
"""


def watched(cache: Path, *arguments: object) -> tuple[str, list[str]]:
    """What a command prints in a process of its own, and which heavy modules it loads."""
    command = [sys.executable, "-c", _WATCHED, *map(str, arguments)]
    environment = {**os.environ, "REWARDGEN_CACHE": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    said, _, last = done.stdout.rstrip("\n").rpartition("\n")
    return said, last.split()[1:]


def listed(cache: Path, folder: Path) -> tuple[dict[str, dict[str, object]], list[str]]:
    said, loaded = watched(cache, "tasks", "--json", "--envs", folder)
    return {task["name"]: task for task in json.loads(said)["tasks"]}, loaded


def listed_here(monkeypatch: pytest.MonkeyPatch, cache: Path, folder: Path) -> dict[str, dict[str, object]]:
    """The same in this process, which has long loaded what is heavy."""
    monkeypatch.setenv("REWARDGEN_CACHE", str(cache))
    return {task["name"]: task for task in rewardgen("tasks", "--json", "--envs", folder).json["tasks"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    assert small_search(out, "done").code == 0
    return out / "done"


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["methods"], ["methods", "eureka"], ["settings"]])
def test_look_ups_load_nothing_heavy(tmp_path: Path, command: list[str]) -> None:
    said, loaded = watched(tmp_path, *command)
    assert said and loaded == []


@pytest.mark.slow
def test_a_run_is_shown_without_loading_torch(run: Path, tmp_path: Path) -> None:
    said, loaded = watched(tmp_path, "show", run)
    assert "reacher/reach" in said and loaded == []
    assert watched(tmp_path, "show", run, "--json")[1] == []


@pytest.mark.slow
def test_a_listing_is_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = tmp_path / "envs", tmp_path / "cache"
    folder.mkdir()
    source = (EXAMPLE / "my_tasks.py").read_text()
    (folder / "slider.py").write_text(source)
    first, loaded = listed(cache, folder)
    assert "torch" in loaded  # nothing is known of the files yet
    again, loaded = listed(cache, folder)
    assert again == first and loaded == []

    # An edit, a new file, a file that registers nothing and a removal are all seen at once.
    assert "horizon = 5, 100" in source
    (folder / "slider.py").write_text(source.replace("horizon = 5, 100", "horizon = 5, 123"))
    assert listed_here(monkeypatch, cache, folder)["slider/park"]["horizon"] == 123
    (folder / "other.py").write_text(source.replace("slider/park", "slider/other"))
    assert listed_here(monkeypatch, cache, folder).keys() == first.keys() | {"slider/other"}
    (folder / "other.py").write_text("")
    for _ in range(2):  # executed, then kept
        assert f"{folder / 'other.py'} registers no task" in " ".join(notes(cache, folder).split())
    (folder / "slider.py").unlink()
    assert "slider/park" not in listed_here(monkeypatch, cache, folder)


def notes(cache: Path, folder: Path) -> str:
    command = [sys.executable, "-m", "rewardgen.cli", "tasks", "--envs", str(folder)]
    environment = {**os.environ, "REWARDGEN_CACHE": str(cache), "COLUMNS": "1000"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stderr


@pytest.mark.slow
@pytest.mark.parametrize("line", ["import shared_by_my_tasks", "shared_by_my_tasks = __import__('shared_by_my_tasks')"])
def test_files_that_import_others_are_executed_each_time(
    tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = tmp_path / "envs", tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "shared_by_my_tasks.py").write_text("HORIZON = 50\n")
    source = (EXAMPLE / "my_tasks.py").read_text().replace("import mujoco\n", f"import mujoco\n{line}\n", 1)
    source = source.replace("horizon = 5, 100", "horizon = 5, shared_by_my_tasks.HORIZON")
    (folder / "slider.py").write_text(source)
    assert [listed(cache, folder)[0]["slider/park"]["horizon"] for _ in range(2)] == [50, 50]
    (tmp_path / "shared_by_my_tasks.py").write_text("HORIZON = 60\n")
    assert listed(cache, folder)[0]["slider/park"]["horizon"] == 60


def test_a_damaged_listing_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = listed_here(monkeypatch, tmp_path / "cache", EXAMPLE)
    for kept in (tmp_path / "cache").rglob("*.json"):
        kept.write_text(kept.read_text()[:-20])
    assert listed_here(monkeypatch, tmp_path / "cache", EXAMPLE) == first


def test_the_command_lists_every_setting() -> None:
    found = rewardgen("settings", "--json").json["settings"]
    assert [each["key"] for each in found] == declared_settings(Config)
    assert next(each for each in found if each["key"] == "llm.retries")["default"] == Config(task="any").llm.retries
    assert all(each["description"] for each in found if each["key"] != "task")
    part = rewardgen("settings", "patience")
    assert "llm.patience" in part.out and "training.steps" not in part.out
    assert rewardgen("settings", "no-such-setting").code == 2
