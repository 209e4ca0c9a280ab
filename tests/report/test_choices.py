"""How the choice was made, as the report and the terminal tell it: every number worked out by hand."""

from __future__ import annotations

from dataclasses import replace

from rewardgen.cli.output import jsonable
from rewardgen.cli.summary import summary
from rewardgen.records import Checkpoint, Forecast, Problem, TrainingResult
from rewardgen.report.choices import choices, curse_sentence, legibility_of, race_sentence, screening_sentences
from rewardgen.report.page import render
from rewardgen.store.view import AttemptView, CandidateView, RunView
from tests.report.test_report import Page

WHY = "stopped at rung 1 of 3 (200,000 of 1,000,000 steps): 0.41 m/s lies below the 3 that are ahead"


def result(fitness: float, steps: int = 1_000_000, seed: int = 0, message: str = "") -> TrainingResult:
    point = Checkpoint(steps, fitness, 0.1, 0.5, 1.0, {}, {}, 9.0, {}, 0.0, 8)
    return TrainingResult("", seed, "stopped" if message else "done", message, (point,), None, steps, 1.0)


def raced(view: RunView) -> RunView:
    """The good run with a first generation that raced: two finalists of two seeds, four that were stopped."""
    first = view.generations[0]
    made: list[CandidateView] = []
    for number, candidate in enumerate(first.candidates):
        if number in (1, 3):
            trainings: tuple[TrainingResult, ...] = (result(1.5), result(1.7, seed=7))
            candidate = replace(candidate, status="trained", trainings=trainings, score=1.6, low=1.4, high=1.8)
        else:
            trainings = (result(0.41, 200_000, message=WHY),)
            candidate = replace(candidate, status="trained", trainings=trainings, score=0.41, low=0.3, high=0.52)
        forecast = Forecast(32, 120, 0.5 + number / 20, "r0g0c0" if number else None, 0.3 if number else None)
        made.append(replace(candidate, forecast=forecast))
    made[1] = replace(made[1], again=(result(1.2, seed=8), result(1.0, seed=9)))
    copied = AttemptView(0, made[2].attempts[0].reply, "x", (Problem("copy", "this pays for the same as r0g0c1"),))
    made[2] = replace(made[2], attempts=(copied, *made[2].attempts))
    config = {
        **view.config,
        "search": {"generations": 3, "candidates": 6, "seeds": 1},
        "training": {"steps": 1_000_000},
    }
    generations = (replace(first, candidates=tuple(made)), *view.generations[1:])
    return replace(view, config=config, generations=generations)


def test_sentences(good_run: RunView) -> None:
    view = raced(good_run)
    # 4 × 200,000 and 2 × 1,000,000 steps in the race, of 6,000,000; one further seed each
    assert race_sentence(view, view.generations[0]) == (
        "4 of 6 candidates stopped early: 2,800,000 steps instead of 6,000,000 (47 %); "
        "2 further trainings of the finalists"
    )
    assert race_sentence(view, view.generations[1]) == ""
    assert curse_sentence(view) == "The leader lost 0.50 m/s between selection and fresh seeds."  # 1.6 − 1.1
    # finalists 1 (0.55) and 3 (0.65) against 0 (0.50), 2 (0.60), 4 (0.70), 5 (0.75): 1 beats 0, 3 beats 0 and 2
    told = screening_sentences(view)
    assert told[0] == "6 programs were tried on stored episodes before training."
    assert "Of 8 pairs" in told[1] and "right for 3 (38 %" in told[1]
    assert told[2] == "1 program was sent back as a copy of one tried before."
    assert len(told) == 3


def test_the_page_tells_who_stopped_where_and_why(good_run: RunView) -> None:
    view = raced(good_run)
    text = Page(render(view)).text
    assert "Generation 0: 4 of 6 candidates stopped early" in text
    assert text.count(WHY) == 4  # with each program; the table says it shortly
    assert text.count("stopped early: it was behind") == 4
    assert "[1.40 to 1.80]" in text
    leader = next(row for row in choices(view, {}).leaders)
    assert (leader.score, leader.again, leader.gap, leader.final) == ("1.60 m/s", "1.10 m/s", "−0.50 m/s", "")
    assert "Its return orders 55 % of 120 pairs of stored episodes" in text
    assert "Of what was tried before, r0g0c0 is most like it (distance 0.30)" in text


def test_a_winner_that_was_measured_again_shows_all_three_numbers(good_run: RunView) -> None:
    view = replace(raced(good_run), winner="r0g0c1")
    text = Page(render(view)).text
    assert "r0g0c1 was selected out of" in text and "with 1.60 m/s" in text
    assert "Measured again on fresh seeds before it counted, it reached 1.10 m/s" in text
    assert "a gap of −0.26 m/s" in text  # 1.6 − 1.86
    assert choices(view, {}).leaders[0].final == "1.86 m/s"


def test_without_any_of_it_nothing_is_claimed(good_run: RunView, empty_run: RunView, degenerate_run: RunView) -> None:
    for view in (good_run, empty_run, degenerate_run):
        made = choices(view, {})
        assert (made.races, made.leaders, made.curse, made.screening) == ((), (), "", ())
    assert "Nobody was stopped" in Page(render(good_run)).text


def test_json_has_the_same(good_run: RunView) -> None:
    told = jsonable(summary(raced(good_run)))
    assert told["screening"]["told_apart"] == 8 and told["screening"]["right"] == 3
    assert told["leaders"][0]["candidate"] == "r0g0c1"
    first = told["generations"][0]["candidates"]
    assert first[0]["stopped"] == WHY and first[1]["stopped"] is None and first[1]["again"] == 1.1
    assert (first[1]["low"], first[1]["high"]) == (1.4, 1.8)


def test_what_seeds_explain_is_estimated_from_finalists_and_second_measurements(good_run: RunView) -> None:
    told = legibility_of(replace(raced(good_run), generations=raced(good_run).generations[:1]))
    # 1.5, 1.7, 1.2, 1.0 and 1.5, 1.7, of which the first two are of shared seeds: 1.6, 1.6, 1.2, 1.0 and 1.6, 1.6
    # without those seeds' means; 0.27 and 0 of squares with 4 degrees, one of which is spent; means 1.35 and 1.6
    assert told.estimate is not None
    assert (told.estimate.groups, told.estimate.scores, told.estimate.within_df) == (2, 6, 3)
    assert abs(told.estimate.within - 0.27 / 3) < 1e-9
    assert abs(told.estimate.between - max(0.0, 0.03125 - 0.09 * (1 / 4 + 1 / 2) / 2)) < 1e-9
    assert "too few seeds to say more" in told.sentence
