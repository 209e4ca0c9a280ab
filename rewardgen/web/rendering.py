"""Fills the templates in. Everything that is no markup of ours is escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request

from rewardgen import text
from rewardgen.report import code
from rewardgen.report.page import environment

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> jinja2.Environment:
    made = environment(TEMPLATES)  # the report's macros draw the same things here
    made.filters.update(cut=code.cut, when=when, problem=problem, duration=text.duration, unit_suffix=text.unit_suffix)
    return made


def page(template: str, request: Request | None, **values: Any) -> str:
    """``template`` as text, with whoever asks for it; ``request`` is None where nobody is known yet."""
    state = request.state if request is not None else None
    known = {"visitor": None, "csrf": "", "may_act": False}
    if state is not None:
        known = {"visitor": state.visitor, "csrf": state.csrf, "may_act": state.may_act}
    return _environment().get_template(template).render(**known, **values)


def when(time: str) -> str:
    """A stored time as people write it, in UTC; as it is where it is none."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC).strftime("%d %b %Y, %H:%M UTC")
    except ValueError:
        return time


def problem(text: object) -> str:
    """What went wrong, at a length that a table bears."""
    told = " ".join(str(text).split())
    return told if len(told) <= 300 else told[:300] + "…"
