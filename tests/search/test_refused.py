"""What cannot be asked or judged is refused before a run's folder is made, so its name stays free."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.commands import rewardgen, small_search
from tests.tasks.test_adapter import SPRING, SPRING_TASK


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--llm", "gpt-5-mini"], "needs a key"),
        (["--llm", "m", "--base-url", "http://127.0.0.1:9/v1", "--budget-dollars", "1"], "no price is known"),
        (["--llm", "replay:nothing.jsonl"], "cannot read the recording"),
        (["--llm", "dialog:"], "needs a folder"),
    ],
)
def test_an_author_that_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], says: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ended = small_search(tmp_path, "mine", *flags)
    assert ended.code in (1, 2) and says in " ".join(ended.err.split())
    assert not list(tmp_path.iterdir())


def test_people_cannot_judge_what_has_no_replays(tmp_path: Path) -> None:
    envs = tmp_path / "envs"
    envs.mkdir()
    (envs / "springs.py").write_text(SPRING)
    (envs / "springs.yaml").write_text(SPRING_TASK)
    flags = ["--envs", envs, "--llm", "offline", "--out", tmp_path / "runs"]
    ended = rewardgen("run", "spring/rest", "--judge", "people", *flags)
    assert ended.code != 0
    assert re.search("there is no replay for spring/rest", " ".join(ended.err.split()))
    assert not (tmp_path / "runs").exists()
