"""The panel on a run's result: true words, bars on one scale, and intervals that end where no fitness can lie."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rewardgen.errors import SimulationFailed
from rewardgen.records import Evaluation
from rewardgen.report import facts
from rewardgen.report.choices import choice_reason
from rewardgen.report.page import render
from rewardgen.report.result import Word, result, status_word, text_bar
from rewardgen.sim.rendering import renderer
from rewardgen.store import FinalView, RunView, Store, Waiting, glance, read
from tests.replay.made import make_run

WAITING = Waiting(0, 0, ("r0g0c0", "r0g0c1"), (), 1, 1, "2026-03-02T10:00:00+00:00", "2026-03-03T10:00:00+00:00")


def measured(mean: float, low: float, high: float, success: float = 0.0, seeds: int = 3) -> Evaluation:
    episodes = tuple((low, 2 * mean - low) for _ in range(seeds))
    return Evaluation(episodes, mean, low, high, success)


def with_scores(view: RunView, winner: Evaluation, *others: Evaluation) -> RunView:
    """``others``: of the expert's and the sparse reward. Success is from 1.5 m/s."""
    finals = [
        FinalView(name, (), each) for name, each in zip(("winner", "expert", "sparse"), (winner, *others), strict=False)
    ]
    return replace(view, finals=tuple(finals), status="finished", waiting=None)


@pytest.mark.parametrize(
    ("scores", "word"),
    [
        ([measured(2.0, 1.6, 2.4, 1.0)], "works"),  # above the threshold of success
        ([measured(1.0, 0.8, 1.2), measured(1.1, 0.9, 1.3), measured(0.3, 0.2, 0.4)], "works"),  # above the sparse one
        ([measured(1.0, 0.2, 1.8, 0.1), measured(1.1, 0.9, 1.3), measured(0.3, 0.2, 0.4)], "inconclusive"),
        ([measured(1.0, 0.8, 1.2, seeds=1), measured(0.5, 0.4, 0.6)], "inconclusive"),  # one seed shows nothing
        ([measured(0.0, 0.0, 0.0)], "nothing learned"),
        ([measured(0.05, 0.0, 0.1), measured(0.0, 0.0, 0.0)], "nothing learned"),
        ([measured(0.05, 0.0, 0.1, 0.1)], "inconclusive"),  # some episodes were a success
        ([measured(float("nan"), float("nan"), float("nan"))], "inconclusive"),
    ],
)
def test_the_word_follows_from_intervals(good_run: RunView, scores: Sequence[Evaluation], word: Word) -> None:
    found = result(with_scores(good_run, *scores))
    assert found.word == word and found.why and found.next


def test_the_next_command_reaches_the_same_model_and_task_files(good_run: RunView) -> None:
    def command(scores: Evaluation, **llm: str) -> str:
        config = {"training": {"steps": 1000}, "llm": {"key_variable": "OPENAI_API_KEY", **llm}}
        view = replace(good_run, config=config, author="qwen", envs=(Path("my tasks"),))
        return result(with_scores(view, scores)).next[0].command

    again = "rewardgen run hopper/run --envs 'my tasks' --llm qwen"
    url = "http://127.0.0.1:8000/v1"
    assert command(measured(1.0, 0.2, 1.8, 0.1)).startswith(f"{again} --report-seeds")
    assert command(measured(0.0, 0.0, 0.0), base_url=url).startswith(f"{again} --base-url {url} --steps")
    own_key = command(measured(0.0, 0.0, 0.0), base_url=url, key_variable="MY_KEY")
    assert f"--base-url {url} --set llm.key_variable=MY_KEY --steps" in own_key
    assert "rewardgen train hopper/run --envs 'my tasks' --reward" in command(measured(2.0, 1.6, 2.4, 1.0))


def test_the_word_for_a_run_that_has_not_ended_well(good_run: RunView) -> None:
    failed = result(replace(good_run, status="failed", message="the endpoint refused the key"))
    assert (failed.word, failed.why) == ("failed", "the endpoint refused the key")
    assert failed.next[0].command.startswith("rewardgen resume ")
    assert result(replace(good_run, status="interrupted")).word == "stopped"
    assert result(replace(good_run, status="running")).word == "running"
    assert result(replace(good_run, status="running", waiting=WAITING)).word == "waiting for you"
    nothing = result(replace(good_run, status="finished", winner=None, finals=()))
    assert nothing.word == "no reward found" and "candidates could be trained" in nothing.why


