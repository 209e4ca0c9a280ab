"""Choices under noise: lower bounds, fresh seeds for the leader, further seeds for finalists, in whole searches too."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scipy import stats

from rewardgen import config, search
from rewardgen.config import load
from rewardgen.errors import BudgetExceeded, ConfigError
from rewardgen.records import Checkpoint, Forecast, Problem, RewardProgram, TrainingResult
from rewardgen.search import Event
from rewardgen.search.candidate import Candidate, History
from rewardgen.search.events import TrainingStarted
from rewardgen.search.rank import best_of, bounded, former_points, planned_steps, winner_of
from rewardgen.store import RunView, Store, curse_records, race_record, read, screening_record
from tests.search import tiny
from tests.search.model_server import model_server
from tests.search.test_search import EUREKA

SMALL: dict[str, Any] = {
    **tiny.SEARCH,
    "task": "reacher/reach",
    "llm.model": "offline",
    "search.generations": 2,
    "search.candidates": 4,
    "search.racing.share": 0.5,
    "search.screening.enabled": True,
    "search.confidence": 0.8,
    "search.remeasure": 1,
    "training.steps": 2048,
    "training.checkpoints": 4,
}


def scored(key: str, score: float | None, low: float | None = None, **more: Any) -> Candidate:
    return Candidate(key, program=RewardProgram(f"code of {key}"), score=score, low=low, **more)


def test_the_lower_bound_ranks_and_the_stopped_stand_behind() -> None:
    sure, lucky = scored("sure", 2.0, 1.8), scored("lucky", 2.5, 1.0)
    assert best_of([lucky, sure]) == sure
    stopped = scored("stopped", 9.0, 8.0, stopped=True)
    assert best_of([stopped, lucky]) == lucky
    assert best_of([stopped, scored("failed", None), scored("nan", math.nan, math.nan)]) == stopped


def test_only_a_confirmed_leader_wins() -> None:
    confirmed, lucky = scored("a", 2.0, 1.0, fresh_score=1.5), scored("b", 2.5, 2.0)
    assert winner_of([lucky, confirmed]) == confirmed
    assert winner_of([lucky, scored("a", 2.0, math.nan, fresh_score=math.nan)]) == lucky  # its fresh trainings failed
    assert winner_of([lucky, scored("c", 3.0)]) == scored("c", 3.0)
    assert winner_of([]) is None


def run(tmp_path: Path, name: str = "run", listener: Any = search.silent, **changes: Any) -> RunView:
    settings = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return search.run(load(overrides=settings), tmp_path / name, listener=listener)


@pytest.mark.slow
def test_a_search_with_everything_on(tmp_path: Path) -> None:
    events: list[Event] = []
    view = run(tmp_path, listener=events.append)
    assert view.status == "finished"
    steps = 0
    for generation in view.generations:
        trained = [c for c in generation.candidates if c.trainings]
        done = [c for c in trained if not c.stopped]
        assert done and len(done) < len(trained)
        for candidate in trained:
            statuses = {t.status for t in candidate.trainings}
            assert statuses == ({"stopped"} if candidate.stopped else {"done"})
            bests = [p.fitness for t in candidate.trainings for p in t.curve if p.chosen]
            assert len(bests) == len(candidate.trainings)
            assert candidate.score == pytest.approx(sum(bests) / len(bests))
            assert candidate.low is not None and candidate.high is not None
            if not candidate.again:  # else the interval is that of fresh seeds too
                assert candidate.low <= candidate.score <= candidate.high
            assert candidate.forecast is not None and candidate.forecast.episodes > 0
            assert ("stopped early, after" in candidate.reflection) == bool(candidate.stopped)
        # the race took its share at most, and what it saved paid for the rest
        record = race_record(generation, 1, 2048)
        assert record is not None and record.stopped == len(trained) - len(done)
        by_hand = sum(t.steps for c in trained for t in c.trainings)
        assert record.steps + record.further * 2048 == by_hand
        assert record.steps <= 0.5 * record.full and record.full == 2048 * len(trained)
        again = [c for c in trained if c.again]
        assert by_hand + sum(t.steps for c in again for t in c.again) <= record.full + 2048
        steps += by_hand + sum(t.steps for c in again for t in c.again)
        # the parent was measured again, on seeds that nothing else had
        chosen = next(c for c in generation.candidates if c.selected)
        assert chosen in again and not chosen.stopped
        assert "measured again with 1 fresh seeds" in chosen.reflection
        fresh = {t.seed for c in again for t in c.again}
        assert not fresh & {t.seed for c in trained for t in c.trainings}
    assert view.cost.steps == steps + sum(t.steps for final in view.finals for t in final.trainings)
    assert view.winner is not None and view.candidates[view.winner].again
    assert [record.final is not None for record in curse_records(view)].count(True) == 1
    kinds = Counter(event.kind for event in events)
    assert kinds["stopped"] == sum(t.status == "stopped" for c in view.candidates.values() for t in c.trainings)
    assert kinds["remeasured"] == sum(bool(c.again) for c in view.candidates.values())


@pytest.mark.slow
def test_the_finalists_trainings_are_those_of_a_search_without_a_race(tmp_path: Path) -> None:
    changes = {"search__generations": 1, "search__screening": False, "search__remeasure": 0}
    raced = run(tmp_path, "a/run", **changes)
    whole = run(tmp_path, "b/run", search__racing=False, **changes)
    finalists = 0
    for key, candidate in raced.candidates.items():
        full = {t.seed: t for t in whole.candidates[key].trainings}
        for training in candidate.trainings:
            if training.seed in full:
                finalists += training.status == "done"
                # But for the checkpoint that the score was measured at, which a longer training may have later
                points = zip(training.curve, full[training.seed].curve, strict=False)
                assert all(mine == theirs for mine, theirs in points if not (mine.chosen or theirs.chosen))
                assert training.status == "stopped" or training.curve == full[training.seed].curve
                assert training.status == "stopped" or training.steps == full[training.seed].steps
    assert finalists >= 1


@pytest.mark.slow
def test_a_resumed_search_comes_to_the_same(tmp_path: Path) -> None:
    """Stopped by Ctrl-C at the first race, then at the second measurement of a leader, then at the second race."""
    undisturbed = run(tmp_path, "a/run")
    settings = load(overrides=SMALL)
    stops = ["stopped", "remeasured", "remeasured", "stopped"]

    def interrupting(event: Event) -> None:
        if stops and event.kind == stops[0]:
            stops.pop(0)
            raise KeyboardInterrupt

    folder = tmp_path / "b" / "run"
    with pytest.raises(KeyboardInterrupt):
        search.run(settings, folder, listener=interrupting)
    while stops:
        with pytest.raises(KeyboardInterrupt):
            search.resume(folder, listener=interrupting)
    view = search.resume(folder)

    def told(view: RunView) -> list[Any]:
        return [
            (
                replace(c, trainings=(), again=(), attempts=()),
                [replace(t, seconds=0.0) for t in (*c.trainings, *c.again)],
                [(a.source, a.problems) for a in c.attempts],
            )
            for c in view.candidates.values()
        ]

    assert told(view) == told(undisturbed)
    assert view.winner == undisturbed.winner and view.cost.steps == undisturbed.cost.steps


@pytest.mark.slow
def test_what_was_scored_before_the_budget_ended_still_counts(tmp_path: Path) -> None:
    """The budget ends while the leader of the first generation is measured again."""

    def ending(event: Event) -> None:
        if isinstance(event, TrainingStarted) and event.what == "again":
            raise BudgetExceeded("nothing is left")

    changes = {"search__candidates": 2, "search__racing": False, "search__screening": False, "training__steps": 512}
    view = run(tmp_path, listener=ending, **changes)
    assert view.status == "finished" and len(view.generations) == 1
    scores = {candidate.key: candidate.low for candidate in view.candidates.values() if candidate.low is not None}
    assert len(scores) == 2 and view.winner == max(scores, key=lambda key: scores[key])
    assert not any(candidate.again for candidate in view.candidates.values())
    messages = [str(event.data["message"]) for event in view.events if event.kind == "warning"]
    assert any("no further generation: nothing is left" in message for message in messages)


@pytest.mark.slow
def test_the_switches_give_the_published_method(tmp_path: Path) -> None:
    view = run(tmp_path, **{key.replace(".", "__"): value for key, value in EUREKA.items()})
    trained = [c for c in view.candidates.values() if c.trainings]
    assert all([t.status for t in c.trainings] == ["done"] and not c.again and c.forecast is None for c in trained)
    for generation in view.generations:
        scores = {c.key: c.score for c in generation.candidates if c.score is not None}
        assert next(c.score for c in generation.candidates if c.selected) == max(scores.values())
    assert not list((tmp_path / "run" / "artifacts").glob("*.episodes.*"))
    assert screening_record(view) is None and curse_records(view) == []


@pytest.mark.slow
def test_those_that_order_episodes_worst_are_left_out(tmp_path: Path) -> None:
    view = run(tmp_path, search__screening__keep=0.5, search__generations=1, search__racing=False)
    trained = [c for c in view.candidates.values() if c.trainings]
    left = [c for c in view.candidates.values() if c.forecast is not None and c.forecast.left_out]
    assert len(trained) == len(left) == 2 and {c.status for c in left} == {"rejected"}
    assert all("order stored episodes better" in str(c.problems[0]) for c in left)

    def share(candidate: Any) -> float:
        return candidate.forecast.agreement

    assert min(map(share, trained)) >= max(map(share, left))
    record = screening_record(view)
    assert record is not None and record.left_out == 2


def copies(messages: list[dict[str, str]], n: int, field_name: str) -> list[str]:
    """Replies that differ in scale alone, other scales for a repair."""
    scales = [2.0 + number + 10.0 * len(messages) for number in range(n)]
    reward = (
        "```python\ndef compute_reward(state, action, next_state):\n    value = {scale} * next_state.{field}.reshape("
    )
    reward += 'len(next_state), -1)[:, 0]\n    return value, {{"value": value}}\n```'
    return [reward.format(scale=scale, field=field_name) for scale in scales]


@pytest.mark.parametrize("audit", [0.0, 1.0])
def test_copies_go_back_or_are_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, audit: float) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-tests")
    changes = {"search__generations": 1, "search__candidates": 3, "search__repairs": 1, "search__racing": False}
    with model_server("fingertip_position", copies) as server:
        model = {"llm__model": "a-model", "llm__base_url": server.url}
        view = run(tmp_path, search__screening__audit=audit, search__remeasure=0, **model, **changes)
    first, *others = view.candidates.values()
    record = screening_record(view)
    assert first.status == "trained" and first.forecast is not None and record is not None
    for other in others:
        assert other.forecast is not None and other.forecast.nearest == "r0g0c0"
        assert other.forecast.distance == pytest.approx(0.0, abs=1e-3)
    if audit:
        assert all(other.status == "trained" and len(other.attempts) == 1 for other in others)
        # the trainer scales rewards to unit size, so copies train alike: refusing them would have been right
        assert (record.copies, record.audited, record.alike) == (0, 2, 2)
    else:
        assert all(other.status == "rejected" and len(other.attempts) == 2 for other in others)
        assert {problem.stage for other in others for a in other.attempts for problem in a.problems} == {"copy"}
        repair = next(call for call in view.calls if call.purpose == "repair")
        assert "Write another reward" in repair.messages[-1].content and "r0g0c0" in repair.messages[-1].content
        assert (record.copies, record.audited) == (4, 0)


def test_settings_can_be_switched_in_short() -> None:
    defaults = load(overrides={"task": "x/y"}).search
    assert defaults.racing.enabled and defaults.screening.enabled
    assert not load(overrides={"task": "x/y", "search.racing": False}).search.racing.enabled
    assert not load(overrides={"task": "x/y", "search.screening": False}).search.screening.enabled
    kept = load(overrides={"task": "x/y", "search.racing.share": 0.25}).search.racing
    assert kept.enabled and kept.share == 0.25
    with pytest.raises(ConfigError, match="did you mean search.racing.share"):
        load(overrides={"task": "x/y", "search.racing.shares": 0.25})


def test_planned_steps_bound_a_generation() -> None:
    settings = load(overrides=SMALL | {"search.seeds": 3, "search.remeasure": 2})
    assert planned_steps(settings) == (4 * 3 + 2 * 2) * 2048
    assert planned_steps(load(overrides=SMALL | EUREKA)) == 4 * 2048


# ---- what screening foresaw, worked out by hand


def candidate_in(store: Store, key: str, fitness: float, forecast: Forecast, low: float, high: float) -> None:
    store.add_attempt(key, 0, "r0g0", 0, f"code of {key}", [], "", forecast)
    point = Checkpoint(10, fitness, 0.0, 0.0, 0.0, {}, {}, 1.0, {}, 0.0, 2)
    store.add_trainings([(key, TrainingResult(key, 0, "done", "", (point,), None, 10, 0.0))])
    store.add_score(key, "trained", fitness, "", low, high)


def test_screening_is_measured_against_training(tmp_path: Path) -> None:
    with Store(tmp_path, new=True) as store:
        store.begin_generation(0, 0, [])
        store.begin_candidates(0, 0, {f"r0g0c{k}": None for k in range(5)})
        candidate_in(store, "r0g0c0", 1.0, Forecast(9, 36, 0.9, None, None), 0.9, 1.1)
        candidate_in(store, "r0g0c1", 2.0, Forecast(9, 36, 0.6, "r0g0c0", 0.4), 1.9, 2.1)
        candidate_in(store, "r0g0c2", 0.5, Forecast(9, 36, 0.5, "r0g0c0", 0.4), 0.4, 0.6)
        # a copy of c0 that trained like it, and nothing is known of how it orders episodes
        candidate_in(store, "r0g0c3", 1.05, Forecast(9, 2, None, "r0g0c0", 0.001, audit=True), 0.9, 1.2)
        problem = Problem("copy", "this pays for the same as r0g0c1")
        store.add_attempt("r0g0c4", 0, "r0g0", 4, "code", [problem], "", Forecast(9, 36, 0.6, "r0g0c1", 0.0))
    record = screening_record(read(tmp_path))
    assert record is not None
    # told apart and ranked: c0 < c1 (ranked wrong), c2 < c0 and c2 < c1 (right)
    assert (record.told_apart, record.right) == (3, 2)
    assert (record.copies, record.audited, record.alike, record.left_out) == (1, 1, 1, 0)


def test_intervals_need_every_training_and_learn_from_former_ones(tmp_path: Path) -> None:
    point = Checkpoint(10, 1.0, 0.1, 0.0, 0.0, {}, {}, 1.0, {}, 0.0, 4)
    good = TrainingResult("a", 0, "done", "", (point,), None, 10, 0.0)
    bad = TrainingResult("a", 1, "failed", "crash", (point,), None, 10, 0.0)
    with Store(tmp_path, new=True) as store:
        settings = config.load(overrides={"task": "x/y", "search.confidence": 0.8})
        services: Any = SimpleNamespace(config=settings, store=store)
        history = History(tried={"before": RewardProgram("code")})

        def intervals(**trainings: list[TrainingResult]) -> dict[str, Candidate]:
            mine = [scored(key, 1.0, trainings=tuple(of_key)) for key, of_key in trainings.items()]
            return {each.key: each for each in bounded(settings, mine, former_points(services, history))}

        def low_and_high(candidate: Candidate) -> tuple[float, float]:
            assert candidate.low is not None and candidate.high is not None
            return candidate.low, candidate.high

        found = {key: low_and_high(each) for key, each in intervals(a=[good], b=[good, bad], c=[]).items()}
        assert found["a"][0] < 1.0 < found["a"][1]
        assert math.isnan(found["b"][0]) and math.isnan(found["c"][0])
        # a former candidate that was 5 apart from one seed to the next, the second of them a fresh one
        for owner, fitness in (("before", 0.0), ("before/again", 5.0)):
            store.add_trainings([(owner, replace(good, curve=(replace(point, fitness=fitness),)))])
        low, high = low_and_high(intervals(a=[good])["a"])
        assert high - low == pytest.approx(2 * stats.t.ppf(0.9, 1) * math.sqrt(12.5))
