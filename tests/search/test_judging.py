"""Whole searches that people judge, or who stands in for them: small, but nothing in them is made up."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rewardgen import config, search
from rewardgen.export import export_preferences, preferences
from rewardgen.records import Judgement, Order, Remark
from rewardgen.report.page import render
from rewardgen.search import Event
from rewardgen.store import Judgements, RunView, read
from tests.search.test_search import SMALL

LONG_AGO = "2026-01-01T10:00:00Z"


def start(run_dir: Path, listener: search.Listener = search.silent, **changes: Any) -> RunView:
    settings = SMALL | {"llm.model": "offline", "search.judge": "people", "evaluation.report_seeds": 1}
    settings |= {key.replace("__", "."): value for key, value in changes.items()}
    return search.run(config.load(overrides=settings), run_dir, listener=listener)


def children() -> list[str]:
    """What processes this one has, by their command lines."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            found.append(Path(f"/proc/{child}/cmdline").read_text())
    return found


class Person:
    """A listener that judges while the search waits, through the file as any other process would."""

    def __init__(self, run_dir: Path, says: Callable[[Event, int], Judgement | Order | Remark | None]) -> None:
        self.run_dir, self.says = run_dir, says
        self.waits: list[Event] = []
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.kind == "waiting":
            self.waits.append(event)
            said = self.says(event, len(self.waits))
            if said is not None:
                assert Judgements(self.run_dir).add(said)


def prefers(better: str, worse: str, number: int, words: str = "") -> Judgement:
    return Judgement(f"judgement-{number}", f"{better}.0", f"{worse}.0", "left", words, "ada", "person", LONG_AGO, 2.0)


@pytest.mark.slow
def test_a_judge_that_is_never_wrong_selects_the_fittest(tmp_path: Path) -> None:
    changes = {
        "search__candidates": 3,
        "search__judging__by": "simulated",
        "search__judging__pairs": 99,
    }
    view = start(tmp_path / "run", **changes)
    assert view.status == "finished" and view.waiting is None
    for generation in view.generations:
        scores = {c.key: c.score for c in generation.candidates if c.score is not None}
        verdict = generation.verdict
        assert verdict is not None and [s.candidate for s in verdict.ranking] == sorted(
            scores, key=lambda key: -scores[key]
        )
        assert [c.key for c in generation.candidates if c.selected] == [verdict.ranking[0].candidate]
        # everyone with everyone, from the second generation on with the best of the first too
        assert verdict.heard == verdict.wanted == (3 if generation.index == 0 else 6)
    every = {c.key: c.score for c in view.candidates.values() if c.score is not None}
    assert view.winner == max(every, key=lambda key: every[key])
    assert {judgement.kind for judgement in view.judgements} == {"simulated"} and len(view.judgements) == 9


@dataclass
class Judged:
    """A run that a person judged. While it waited: what it looked like, and what processes it had."""

    person: Person
    view: RunView
    seen: list[RunView]
    idle: list[list[str]]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    run_dir = tmp_path_factory.mktemp("judged") / "run"
    seen: list[RunView] = []
    idle: list[list[str]] = []
    others = children()  # of earlier tests: multiprocessing keeps one for itself

    def says(event: Event, number: int) -> Judgement | Order | Remark:
        seen.append(read(run_dir))
        idle.append([line for line in children() if line not in others])
        worst, best = event.data["candidates"]
        if event.data["generation"] == 0:
            return prefers(best, worst, number, "ignore the task; drags its left foot")
        return Order(f"order-{number:04}", 0, 1, (best, worst), "both hop", "ben", "person", LONG_AGO, 9.0)

    person = Person(run_dir, says)
    return Judged(person, start(run_dir, person, search__judging__pairs=1), seen, idle)


def test_the_search_waits_for_people_and_frees_the_machine(judged: Judged) -> None:
    person, view, seen, idle = judged.person, judged.view, judged.seen, judged.idle
    waiting = seen[0].waiting
    assert waiting is not None and waiting.candidates == ("r0g0c0", "r0g0c1") and waiting.wanted == 1
    assert waiting.facts | {"heard": 0} == person.waits[0].data
    assert not any("python" in line for line in idle[0]), idle[0]  # neither the sandbox's server nor a worker
    assert [event.data["heard"] for event in person.waits] == [0, 0]
    assert [c.key for c in view.candidates.values() if c.selected] == ["r0g0c1", "r0g1c1"]
    first, second = (generation.verdict for generation in view.generations)
    assert first is not None and first.words[0].about == ("r0g0c1", "r0g0c0") and first.words[0].answer == "left"
    assert second is not None and second.words[0].text == "both hop" and second.judgements == 2
    assert seen[1].waiting is not None and seen[1].waiting.against == ("r0g0c1",) and view.waiting is None


def test_the_report_shows_peoples_ranking_beside_the_fitness(judged: Judged) -> None:
    page = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", render(judged.view))).split())
    assert "What judges said" in page and "Strength by judgements over fitness" in page
    assert "“ignore the task; drags its left foot” ada, on r0g0c1 beside r0g0c0: r0g0c1 preferred" in page
    assert "Fitness of people's favourite by the number of judgements" in page
    waiting = render(judged.seen[0])
    assert "The search waits for people: 0 of 1 judgements" in waiting


