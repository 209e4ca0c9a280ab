"""A sweep with real searches: stopped, killed, crashed and continued it comes to the same; what fails, fails alone."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from filelock import FileLock

from rewardgen.store import BASELINES, Store, read
from rewardgen.sweep import make_plan
from rewardgen.sweep.estimate import resolved
from rewardgen.sweep.standing import checked
from tests.cli.commands import rewardgen
from tests.sweep.specs import SMALL, written
from tests.sweep.sweeps import contents

SPEC = f"""
tasks: [reacher/reach]
seeds: 2
arms:
  racing: {{search.racing.share: 0.5}}
  "no racing": {{search.racing: false}}
{SMALL}
"""
WAIT = 60
"""Seconds that a process whose parent was killed has to notice it."""


def begun(spec: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rewardgen.cli", "sweep", str(spec), "--out", str(out), "--jobs", "2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ})


def children(process: subprocess.Popen[str]) -> list[int]:
    """Handles of the processes that ``process`` has started: readable once they are dead."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [os.pidfd_open(int(child)) for task in tasks for child in task.read_text().split()]


def line_with(process: subprocess.Popen[str], word: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return line
    raise AssertionError(f"it ended without a line with {word!r}")


def all_dead(handles: list[int]) -> bool:
    dead = all(select.select([handle], [], [], WAIT)[0] for handle in handles)
    for handle in handles:
        os.close(handle)
    return dead


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux's handles of processes")
def test_stopped_killed_and_crashed_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    spec = written(tmp_path, SPEC)
    undisturbed = rewardgen("sweep", spec, "--out", tmp_path / "undisturbed", "--jobs", 2, "--json")
    assert undisturbed.code == 0, undisturbed.err
    statuses = [(each["status"], each["reused"]) for each in undisturbed.json["searches"]]
    assert statuses == [("finished", False)] * 4
    expected = contents(tmp_path / "undisturbed" / "spec")
    assert len(expected) == 4
    # the expert and the sparse reward were trained by nobody but the one process that measured them
    measured = list((tmp_path / "undisturbed" / BASELINES).glob("*/baseline.json"))
    logged = [line for line in undisturbed.err.splitlines() if "starting baselines" in line]
    assert len(measured) == 2 and len(logged) == 1

    out, moments = tmp_path / "disturbed", random.Random(4)
    # Ctrl-C: all searches stop by themselves, and the line that goes on is said
    with begun(spec, out) as process:
        line_with(process, "starting racing/reacher/reach/seed0")
        handles = children(process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        assert process.returncode == 130 and "Traceback" not in err
        assert f"rewardgen sweep {spec} --out {out} --jobs 2" in err
        assert all_dead(handles)
    # SIGKILL of the sweep, at moments that nobody chose: its searches die with it
    for _ in range(2):
        with begun(spec, out) as process:
            line_with(process, "starting ")
            try:
                process.wait(timeout=moments.uniform(0.0, 6.0))
            except subprocess.TimeoutExpired:
                pass
            handles = children(process)
            process.kill()
            process.wait()
            assert all_dead(handles)
    # SIGKILL of whatever search begins next: the others go on, and it is taken up again
    with begun(spec, out) as process:
        line_with(process, "starting racing" if not finished(out) else "starting ")
        for handle in children(process)[-1:]:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
        told, err = process.communicate()
        assert process.returncode == 0, err
    assert "failed and is retried: Crash: its process was killed by signal 9" in told
    assert contents(out / "spec") == expected

    again = rewardgen("sweep", spec, "--out", out, "--json")
    assert [each["reused"] for each in again.json["searches"]] == [True] * 4
    assert contents(out / "spec") == expected
    shown = rewardgen("show", "spec", "--out", out)
    assert "4 finished of 4" in shown.out and "no racing" in shown.out
    assert "rewardgen report " in shown.out
    one = out / "spec" / "racing" / "reacher-reach" / "seed1"
    assert rewardgen("show", one, "--json").json["config"]["seed"] == 1


def finished(out: Path) -> list[Path]:
    return [file.parent for file in out.rglob("run.sqlite") if read(file.parent).status == "finished"]


@pytest.mark.slow
def test_what_fails_fails_alone_and_is_reported(tmp_path: Path) -> None:
    envs = tmp_path / "envs"
    envs.mkdir()
    example = (Path(__file__).parents[1] / "tasks" / "example" / "my_tasks.py").read_text(encoding="utf-8")
    broken = example.replace('"slider/park"', '"broken/park"').replace(
        "return mujoco.MjModel.from_xml_string(MODEL)", "raise RuntimeError('no such rail')"
    )
    assert broken != example
    (envs / "broken.py").write_text(broken, encoding="utf-8")
    text = f"""
tasks: [reacher/reach, broken/park]
envs: [envs]
retries: 1
arms:
  offline: {{}}
  refused:
    llm: {{model: a-model, base_url: "http://127.0.0.1:9/v1", retries: 0, timeout: 5}}
{SMALL}
"""
    spec, out = written(tmp_path, text), tmp_path / "runs"
    ended = rewardgen("sweep", spec, "--out", out, "--json")
    assert ended.code == 1
    found = {(each["arm"], each["task"]): each for each in ended.json["searches"]}
    assert found["offline", "reacher/reach"]["status"] == "finished"
    assert found["offline", "reacher/reach"]["score"]["mean"] <= 0  # minus a distance
    refused = found["refused", "reacher/reach"]
    assert refused["status"] == "failed" and "LLMUnavailable" in refused["message"]
    assert "127.0.0.1:9" in refused["message"]
    for arm in ("offline", "refused"):
        assert found[arm, "broken/park"]["status"] == "failed"
        assert "no such rail" in found[arm, "broken/park"]["message"]
    # what may pass is tried again as often as the spec says, what will not is not
    retried = [line for line in ended.err.splitlines() if "is retried" in line]
    assert len(retried) == 1 and "refused/reacher/reach" in retried[0]
    shown = rewardgen("show", out / "spec")
    assert shown.code == 0 and "1 finished, 3 failed of 4" in shown.out
    assert shown.out.count("no such rail") == 2


def test_two_sweeps_never_work_on_one_folder_and_other_settings_need_another_name(tmp_path: Path) -> None:
    spec, out = written(tmp_path, SPEC), tmp_path / "runs"
    (out / "spec").mkdir(parents=True)
    with FileLock(out / "spec" / "sweep.lock"):
        refused = rewardgen("sweep", spec, "--out", out, "--json")
    assert (refused.code, refused.json["error"]["type"]) == (1, "RunLocked")
    planned = make_plan(spec, out).searches[0]
    began = planned.config.model_copy(
        update={"training": planned.config.training.model_copy(update={"gamma": 0.9}), "threads": 7}
    )
    with Store(planned.run_dir, new=True) as store:
        store.set_meta(config=began.model_dump(mode="json"))
    refused = rewardgen("sweep", spec, "--out", out, "--json")
    assert (refused.code, refused.json["error"]["type"]) == (2, "ConfigError")
    assert "training.gamma was 0.9 and is now 0.99" in refused.json["error"]["message"]
    assert "threads" not in refused.json["error"]["message"] and not (out / "spec" / "sweep.json").exists()


def test_what_a_search_will_change_is_told_before_it_starts_and_is_no_other_setting_afterwards(tmp_path: Path) -> None:
    text = """
        tasks: cartpole/swingup
        arms: {judged: {search.judge: simulated}, measured: {}}
        settings: {llm.model: offline, training.steps: 1000}
    """
    spec, out = written(tmp_path, dedent(text)), tmp_path / "runs"
    told = rewardgen("sweep", spec, "--out", out, "--dry-run", "--json").json
    changes = {each["arm"]: [line.partition(" ")[0] for line in each["changes"]] for each in told["searches"]}
    judged = ["search.judge", "search.judging.by", "search.racing.enabled", "search.remeasure", "training.keep"]
    assert changes == {"judged": judged, "measured": []}
    # 3 generations of 8 candidates and the winner; only where the fitness counts is each leader measured again
    trainings = {arm: amounts["trainings"] for arm, amounts in told["by_arm"].items()}
    assert trainings["measured"] - trainings["judged"] == 3
    assert told["baselines"]["kinds"] == 2  # one stands for the fittest checkpoint, the other for the last
    shown = " ".join(rewardgen("sweep", spec, "--out", out, "--dry-run").out.split())
    assert "judged: search.racing.enabled is false, not true as given: people alone judge" in shown
    for planned in make_plan(spec, out).searches:
        with Store(planned.run_dir, new=True) as store:
            settings = {"config": resolved(planned).config, "given": planned.config}
            store.set_meta(**{name: each.model_dump(mode="json") for name, each in settings.items()})
        assert checked(planned).status != "failed"


def test_a_model_without_a_key_is_said_before_anything_starts(tmp_path: Path) -> None:
    text = """
        tasks: cartpole/swingup
        arms: {asked: {llm.model: gpt-5-mini}, offline: {llm.model: offline}}
    """
    spec = written(tmp_path, dedent(text))
    refused = rewardgen("sweep", spec, "--out", tmp_path / "runs", "--json")
    assert refused.code == 2 and "arm 'asked': gpt-5-mini needs a key" in refused.json["error"]["message"]
    assert not (tmp_path / "runs").exists()
    told = rewardgen("sweep", spec, "--out", tmp_path / "runs", "--dry-run")
    assert told.code == 0 and "not ready: arm 'asked'" in told.out
    assert not (tmp_path / "runs").exists()
