"""Numbers, units and durations as text. ``number`` and ``percent`` are tested where prompts use them."""

from __future__ import annotations

import math

import pytest

from rewardgen import text


@pytest.mark.parametrize(("unit", "suffix"), [("m/s", " m/s"), ("1", ""), ("", ""), ("°", " °")])
def test_a_unit_stands_behind_a_number(unit: str, suffix: str) -> None:
    assert text.unit_suffix(unit) == suffix


@pytest.mark.parametrize(
    ("seconds", "still", "running"),
    [
        (0, "0 s", "0 s"),
        (4.25, "4.2 s", "4 s"),
        (47.4, "47 s", "47 s"),
        (59.6, "1 min 0 s", "1 min 00 s"),
        (725, "12 min 5 s", "12 min 05 s"),
        (7290, "2 h 1 min", "2 h 01 min"),
        (-3, "0 s", "0 s"),
    ],
)
def test_durations(seconds: float, still: str, running: str) -> None:
    assert text.duration(seconds) == still and text.clock(seconds) == running


def test_a_duration_that_is_not_known() -> None:
    assert text.duration(math.inf) == text.duration(math.nan) == "n/a"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(None, "m", "–"), (math.nan, "m", "–"), (1234.5, "m", "1.23e+03 m"), (0.5, "", "0.5"), (-2, "rad", "-2 rad")],
)
def test_short_numbers(value: float | None, unit: str, shown: str) -> None:
    assert text.short_number(value, unit) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.5, "+0.50"), (-0.5, "−0.50"), (0, "0"), (-2e-7, "−2.0e−07")])
def test_signed_numbers(value: float, shown: str) -> None:
    assert text.signed(value) == shown


def test_counts_and_lists() -> None:
    assert [text.count(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]
    assert [text.count(n, "copy", "copies") for n in (1, 2)] == ["1 copy", "2 copies"]
    assert [text.listed("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
