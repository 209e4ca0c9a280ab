"""Figures of next to nothing: axes have a least range, and what is drawn lies within them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rewardgen.records import Checkpoint, TrainingResult
from rewardgen.report import figures
from rewardgen.report.svg import canvas
from rewardgen.store import RunView


@pytest.mark.parametrize(
    ("values", "bottom", "top"),
    [
        ((0.0, 0.0), -0.05, 0.95),  # nothing below zero
        ((1.0, 1.0), 0.5, 1.5),
        ((0.3, 0.32), -0.05, 0.95),
        ((-2.0, -2.0), -2.5, -1.5),
        ((5.0, 9.0), 4.8, 9.2),  # wide enough by itself: left as matplotlib has it
    ],
)
def test_an_axis_has_a_least_range_around_what_is_drawn(values: tuple[float, float], bottom: float, top: float) -> None:
    with canvas() as (_, axes):
        axes.plot([1, 2], values)
        figures._least_span(axes, 1.0)
        assert axes.get_ylim() == pytest.approx((bottom, top), abs=1e-6)
        assert axes.get_ylim()[0] <= min(values) <= max(values) <= axes.get_ylim()[1]


def test_a_curve_that_is_zero_but_for_rounding_is_drawn_flat(good_run: RunView) -> None:
    points = tuple(Checkpoint(s, 1e-13 * s, 0.0, 0.0, 1.0, {"a": 1e-14}, {"a": 0.0}, 9.0, {}, 0.0, 8) for s in (1, 2))
    nothing = TrainingResult("r0g0c0", 0, "done", "", points, None, 2, 1.0)
    candidate = replace(next(iter(good_run.candidates.values())), trainings=(nothing,), again=())
    for picture in (figures.training_curves(good_run, candidate), figures.components(candidate, "x")):
        assert picture is not None
        assert not re.search(r"1e[−-]1\d", str(picture.svg).partition("</desc>")[2])
