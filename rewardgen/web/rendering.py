"""Render the templates. Values are escaped unless they are our own markup."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request

from rewardgen import text
from rewardgen.config.authors import is_dialog
from rewardgen.report import code
from rewardgen.report.page import environment

TEMPLATES = Path(__file__).parent / "templates"


@cache
def _environment() -> jinja2.Environment:
    """Return the template environment with the report's macros and the filters of these pages."""
    made = environment(TEMPLATES)  # shares macros with the report
    made.filters.update(
        cut=code.cut, when=when, problem=problem, author=author, duration=text.duration, unit_suffix=text.unit_suffix
    )
    return made


def page(template: str, request: Request | None, **values: Any) -> str:
    """Render a template with the visitor's state; ``request`` is None if the visitor is not known yet."""
    # The guard has set the visitor's state
    state = request.state if request is not None else None
    known = {"visitor": None, "csrf": "", "may_act": False}
    if state is not None:
        known = {"visitor": state.visitor, "csrf": state.csrf, "may_act": state.may_act}
    return _environment().get_template(template).render(**known, **values)


def when(time: str) -> str:
    """Format a stored time for people, in UTC; other text is returned unchanged."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC).strftime("%d %b %Y, %H:%M UTC")
    except ValueError:
        return time


def author(name: str) -> str:
    """Name the author of a run's rewards for people: a model's name as it is."""
    if name.startswith("offline"):
        return "the offline author"
    return "a person or an agent" if is_dialog(name) else name


def problem(text: object) -> str:
    """Shorten an error message to one line of at most 300 characters."""
    # Tables have room for a few lines
    told = " ".join(str(text).split())
    return told if len(told) <= 300 else told[:300] + "…"
