"""What is drawn while a search runs, and that no text of others can act on the terminal."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from rewardgen.cli.lines import Lines
from rewardgen.cli.live import LiveView
from rewardgen.cli.output import jsonable, safe
from rewardgen.cli.progress import Progress
from rewardgen.cli.settings import parse_assignments
from rewardgen.config import Config
from rewardgen.errors import UsageError
from rewardgen.records import Problem
from rewardgen.search import Event, events
from rewardgen.text import clock

NASTY = "\x1b]0;owned\x07\x1b[2J\x9b31m [red]red[/red] \u202egnp.exe \x08\r"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class SomethingNew(Event):
    """Of a kind that nobody draws."""

    kind = "something_new"
    of_what: str


def story() -> list[Event]:
    """A search of one generation with two candidates, one of them nasty."""
    return [
        events.RunStarted(
            run="r",
            path="runs/r",
            task="cheetah/run",
            author=f"model{NASTY}",
            generations=3,
            candidates=2,
            steps=1000,
            offline=False,
            resumed=False,
            arrangement="MuJoCo on the CPU",
            why="as asked",
        ),
        events.GenerationStarted(restart=0, generation=0, parent=None),
        events.Calling("generation", 2),
        events.Replied("generation", 2, prompt_tokens=9, completion_tokens=5, dollars=0.01, cached=0),
        events.AttemptScreened("r0g0c0", 0, accepted=True, problems=()),
        events.AttemptScreened("r0g0c1", 0, accepted=False, problems=(f"line 3: {NASTY}",)),
        events.TrainingStarted(1, 1000, "generation"),
        events.TrainingProgress(250, 1000, 50.0, "generation"),
        events.CheckpointReached("r0g0c0", 1, 250, fitness=1.5, success_rate=0.5),
        events.RunWarning(NASTY),
        events.Scored("r0g0c0", 2.5, 0.5, "trained", stopped=False),
        events.Scored("r0g0c1", None, 0.0, "rejected", stopped=False),
        events.Selected(0, 0, "r0g0c0", 2.5),
        events.Evaluated("winner", 2.0, 1.0, 3.0, 0.25),
        SomethingNew("a later version"),
    ]


def terminal() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(
        file=out, markup=False, emoji=False, highlight=False, width=120, force_terminal=True, color_system=None
    ), out


def assert_harmless(text: str) -> None:
    assert "\x1b]0;" not in text
    assert "\x1b[2J" not in text
    assert not set("\x07\x08\x9b\u202e") & set(text)


def test_safe_writes_out_what_a_terminal_would_act_on() -> None:
    shown = safe(NASTY + "\ttab\nline")
    assert_harmless(shown)
    assert shown.startswith("\\x1b]0;owned\\x07")
    assert "[red]red[/red]" in shown  # shown as it is, nobody interprets it
    assert shown.endswith("\ttab\nline")


def test_plain_lines_tell_the_story_harmlessly() -> None:
    screen, out = terminal()
    lines = Lines(Progress(None), screen, Clock())
    for event in story():
        lines(event)
    text = out.getvalue()
    assert_harmless(text)
    assert "r0g0c0: accepted" in text
    assert "r0g0c1: refused: line 3" in text
    assert "best of the generation: r0g0c0 with 2.5" in text
    assert "winner: 2 [1, 3]" in text
    assert "[red]" in text


def test_plain_lines_give_progress_now_and_then() -> None:
    screen, out = terminal()
    clock = Clock()
    lines = Lines(Progress(None), screen, clock)
    for event in story()[:8]:
        lines(event)
    assert "steps," not in out.getvalue().split("training 1 policies")[1]
    clock.now = 11.0
    lines(story()[7])
    assert "25% of 1,000 steps, 50 a second, 15 s left" in out.getvalue()


def test_the_live_view_draws_every_moment_of_the_story_harmlessly() -> None:
    screen, out = terminal()
    with LiveView(Progress(None), screen) as view:
        for event in story():
            view(event)
            screen.print(view._draw())
    text = out.getvalue()
    assert_harmless(text)
    for said in (
        "asking for 2 rewards",
        "training, 1 policies",
        "25%",
        "50 steps/s",
        "15 s left",
        "◀ best of the generation",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("purpose", "one", "several"),
    [
        ("generation", "asking for 1 reward", "asking for 3 rewards"),
        ("repair", "asking for 1 repair", "asking for 3 repairs"),
        ("review", "asking for 1 review", "asking for 3 reviews"),
        ("revision", "asking for 1 revision", "asking for 3 revisions"),
        ("analysis", "asking for 1 analysis", "asking for 3 analyses"),
        ("judging", "asking for 1 judgement", "asking for 3 judgements"),
    ],
)
def test_what_is_asked_for_is_named_by_its_purpose(purpose: str, one: str, several: str) -> None:
    progress = Progress(None)
    for n, text in ((1, one), (3, several)):
        progress.update(events.Calling(purpose, n))
        assert progress.asking == text


def test_the_rest_of_the_run_is_estimated_from_the_present_speed() -> None:
    config = Config.model_validate(
        {
            "task": "cheetah/run",
            "search": {"generations": 3, "candidates": 2},
            "training": {"steps": 500},
            "evaluation": {"report_seeds": 4},
        }
    )
    progress = Progress(config, Clock())
    for event in story()[:8]:
        progress.update(event)
    # 750 left of this training, two generations of 2 x 500, and 3 rewards x 4 seeds x 500
    assert progress.seconds_left == pytest.approx((750 + 2 * 1000 + 6000) / 50)
    assert progress.cost_so_far["steps"] == 250


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (75, "1 min 15 s"), (7290, "2 h 01 min")]
)
def test_durations_are_told_as_people_do(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_json_has_no_nan_and_keeps_paths_and_records() -> None:
    document = jsonable({"a": math.nan, "b": [math.inf, 1.5], "c": Path("x"), "d": Problem("k", "v", 2), "e": b""})
    record = {"stage": "k", "message": "v", "line": 2}
    wanted = {"a": None, "b": [None, 1.5], "c": "x", "d": record, "e": None}
    assert json.loads(json.dumps(document, allow_nan=False)) == wanted


def test_assignments_are_read_as_yaml() -> None:
    found = parse_assignments(["a.b=3e-4", "c=1e6", "d=[32, 32]", "e=true", "f=text", "g=null", "h=", "i=x=y"])
    assert found == {
        "a.b": 3e-4, "c": 1_000_000, "d": [32, 32], "e": True, "f": "text", "g": None, "h": None, "i": "x=y",
    }  # fmt: skip
    assert isinstance(found["c"], int)
    for wrong in ("a", "=3", "a..b=1", "a=[1"):
        with pytest.raises(UsageError, match="--set"):
            parse_assignments([wrong])


def test_races_and_second_measurements_are_told() -> None:
    screen, out = terminal()
    progress = Progress(None)
    lines = Lines(progress, screen, Clock())
    why = "stopped at rung 1 of 3 (200 of 1,000 steps): 0.4 lies below"
    for event in (
        *story()[:7],
        events.MemberStopped("r0g0c0", 3, 200, why + NASTY),
        events.Scored("r0g0c0", 9.0, 0.0, "trained", stopped=True),
        events.Scored("r0g0c2", 2.5, 0.0, "trained", stopped=False),
        events.TrainingStarted(2, 2000, "again"),
        events.Remeasured("r0g0c2", 2.5, 2.0),
    ):
        lines(event)
    text = out.getvalue()
    assert_harmless(text)
    assert "r0g0c0, seed 3: stopped at rung 1 of 3" in text
    assert "r0g0c0: score 9 when it was stopped" in text
    assert "training 2 policies on fresh seeds, to measure the best again" in text
    assert "r0g0c2: 2.5 when it was chosen, 2 on fresh seeds" in text
    assert progress.rows["r0g0c0"].status == "stopped" and progress.rows["r0g0c0"].problem.startswith(why)
    assert progress.best == ("r0g0c2", 2.5)  # who was stopped is not the best so far, whatever its score