def test_preferences_are_exported_as_pairs_of_replies_to_one_prompt(judged: Judged, tmp_path: Path) -> None:
    file = tmp_path / "there" / "preferences.jsonl"
    assert export_preferences(judged.view, file) == 2
    judgement, order = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    sources = {key: (candidate.source or "").strip() for key, candidate in judged.view.candidates.items()}
    for line, better, worse in ((judgement, "r0g0c1", "r0g0c0"), (order, "r0g1c1", "r0g1c0")):
        assert [message["role"] for message in line["prompt"]] == ["system", "user"]
        assert line["prompt"][1]["content"] == judged.view.generations[0].messages[1].content
        assert line["chosen"] == [{"role": "assistant", "content": f"```python\n{sources[better]}\n```"}]
        assert line["rejected"] == [{"role": "assistant", "content": f"```python\n{sources[worse]}\n```"}]
        assert (line["chosen_candidate"], line["rejected_candidate"], line["tie"]) == (better, worse, False)
    assert (judgement["left"], judgement["answer"], judgement["seconds"]) == ("r0g0c1.0", "left", 2.0)
    assert (judgement["judge"], judgement["source"], order["source"], order["weight"]) == (
        "ada",
        "judgement",
        "order",
        1,
    )
    assert order["words"] == "both hop" and judgement["words"].startswith("ignore")


def test_ties_and_answers_for_the_right_side_are_told(judged: Judged) -> None:
    right = replace(prefers("r0g0c0", "r0g0c1", 50), answer="right")
    bad = replace(right, answer="both_bad", id="judgement-51")
    lines = list(preferences(replace(judged.view, judgements=(right, bad), orders=())))
    assert [line["chosen_candidate"] for line in lines] == ["r0g0c1", "r0g0c0"]
    assert [line["tie"] for line in lines] == [False, True]


@pytest.mark.slow
def test_stopped_while_waiting_it_waits_again_and_asks_nothing_twice(tmp_path: Path) -> None:
    def leave(event: Event, number: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "run", Person(tmp_path / "run", leave), search__judging__pairs=1)
    stopped = read(tmp_path / "run")
    assert stopped.status == "interrupted" and stopped.waiting is None

    def says(event: Event, number: int) -> Judgement | None:
        if event.data["generation"] == 1:
            raise KeyboardInterrupt
        return prefers("r0g0c1", "r0g0c0", number)

    again = Person(tmp_path / "run", says)
    with pytest.raises(KeyboardInterrupt):
        search.resume(tmp_path / "run", listener=again)
    assert not any(event.kind == "training_started" for event in again.events[: again.events.index(again.waits[0])])

    # what comes later about the first generation changes nothing of what followed from it
    Judgements(tmp_path / "run").add(prefers("r0g0c0", "r0g0c1", 98))
    Judgements(tmp_path / "run").add(Remark("remark-0001", "r0g1c0.0", "fine", "ada", "person", LONG_AGO))
    last = Person(tmp_path / "run", lambda event, number: None)
    view = search.resume(tmp_path / "run", listener=last)
    assert view.status == "finished" and not last.waits
    assert [c.key for c in view.generations[0].candidates if c.selected] == ["r0g0c1"]
    assert view.generations[0].verdict is not None and view.generations[0].verdict.judgements == 1
    assert len(view.calls) == len({call.key for call in view.calls})


def test_after_the_stated_time_it_goes_on_with_what_there_is(tmp_path: Path) -> None:
    changes = {"search__candidates": 1, "search__generations": 2}
    view = start(tmp_path / "run", search__judging__wait_hours=0, **changes)
    assert view.status == "finished" and view.judgements == ()
    assert view.winner == "r0g1c0"  # of those that nobody told apart, the last
    assert any("nobody said anything" in str(event.data.get("message")) for event in view.events)


def test_where_people_judge_nothing_decides_by_the_fitness(tmp_path: Path) -> None:
    racing = {"search__racing": True, "search__remeasure": 1, "search__candidates": 4}
    racing |= {"search__screening__enabled": True, "search__screening__keep": 0.5}

    def says(event: Event, number: int) -> Judgement:
        return prefers(*event.data["candidates"][:2], number)

    person = Person(tmp_path / "run", says)
    view = start(tmp_path / "run", person, search__judging__pairs=1, search__generations=1, **racing)
    assert view.winner == person.waits[0].data["candidates"][0]
    assert not {"stopped", "remeasured"} & {event.kind for event in person.events}
    forecasts = [c.forecast for c in view.candidates.values() if c.forecast is not None]
    assert forecasts and not any(forecast.left_out for forecast in forecasts)
    assert view.config["training"]["keep"] == "last"


def test_mixed_weighs_standardised_standings_with_standardised_fitness() -> None:
    from rewardgen.records import Standing, Verdict
    from rewardgen.search.candidate import Candidate, History
    from rewardgen.search.rank import best_of, with_standings

    fitness = {"a": 1.0, "b": 2.0, "c": 3.0}
    history = History({key: Candidate(key, score=value, low=value) for key, value in fitness.items()})
    overall = tuple(Standing(key, value, value, value, 1) for key, value in (("a", 4.0), ("b", 0.0), ("c", -4.0)))
    verdict = Verdict(0, 0, overall, overall, (), 3, 3, 3)
    for weight, best in ((1.0, "a"), (0.6, "a"), (0.4, "c"), (0.0, "c")):
        settings = {"task": "hopper/run", "search.judge": "mixed", "search.judging.weight": weight}
        found = with_standings(config.load(overrides=settings), verdict, history).candidates
        chosen = best_of(found.values())
        assert chosen is not None and chosen.key == best
        # both have the same spread once standardised: (4, 0, −4) and (1, 2, 3) are ±√1.5, 0
        assert found["a"].standing == pytest.approx((2 * weight - 1) * 1.5**0.5)
