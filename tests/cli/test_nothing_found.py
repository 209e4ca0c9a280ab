"""Runs that hand nothing over: no reward was found, or it could not be written. Both end with exit code 1."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rewardgen.store import read
from tests.cli.commands import rewardgen, small_search
from tests.llm.server import ModelServer, answers


@pytest.mark.parametrize("json", [False, True])
def test_a_model_that_answers_prose_alone_finds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, json: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-tests")
    with ModelServer(default=answers(text="I would reward an upright pole.")) as server:
        flags = ["--llm", "m", "--base-url", server.url, "--set", "search.repairs=0", *(["--json"] if json else [])]
        ended = small_search(tmp_path, "prose", *flags)
    again = rewardgen("resume", tmp_path / "prose", *(["--json"] if json else []))
    view = read(tmp_path / "prose")
    assert (view.status, view.winner, view.cost.steps) == ("finished", None, 0)
    assert not list(tmp_path.glob("prose/export"))
    for each in (ended, again):
        assert each.code == 1
        said = each.json["verdict"] if json else each.out
        assert "No reward found: none of 2 candidates could be trained; 2 ended with: " in " ".join(said.split())
        assert "Traceback" not in each.err
    assert not json or (again.json["winner"], again.json["scores"]["expert"]) == (None, None)
    shown = rewardgen("show", tmp_path / "prose")
    assert shown.code == 0 and "No reward found" in shown.out
    assert "one ```python block that defines …" in " ".join(shown.out.split()), "cut between two words"
    assert rewardgen("show", tmp_path / "prose", "--json").json["result"]["word"] == "no reward found"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("runs")
    assert small_search(out, "done").code == 0
    return out / "done"


@pytest.mark.slow
@pytest.mark.parametrize("taken", ["report.html", "export"])
def test_a_run_whose_report_or_export_cannot_be_written_ends_with_1(tmp_path: Path, done: Path, taken: str) -> None:
    shutil.copytree(done, tmp_path / "done")
    for path in (tmp_path / "done" / "export").iterdir():
        path.unlink()
    (tmp_path / "done" / "export").rmdir()
    (tmp_path / "done" / "report.html").unlink()
    if taken == "export":
        (tmp_path / "done" / taken).write_text("in the way")
    else:
        (tmp_path / "done" / taken).mkdir()
    again = rewardgen("resume", tmp_path / "done")
    assert again.code == 1
    assert "could not be" in again.err and "Traceback" not in again.err
    assert "The best reward" in again.out
