"""Ctrl-C, a run that is held, limits and an endpoint that is down: clear messages, exit codes, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rewardgen.store import Store, read
from tests.cli.commands import SMALL, rewardgen, small_search


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_the_line_that_it_prints_resumes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rewardgen.cli", "run", "reacher/reach", "--generations", "2"]
    command += ["--candidates", "2", *SMALL, "--steps", "1024", "--out", str(tmp_path), "--name", "stopped"]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})
    assert started.stdout is not None
    for line in started.stdout:
        if line.lstrip().startswith("training"):
            started.send_signal(signal.SIGINT)
            break
    _, err = started.communicate(timeout=120)
    assert started.returncode == 130, err
    assert "Traceback" not in err
    assert f"rewardgen resume {tmp_path / 'stopped'}" in err
    assert read(tmp_path / "stopped").status == "interrupted"

    # what was told before the stop is not asked for again
    calls = len(read(tmp_path / "stopped").calls)
    assert calls >= 1
    resumed = rewardgen("resume", tmp_path / "stopped", "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json["status"] == "finished"
    assert resumed.json["cost"]["calls"] == 2 + sum(
        call.purpose == "repair" for call in read(tmp_path / "stopped").calls
    )


def test_a_run_that_a_live_process_holds_is_left_alone(tmp_path: Path) -> None:
    with Store(tmp_path / "held", new=True):
        refused = rewardgen("resume", tmp_path / "held", "--json")
    assert refused.code == 1
    assert refused.json["error"]["type"] == "RunLocked"


def test_a_budget_of_zero_stops_before_anything_is_spent(tmp_path: Path) -> None:
    refused = small_search(tmp_path, "none", "--budget-steps", 0, "--json")
    assert refused.code == 1
    assert refused.json["error"]["type"] == "BudgetExceeded"
    view = read(tmp_path / "none")
    assert (view.status, view.cost.steps) == ("failed", 0)
    assert "rewardgen resume" in refused.err


def test_an_endpoint_that_is_down_is_named(tmp_path: Path) -> None:
    refused = rewardgen(
        "run", "cartpole/swingup", *SMALL, "--llm", "some-model", "--base-url", "http://127.0.0.1:9/v1",
        "--set", "llm.retries=0", "--set", "llm.timeout=5", "--out", tmp_path, "--name", "down", "--json",
    )  # fmt: skip
    assert refused.code == 1
    assert refused.json["error"]["type"] == "LLMUnavailable"
    assert "127.0.0.1:9" in refused.json["error"]["message"]
    assert rewardgen("show", tmp_path / "down").code == 0  # the store stays readable


@pytest.mark.slow
def test_the_user_s_own_task_folder_is_remembered_by_the_run(tmp_path: Path) -> None:
    example = Path(__file__).parents[1] / "tasks" / "example"
    name = rewardgen("tasks", "--envs", example, "--json").json["tasks"]
    own = next(task["name"] for task in name if task["name"] not in {t["name"] for t in _ours()})
    finished = small_search(tmp_path, "own", "--envs", example, "--json", task=own)
    assert finished.code == 0, finished.err
    assert finished.json["problems"] == []
    assert rewardgen("export", tmp_path / "own", "--to", tmp_path / "x", "--json").code == 0


def _ours() -> list[dict[str, str]]:
    listed: list[dict[str, str]] = rewardgen("tasks", "--json").json["tasks"]
    return listed
