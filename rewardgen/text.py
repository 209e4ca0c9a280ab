"""Numbers, units and durations as text, for prompts, reports, pages and the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "n/a"


def number(value: float | None) -> str:
    """About three significant digits: 1432, 87.4, 0.52, 0.0031, 4.1e-07; what is not finite is ``n/a``."""
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e6 or size < 1e-4:
        return f"{value:.1e}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.1:
        return f"{value:.2f}"
    return f"{value:.2g}"


def as_told(value: float | None) -> float | None:
    """Return ``value`` rounded to the digits that ``number`` shows; None where that is ``n/a``."""
    text = number(value)
    return None if text == MISSING else float(text)


def short_number(value: float | None, unit: str = "") -> str:
    """Return three significant digits in the fewest characters, for the terminal; "–" for None and NaN."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.3g} {unit}".rstrip()


def signed(value: float) -> str:
    """Return ``number`` with its sign: "+0.52", "−0.52"."""
    text = number(value)
    return f"+{text}" if value > 0 else text.replace("-", "−")


def percent(share: float | None) -> str:
    """Return a share in [0, 1] as "61 %"; shares near 0 and 1 keep enough digits not to look like 0 or 1."""
    if share is None or not math.isfinite(share):
        return MISSING
    value = 100 * share
    if 0 < value < 1:
        return "<0.01 %" if value < 0.01 else f"{value:.2g} %"
    if 99 < value < 100:
        return f"{math.floor(value * 10) / 10:.1f} %"
    return f"{value:.0f} %"


def share_as_told(share: float | None) -> float | None:
    """Return a share in [0, 1] rounded to the digits that ``percent`` shows; None where that is ``n/a``."""
    text = percent(share)
    return None if text == MISSING else float(text.strip("< %")) / 100


def arrows(values: Sequence[float]) -> str:
    """Return a quantity over training: "0.12 → 0.85 → 1.91"."""
    return " → ".join(number(value) for value in values) if values else MISSING


def unit_suffix(unit: str) -> str:
    """Return what follows a number of this unit: " m/s", or "" for a pure number (unit "1" or none)."""
    return "" if unit in ("", "1") else f" {unit}"


def duration(seconds: float) -> str:
    """Return "4.2 s", "47 s", "12 min 5 s" or "3 h 20 min"; ``n/a`` for what is not finite."""
    if not math.isfinite(seconds):
        return MISSING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def clock(seconds: float) -> str:
    """Return a duration that changes while it is shown, in a steady width: "5 s", "1 min 05 s", "2 h 01 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def count(amount: int, thing: str, things: str = "") -> str:
    """Return "1 seed" or "3 seeds"; ``things`` is a plural that is not formed with "s"."""
    return f"{amount} {thing if amount == 1 else things or f'{thing}s'}"


def listed(names: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
