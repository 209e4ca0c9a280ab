"""``rewardgen baseline``, and runs that use what it measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rewardgen import cli, config, search
from rewardgen.search import Event
from rewardgen.store import BASELINES

TRAINING = {
    "steps": 1024,
    "worlds": 4,
    "epochs": 1,
    "minibatches": 2,
    "checkpoints": 2,
    "checkpoint_episodes": 2,
    "score_episodes": 2,
}
SMALL = ["--seeds", "2", "--set", "evaluation.report_episodes=2"]
SMALL += [part for name, value in TRAINING.items() for part in ("--set", f"training.{name}={value}")]
TASK = "reacher/reach"  # whose episodes end after 50 steps


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main(["baseline", *arguments])
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again_and_other_settings_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path), "--json"]
    first = json.loads(called(capsys, TASK, *SMALL, *out))["baselines"][0]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / BASELINES).rglob("*")}
    assert sum(path.name == "baseline.json" for path in files) == 2
    again = json.loads(called(capsys, "reacher/*", *SMALL, *out))["baselines"][0]
    assert again == first and {path: path.stat().st_mtime_ns for path in files} == files
    other = json.loads(called(capsys, TASK, *SMALL, "--set", "training.gamma=0.9", *out))
    assert other["baselines"][0]["expert"]["evaluation"] != first["expert"]["evaluation"]
    anew = json.loads(called(capsys, TASK, *SMALL, "--anew", *out))["baselines"][0]
    assert anew["expert"]["evaluation"] == first["expert"]["evaluation"]  # the same seeds, so the same numbers


@pytest.mark.slow
def test_a_changed_or_broken_file_is_measured_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [TASK, *SMALL, "--out", str(tmp_path), "--json"]
    first = json.loads(called(capsys, *arguments))
    for path in (tmp_path / BASELINES).rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert (
        json.loads(called(capsys, *arguments))["baselines"][0]["expert"]["evaluation"]
        == (first["baselines"][0]["expert"]["evaluation"])
    )
    for path in (tmp_path / BASELINES).rglob("baseline.json"):
        path.write_text(path.read_text()[:100])
    called(capsys, *arguments)
    assert all(json.loads(path.read_text()) for path in (tmp_path / BASELINES).rglob("baseline.json"))


def test_an_unknown_task_names_its_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["baseline", "hopper/rnu"])
    assert end.value.code == 2
    assert "hopper/run" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_finds_its_baselines_comes_to_what_one_that_measures_them_does(tmp_path: Path) -> None:
    settings = config.load(
        overrides={
            "task": TASK,
            "llm.model": "offline",
            "search.generations": 1,
            "search.candidates": 2,
            **{f"training.{name}": value for name, value in TRAINING.items()},
            "evaluation.report_seeds": 2,
            "evaluation.report_episodes": 2,
        }
    )
    events: list[Event] = []
    measured = search.run(settings, tmp_path / "first", listener=events.append)
    found = search.run(settings, tmp_path / "second", listener=events.append)
    assert [event.data["name"] for event in events if event.kind == "baseline_found"] == ["expert", "sparse"]
    assert [final.evaluation for final in found.finals] == [final.evaluation for final in measured.finals]
    assert [t.curve for f in found.finals for t in f.trainings] == [
        t.curve for f in measured.finals for t in f.trainings
    ]
    assert found.cost.steps == measured.cost.steps
    taken = {path.name for path in (tmp_path / "second" / "artifacts").iterdir()}
    assert taken == {path.name for path in (tmp_path / "first" / "artifacts").iterdir()}


@pytest.mark.slow
def test_the_page_holds_what_the_measurement_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "docs" / "tasks.md"
    arguments = ["hopper/run", *SMALL, "--out", str(tmp_path), "--page", str(page), "--json"]
    told = json.loads(called(capsys, *arguments))["baselines"][0]
    text = page.read_text()
    link = re.search(r"\]\(#([^)]*)\)", row_of(text, "hopper/run"))
    assert link is not None and link[1] == "hopperrun" and "## hopper/run" in text
    for reward, column in (("expert", 5), ("sparse", 7)):
        cell = row_of(text, "hopper/run").split("|")[column]
        numbers = [float(found) for found in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", cell)]
        evaluation = told[reward]["evaluation"]
        assert numbers == pytest.approx([evaluation[name] for name in ("mean", "low", "high")], rel=0.05)
    assert "1,024 environment steps for each of 2 seeds" in text
    for picture in re.findall(r"!\[[^]]*\]\(([^)]*)\)", text):  # none where this machine cannot draw
        assert (page.parent / picture).read_bytes().startswith(b"\x89PNG")


def row_of(page: str, task: str) -> str:
    return next(line for line in page.splitlines() if line.startswith(f"| [{task}]"))


@pytest.mark.slow
def test_a_page_of_what_is_kept_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One call over measured and unmeasured tasks: the first with their numbers, the others without."""
    out = [*SMALL, "--out", str(tmp_path), "--json"]
    measured = json.loads(called(capsys, "hopper/run", *out))["baselines"][0]
    files = sorted((tmp_path / BASELINES).rglob("*"))
    page = tmp_path / "tasks.md"
    told = json.loads(called(capsys, "hopper/*", "--kept", "--page", str(page), *out))["baselines"]
    assert sorted((tmp_path / BASELINES).rglob("*")) == files
    by_name = {each["task"]: each for each in told}
    assert by_name["hopper/run"] == measured and len(by_name) > 1
    assert all(each["expert"] is None and each["sparse"] is None for each in told if each["task"] != "hopper/run")
    text = page.read_text()
    assert f"Of {len(told)} tasks, {len(told) - 1} have not been trained" in text
    assert [cell.strip() for cell in row_of(text, "hopper/forward").split("|")[5:9]] == ["–"] * 4
    assert "–" not in row_of(text, "hopper/run")
    assert "## hopper/forward" in text and "| `torso_pitch` |" in text


def test_what_is_kept_cannot_be_measured_anew_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["baseline", "hopper/run", "--kept", "--anew"])
    assert end.value.code == 2
    assert "--anew" in capsys.readouterr().err
