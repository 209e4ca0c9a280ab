"""Programs for a page: highlighted, and as differences from their parents. All text is escaped."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

LIMIT = 40_000
"""Max. length of a program that is highlighted, in characters; a longer one is cut, which the page says."""
DIFF_LINES = 1500
"""Max. number of lines of a program that is compared with its parent."""

_FORMATTER = HtmlFormatter(nowrap=True, classprefix="k-")


@dataclass(frozen=True)
class DiffLine:
    """A line. ``kind`` is "same", "added", "removed" or "place" (which says where the next lines stand)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Diff:
    """The differences of a program from its parent; ``note`` says why there are none."""

    lines: tuple[DiffLine, ...]
    added: int
    removed: int
    note: str = ""


def cut(text: str, limit: int = LIMIT) -> str:
    """Return at most ``limit`` characters of ``text``, and how many are missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[{len(text) - limit} more characters are in the store]"


def highlighted(source: str) -> Markup:
    """Return Python source as spans with classes, for a ``<pre>``."""
    return Markup(highlight(cut(source), PythonLexer(stripnl=False), _FORMATTER))


def diff(parent: str, child: str) -> Diff:
    """Return what changed from ``parent`` to ``child``, with three lines around each change."""
    before, after = parent.strip().splitlines(), child.strip().splitlines()
    # difflib takes quadratic time
    if max(len(before), len(after)) > DIFF_LINES or max(len(parent), len(child)) > LIMIT * 4:
        return Diff((), 0, 0, "too long to compare")
    lines = []
    # The first two lines name the files
    for line in list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]:
        kind = {"+": "added", "-": "removed", "@": "place"}.get(line[:1], "same")
        lines.append(DiffLine(kind, line if kind == "place" else line[1:]))
    added = sum(line.kind == "added" for line in lines)
    removed = sum(line.kind == "removed" for line in lines)
    return Diff(tuple(lines), added, removed, "" if lines else "the same program as its parent")


def styles() -> Markup:
    """Return the CSS of highlighted code, for light and dark pages."""
    # The page's own rules cover everything but the code
    light = HtmlFormatter(style="friendly", classprefix="k-")
    dark = HtmlFormatter(style="github-dark", classprefix="k-")
    rules = "\n".join(line for line in light.get_style_defs("pre.code").splitlines() if ".k-" in line)
    dark_rules = "\n".join(line for line in dark.get_style_defs("pre.code").splitlines() if ".k-" in line)
    return Markup(f"{rules}\n@media (prefers-color-scheme: dark) {{\n{dark_rules}\n}}")
