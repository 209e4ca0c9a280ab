"""Every command once right, with text and with ``--json``, and once wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from rewardgen import bench
from rewardgen.errors import SimulationFailed
from rewardgen.sim.rendering import renderer
from rewardgen.tasks import load_task, task_names
from tests.cli.commands import Result, rewardgen, small_search

GOOD = """
def compute_reward(state, action, next_state):
    upright = next_state.pole_upright
    return upright, {"upright": upright}
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one finished run in it, called "done"."""
    folder = tmp_path_factory.mktemp("runs")
    finished = small_search(folder, "done", "--json", task="cartpole/swingup")
    assert finished.code == 0, finished.err
    (folder / "done.json").write_text(finished.out)
    return folder


@pytest.fixture
def reward(tmp_path: Path) -> Path:
    path = tmp_path / "reward.py"
    path.write_text(GOOD)
    return path


# ---- what is wrong is said, with the right exit code, in text and in JSON

WRONG = {
    "no such command": (["trian"], 2, "train"),
    "no such flag": (["tasks", "--jsn"], 2, "--jsn"),
    "tasks": (["tasks", "cheetah/rum"], 2, "cheetah/run"),
    "tasks: no such folder": (["tasks", "--envs", "nowhere"], 2, "nowhere"),
    "prompt": (["prompt", "cheetah"], 2, "cheetah/run"),
    "prompt: no such folder": (["prompt", "cheetah/run", "--prompts", "nowhere"], 2, "nowhere"),
    "run without a task": (["run"], 2, "name a task"),
    "run: unknown task": (["run", "cartpole/swing"], 2, "cartpole/swingup"),
    "run: unknown key": (["run", "cartpole/swingup", "--set", "training.step=5"], 2, "training.steps"),
    "run: no assignment": (["run", "cartpole/swingup", "--set", "training.steps"], 2, "KEY=VALUE"),
    "run: no such method": (["run", "cartpole/swingup", "--method", "eurika"], 2, "eureka"),
    "methods": (["methods", "eurika"], 2, "eureka"),
    "methods: one and two": (["methods", "eureka", "--diff", "icpl", "card"], 2, "--diff"),
    "run: no such settings": (["run", "cartpole/swingup", "--config", "no.yaml"], 2, "no.yaml"),
    "run: a name that is a path": (["run", "cartpole/swingup", "--name", "../up"], 2, "--out"),
    "run: out of range": (["run", "cartpole/swingup", "--generations", "0"], 2, "generations"),
    "resume": (["resume", "nothing"], 2, "nothing"),
    "show": (["show", "nothing"], 2, "nothing"),
    "report": (["report", "nothing"], 2, "nothing"),
    "export": (["export", "nothing"], 2, "nothing"),
    "check: no such file": (["check", "nothing.py", "--task", "cheetah/run"], 2, "nothing.py"),
    "train: no such reward": (["train", "cartpole/swingup", "--reward", "exprt"], 2, "exprt"),
    "bench": (["bench", "--population", "0"], 2, "population"),
    "train: no such device": (["train", "cartpole/swingup", "--device", "gpu"], 2, "device"),
    "train: the reference is the processor's": (
        ["train", "cartpole/swingup", "--trainer", "sb3", "--sim", "warp"],
        2,
        "sb3 works with MuJoCo on the CPU",
    ),
    "bench: devices": (["bench", "--devices", "--worlds", "8,x"], 2, "--worlds"),
    "bench: a device alone": (["bench", "--device", "cpu"], 2, "--devices"),
    "bench: unknown task": (["bench", "--task", "cheetah/rum"], 2, "cheetah/run"),
    "doctor": (["doctor", "--keys"], 2, "--keys"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_answered_with_what_is_wrong(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, code, said = WRONG[case]
    spoken = rewardgen(*arguments)
    assert (spoken.code, spoken.out) == (code, "")
    assert said in " ".join(spoken.err.split())
    assert "Traceback" not in spoken.err
    document = rewardgen(*arguments, "--json")
    assert document.code == code
    assert document.json["error"]["exit_code"] == code
    assert said in document.json["error"]["message"]
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


# ---- every command as it should go


def test_help_names_every_command_and_loads_neither_torch_nor_mujoco() -> None:
    code = (
        "import sys\nfrom rewardgen.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'mujoco', 'gymnasium', 'openai', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in (
        "run",
        "resume",
        "show",
        "report",
        "export",
        "tasks",
        "prompt",
        "check",
        "train",
        "bench",
        "doctor",
    ):
        assert f" {command} " in done.stdout
        assert rewardgen(command, "--help").code == 0


def test_version() -> None:
    assert rewardgen("--version").out.startswith("rewardgen ")


def test_tasks_lists_all_and_shows_one() -> None:
    assert [task["name"] for task in rewardgen("tasks", "--json").json["tasks"]] == task_names()
    lines = {line.split()[0]: line.split() for line in rewardgen("tasks").out.splitlines() if "/" in line}
    assert lines.keys() == set(task_names())
    for name in ("ant/run", "dmc_hopper/hop", "fetch/push", "hopper/run", "walker/run"):
        task = load_task(name)
        assert lines[name][:5] == [name, task.group, str(len(task.fields)), str(task.horizon),
                                   f"{task.success_threshold:g}"]  # fmt: skip
    task, shown = load_task("hopper/run"), rewardgen("tasks", "hopper/run")
    assert all(field.name in shown.out for field in task.fields)
    assert rewardgen("tasks", "hopper/run", "--json").json["success_threshold"] == task.success_threshold


def test_a_task_whose_package_is_missing_is_listed_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dm_control", None)  # what Python takes for: cannot be imported
    listed = {task["name"]: task for task in rewardgen("tasks", "--json").json["tasks"]}
    assert listed.keys() == set(task_names())
    assert "pip install 'rewardgen[dmc]'" in listed["dmc_cheetah/run"]["missing"]
    assert "missing" not in listed["cheetah/run"]
    assert "rewardgen[dmc]" in rewardgen("tasks").out
    alone = rewardgen("tasks", "dmc_cheetah/run")
    assert alone.code == 2
    assert "pip install 'rewardgen[dmc]'" in alone.err


def test_prompt_prints_what_the_model_is_told() -> None:
    text = rewardgen("prompt", "cheetah/run").out
    document = rewardgen("prompt", "cheetah/run", "--json").json
    assert [message["role"] for message in document["messages"]] == ["system", "user"]
    assert all(message["content"] in text for message in document["messages"])


def test_run_hands_over_scores_report_reward_and_policy(out: Path) -> None:
    document = json.loads((out / "done.json").read_text())
    assert document["status"] == "finished"
    assert document["offline"] is True
    assert set(document["scores"]) == {"winner", "expert", "sparse"}
    assert all(score["low"] <= score["mean"] <= score["high"] for score in document["scores"].values())
    assert "compute_reward" in document["winner"]["source"]
    for path in (document["report"], document["export"]["reward"], document["export"]["policy"]):
        assert Path(path).is_file()


@pytest.mark.slow
def test_run_and_resume_tell_in_lines_what_happens(out: Path) -> None:
    told = small_search(out, "told", "--seed", 3)
    assert told.code == 0, told.err
    assert "No language model is involved" in told.out
    for said in ("generation 0", "r0g0c1: accepted", "best of the generation", "expert", "def compute_reward"):
        assert said in told.out
    assert str(out / "told" / "report.html") in told.out
    again = rewardgen("resume", "told", "--out", out)  # a finished run is only read
    assert again.code == 0
    assert str(out / "told" / "export" / "reward.py") in again.out


def test_a_name_that_is_taken_is_refused(out: Path) -> None:
    refused = small_search(out, "done")
    assert refused.code == 2
    assert "rewardgen resume" in refused.err


def test_a_run_leaves_a_report_in_which_the_winner_moves_and_files_to_take_away(out: Path) -> None:
    told = json.loads((out / "done.json").read_text())
    assert told["result"]["word"] == "nothing learned" and told["result"]["next"][0]["command"].startswith("rewardgen ")
    page = (out / "done" / "report.html").read_text(encoding="utf-8")
    assert 'download="reward.py"' in page and "Nothing learned" in page
    try:
        renderer()
    except SimulationFailed as error:
        pytest.skip(f"nothing can draw here: {error}")
    assert "data:video/mp4;base64," in page


def test_show_tells_of_the_run_and_of_one_candidate(out: Path) -> None:
    view = rewardgen("show", "done", "--out", out, "--json").json
    winner = view["winner"]
    text = rewardgen("show", out / "done").out
    assert "Nothing learned: the policies reached 0 s" in text  # of 512 steps
    assert view["legibility"]["sentence"] in " ".join(text.split())
    assert all(each["key"] in text for generation in view["generations"] for each in generation["candidates"])
    one = rewardgen("show", "done", "--candidate", winner, "--out", out)
    assert one.code == 0
    assert "fitness" in one.out
    document = rewardgen("show", "done", "--candidate", winner, "--out", out, "--json").json
    assert document["source"] in one.out
    wrong = rewardgen("show", "done", "--candidate", "r9", "--out", out)
    assert wrong.code == 2
    assert "r9" in wrong.err


def test_latest_is_the_newest_run(out: Path) -> None:
    assert rewardgen("show", "--out", out, "--json").code == 0


def test_report_writes_one_file(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "there" / "report.html"
    assert rewardgen("report", "done", "--out", out, "--to", path, "--no-replays", "--json").json["report"] == str(path)
    assert path.read_text().lstrip().lower().startswith("<!doctype html")


def test_export_writes_the_files_that_it_names(out: Path, tmp_path: Path) -> None:
    document = rewardgen("export", "done", "--out", out, "--to", tmp_path / "x", "--json").json
    assert document["wrapper"] is None and Path(document["environment"]).name == "environment.py"
    assert document["notes"] == []
    listed = rewardgen("export", "done", "--out", out, "--to", tmp_path / "y").out
    assert str(tmp_path / "y" / "reward.py") in listed
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == sorted(p.name for p in (tmp_path / "y").iterdir())
    assert rewardgen("export", "done", "--out", out, "--candidate", "r9").code == 2


@pytest.mark.slow
def test_check_accepts_a_reward_and_refuses_another_with_the_line(reward: Path) -> None:
    assert rewardgen("check", reward, "--task", "cartpole/swingup").code == 0
    assert rewardgen("check", reward, "--task", "cartpole/swingup", "--json").json["accepted"] is True
    reward.write_text(GOOD.replace("pole_upright", "pole_uprigt"))
    refused = rewardgen("check", reward, "--task", "cartpole/swingup")
    assert refused.code == 1
    assert (refused.out + refused.err).count("line 3") == 1
    error = rewardgen("check", reward, "--task", "cartpole/swingup", "--json").json["error"]
    assert (error["type"], error["problems"][0]["line"]) == ("ProgramRejected", 3)
    reward.write_text(f"Here you are:\n```python\n{GOOD}```\n")
    assert rewardgen("check", reward, "--task", "cartpole/swingup").code == 1
    assert rewardgen("check", reward, "--task", "cartpole/swingup", "--reply").code == 0


TRAIN = ("--steps", 256, "--threads", 1, "--set", "training.worlds=8", "--set", "training.rollout=16",
         "--set", "training.checkpoints=2", "--set", "training.checkpoint_episodes=1",
         "--set", "training.score_episodes=1")  # fmt: skip


def trained(reward: object, *more: object) -> Result:
    return rewardgen("train", "cartpole/swingup", "--reward", reward, *TRAIN, *more)


def test_train_gives_a_curve_for_each_reward(reward: Path, tmp_path: Path) -> None:
    weights = tmp_path / "policy.safetensors"
    document = trained("expert", "--seeds", 2, "--save", weights, "--json").json
    assert [len(training["curve"]) for training in document["trainings"]] == [2, 2]
    assert weights.stat().st_size > 0
    text = trained("sparse")
    assert text.code == 0
    assert "fitness" in text.out
    assert trained(reward, "--json").json["trainings"][0]["status"] == "done"


def test_train_with_a_reward_that_fails_says_why(reward: Path) -> None:
    reward.write_text(GOOD.replace("return", "upright = upright / 0.0 * 0.0\n    return"))
    failed = trained(reward)
    assert failed.code == 1
    assert "NaN" in failed.err


@pytest.mark.slow
def test_bench_measures_what_it_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "measure", partial(bench.measure, scaling=(1, 3)))
    few = ["--task", "reacher/reach", "--population", 2, "--updates", 2]
    measured = rewardgen("bench", *few, "--json").json
    assert set(measured) >= {
        "physics_steps_per_s",
        "train_steps_per_s",
        "sb3_steps_per_s",
        "ratio_to_physics",
        "ratio_to_sb3",
        "sandbox_share",
    }
    assert list(measured["scaling"]) == ["1", "3"]
    assert measured["ratio_to_sb3"] == pytest.approx(measured["train_steps_per_s"] / measured["sb3_steps_per_s"])


@pytest.mark.slow
def test_doctor_never_shows_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value")
    spoken = rewardgen("doctor", "--out", tmp_path)
    document = rewardgen("doctor", "--out", tmp_path, "--json")
    assert spoken.code == document.code == 0, spoken.out
    assert "sk-secret-value" not in spoken.out + spoken.err + document.out + document.err
    checks = {check["name"]: check for check in document.json["checks"]}
    assert {"python", "packages", "threads", "physics", "tasks", "sandbox", "rendering", "key", "disk"} <= set(checks)
    assert checks["key"]["level"] == "ok"
    assert all(check["advice"] for check in checks.values() if check["level"] != "ok")
    drawing = checks["rendering"]
    if drawing["level"] == "ok":  # it says with what
        assert re.match(
            r"(EGL|OSMesa|a hidden window) drew a picture of 64 by 48, ffmpeg \S+ makes films", drawing["found"]
        )
