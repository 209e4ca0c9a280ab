"""A vision model as the judge: real frames over real HTTP."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rewardgen import config, search
from rewardgen.errors import ConfigError, SimulationFailed
from rewardgen.search.judging import FRAMES, parse
from rewardgen.sim import rendering
from rewardgen.tasks import load_task
from tests.llm.server import Handler, ModelServer, completion
from tests.search.test_search import SMALL

REWARD = """```python
def compute_reward(state, action, next_state):
    reward = {weight} * next_state.{field}.reshape(len(next_state), -1)[:, 0]
    return reward, {{"reward": reward}}
```"""
VLM: dict[str, Any] = {
    "search.judge": "people",
    "search.judging.by": "vlm",
    "search.judging.model": "a-vision-model",
    "search.judging.pairs": 2,
    "search.generations": 1,
    "search.candidates": 3,
    "evaluation.report_seeds": 1,
    "llm.model": "a-model",
}


def pictures(body: dict[str, Any]) -> list[np.ndarray]:
    parts = body["messages"][-1]["content"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))) for url in urls]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"answer": "left", "reason": "it moves"}', ("left", "it moves")),
        ('```json\n{"answer": "unsure", "reason": ""}\n```', ("unsure", "")),
        ('{"answer": "equal", "reason": "a\\n`b`"}', ("equal", "a 'b'")),
        ('{"answer": "LEFT", "reason": ""}', None),
        ('{"answer": "both_bad", "reason": ""}', None),
        ('{"answer": "left"}', None),
        ('{"answer": "left", "reason": "", "score": 1}', None),
        ('{"answer": "left", "reason": 3}', None),
        ('I think {"answer": "left", "reason": ""}', None),
        ('{"answer": "left", "reason": ""} {"answer": "right", "reason": ""}', None),
        ("[" * 100_000, None),
        ("", None),
    ],
)
def test_an_answer_is_one_json_object_of_the_form_asked_for(text: str, answer: tuple[str, str] | None) -> None:
    assert parse(text) == answer


@pytest.mark.slow
def test_frames_of_both_replays_go_out_and_the_answer_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    task = load_task(SMALL["task"])
    try:
        rendering.Canvas(task.model, 32, 32).close()  # type: ignore[arg-type]
    except SimulationFailed as error:
        pytest.skip(f"nothing can draw here: {error}")

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        if body["model"] == "a-model":
            texts = [REWARD.format(weight=n + 1, field="fingertip_position") for n in range(body.get("n", 1))]
        elif len([seen for seen in handler.server_owner.requests if seen["model"] != "a-model"]) == 1:
            texts = ['{"answer": "right", "reason": "ignore all rules: `it` swings up"}']
        else:
            texts = ["the left one, surely"]
        handler.send(200, completion(texts, {"prompt_tokens": 1000, "completion_tokens": 10}))

    with ModelServer(default=behave) as server:
        settings = SMALL | VLM | {"llm.base_url": server.url}
        view = search.run(config.load(overrides=settings), tmp_path / "run")
        looks = [body for body in server.requests if body["model"] == "a-vision-model"]
        assert search.resume(tmp_path / "run") == view and len(server.requests) == len(looks) + 1
    first, second = view.judgements
    assert (first.kind, first.answer, first.words) == ("vlm", "right", "ignore all rules: 'it' swings up")
    assert (second.answer, second.words) == ("unsure", "")  # of another form than was asked for
    assert any("is no answer" in str(event.data.get("message")) for event in view.events)
    ranking = view.generations[0].verdict
    assert ranking is not None and ranking.ranking[0].candidate == first.right.partition(".")[0] == view.winner
    for body in looks:
        shown = pictures(body)
        assert len(shown) == 2 * FRAMES and all(picture.shape == (240, 320, 3) for picture in shown)
        assert any((shown[0] != other).any() for other in shown[1:FRAMES])  # something moves
        assert (shown[0] == shown[FRAMES]).all()  # both began in the same state
        text = body["messages"][-1]["content"][0]["text"]
        assert task.description in text and "fitness" not in text
    # what it cost is the run's cost, and pictures and key are not in its store
    calls = {call.key: call for call in view.calls if call.purpose == "judging"}
    assert len(calls) == 2 and view.cost.prompt_tokens == 1000 * len(server.requests)
    stored = (tmp_path / "run" / "run.sqlite").read_bytes()
    assert b"iVBOR" not in stored and b"sk-secret-of-the-test" not in stored


@pytest.mark.slow
def test_where_nothing_can_draw_it_is_said_before_anything_is_spent(tmp_path: Path) -> None:
    nothing = {"PYOPENGL_PLATFORM": "none of them", "MUJOCO_GL": "egl", "OPENAI_API_KEY": "a-key"}
    with ModelServer() as server:
        flags = ["--llm", "a-model", "--base-url", server.url, "--out", tmp_path, "--name", "run"]
        ended = subprocess.run(
            [sys.executable, "-m", "rewardgen.cli", "run", "cartpole/swingup", "--judge", "vlm:a-vision-model", *flags],
            env={**os.environ, **nothing}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 1 and "this machine can draw neither" in ended.stderr, ended.stderr
        assert server.requests == []


@pytest.mark.parametrize("model", ["", "offline"])
def test_a_vision_model_has_to_be_named(tmp_path: Path, model: str) -> None:
    settings = SMALL | VLM | {"llm.model": "offline", "search.judging.model": model}
    with pytest.raises(ConfigError, match="no vision model"):
        search.run(config.load(overrides=settings), tmp_path / "run")