def test_a_list_of_runs_has_the_same_words(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", task="cartpole/swingup", candidates=2, finals=())
    with Store(run_dir) as store:
        store.set_meta(status="running", waiting=WAITING.facts)
        assert status_word(glance(run_dir)) == result(read(run_dir)).word == "waiting for you"
        store.set_meta(waiting=None, asking=["/runs/run/dialog/001-generation-0f3a5b7c9d1e.md"])
        found = result(read(run_dir))
        assert status_word(glance(run_dir)) == found.word == "waiting for answers"
        assert "001-generation-0f3a5b7c9d1e.md in /runs/run/dialog" in found.why
        store.set_meta(asking=None)
        assert status_word(glance(run_dir)) == result(read(run_dir)).word == "running"
        store.set_meta(asking=["/elsewhere/002-repair-0f3a5b7c9d1e.md"])
    assert status_word(glance(run_dir)) == result(read(run_dir)).word == "stopped"  # nobody holds it
    with Store(run_dir) as store:
        store.set_meta(status="finished", winner=None)
    assert status_word(glance(run_dir)) == result(read(run_dir)).word == "no reward found"


def test_bars_lie_on_one_scale(good_run: RunView) -> None:
    found = result(with_scores(good_run, measured(1.0, 0.5, 2.0), measured(0.5, 0.0, 1.0)))
    winner, expert, sparse = found.bars
    # from 0 to 2 with a margin of 3 % of that at the upper end
    assert (winner.start, winner.end) == (0.0, pytest.approx(1.0 / 2.06, abs=1e-4))
    assert (winner.low, winner.high) == (pytest.approx(0.5 / 2.06, abs=1e-4), pytest.approx(2.0 / 2.06, abs=1e-4))
    assert expert.low == 0.0 and found.success == pytest.approx(1.5 / 2.06, abs=1e-4)
    assert not sparse.measured and sparse.value == "not measured"
    drawn = text_bar(winner, found.success, width=20)
    assert len(drawn) == 21 and drawn.count("=") == 11 and drawn[15] == "|" and drawn[16:20] == "----"


def test_intervals_end_where_no_fitness_can_lie(good_run: RunView) -> None:
    candidate = replace(next(iter(good_run.candidates.values())), score=0.3, low=-0.4, high=11.0)
    assert facts.interval(good_run, candidate) == "-0.40 to 11.0"  # nothing is known of its task's range
    bounded = replace(good_run, task={**good_run.task, "fitness_range": [0.0, 10.0]})
    assert facts.interval(bounded, candidate) == "0 to 10.0"
    half = replace(good_run, task={**good_run.task, "fitness_range": [None, 0.0]})
    assert facts.interval(half, replace(candidate, low=-3.0, high=0.5)) == "-3.00 to 0"


def test_a_choice_over_a_higher_score_is_explained(good_run: RunView) -> None:
    generation = good_run.generations[0]
    chosen, other = generation.candidates[:2]
    chosen = replace(chosen, score=1.0, low=0.8, high=1.2, selected=True, again=())
    other = replace(other, score=1.4, low=0.3, high=2.5, selected=False, again=())
    view = replace(good_run, winner=None, generations=(replace(generation, candidates=(chosen, other)),))
    assert choice_reason(view, other) == ""
    assert choice_reason(view, chosen) == (
        f"carried on over {other.key}, whose score is higher (1.40 m/s), because the low end of its interval is higher "
        "(0.80 against 0.30)"
    )
    won = replace(view, winner=chosen.key)
    assert choice_reason(won, chosen).startswith(f"the winner over {other.key}, ")
    lower = replace(other, score=0.9)
    alone = replace(view, generations=(replace(generation, candidates=(chosen, lower)),))
    assert choice_reason(alone, chosen) == "carried on with the highest score of its generation"


def test_the_report_carries_the_winners_film_and_files(tmp_path: Path) -> None:
    try:
        renderer()
    except SimulationFailed as error:
        pytest.skip(f"nothing can draw here: {error}")
    run_dir = make_run(tmp_path / "run", task="cartpole/swingup", candidates=2, finals=("winner",))
    (run_dir / "export").mkdir()
    (run_dir / "export" / "reward.py").write_text("# mine\n")
    (run_dir / "export" / "README.md").write_text("Found in the run `run` (candidate r0g0c1, written by x).")
    page = render(read(run_dir))
    assert "<video" not in page and "download=" not in page  # no film yet, and the export is of another candidate
    (run_dir / "export" / "README.md").write_text("Found in the run `run` (candidate r0g0c0, written by x).")
    page = render(read(run_dir), film=True)
    (film,) = re.findall(r'<source src="data:video/mp4;base64,([^"]+)"', page)
    assert base64.b64decode(film)[4:8] == b"ftyp" and "media-src data:" in page
    (reward,) = re.findall(r'href="data:[^,]+,([^"]+)" download="reward.py"', page)
    assert base64.b64decode(reward) == b"# mine\n"
