"""Printing for every command: text for people, one JSON document for programs.

Replies, task files and error messages are untrusted text. Whatever goes to a terminal passes through ``safe``, and the
consoles here interpret no markup, so that no text can colour, move or hide another.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

# C0 and C1 control characters except tab and newline, and bidirectional overrides, which make code look like other code
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    """Return ``text`` with every character that a terminal would act on escaped, except tab and newline."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


_PLAIN = str.maketrans(
    {"─": "-", "–": "-", "−": "-", "→": "->", "…": "...", "×": "x", "·": ".", "“": '"', "”": '"', "’": "'"}
)
"""ASCII replacements of the other characters that our own texts use."""


def _replace_unencodable(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that a stream cannot encode by similar ASCII, else by "?"; a codec's error handler."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end].translate(_PLAIN)
    return missing.encode("ascii", "replace").decode(), error.end


codecs.register_error("rewardgen.degraded", _replace_unencodable)


def replace_unencodable(stream: TextIO | None) -> None:
    """Make ``stream`` replace characters that it cannot encode, as with a pipe on Windows, instead of raising.

    If the user chose the error handler (``PYTHONIOENCODING=latin-1:xmlcharrefreplace``), it stays.
    """
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="rewardgen.degraded")


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text literally. A new one for each use: tests and pipes change ``sys.stdout``."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


def write(text: str = "", style: str | None = None) -> None:
    """Print one or more lines on standard output."""
    console().print(Text(safe(text), style=style or ""))


def note(text: str) -> None:
    """Print a remark on standard error, so that it never mixes with output that is piped on."""
    console(stderr=True).print(Text(safe(text), style="dim"))


def print_error(message: str) -> None:
    """Print an error on standard error."""
    screen = console(stderr=True)
    screen.print(Text.assemble(("error: ", "bold red"), safe(message)))


def code(source: str) -> None:
    """Print Python source, highlighted on a terminal."""
    screen = console()
    if screen.is_terminal:
        from rich.syntax import Syntax

        screen.print(Syntax(safe(source), "python", theme="ansi_dark", background_color="default", word_wrap=True))
    else:
        write(source)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Return an empty table; the columns named in ``right`` hold numbers."""
    new = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        new.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return new


def show(renderable: Any) -> None:
    """Print a table or another rich renderable."""
    screen = console()
    if not screen.is_terminal:  # a pipe has no width; make it wide enough that nothing is folded
        screen.width = max(screen.width, 160)
    screen.print(renderable, soft_wrap=False)


def print_json(document: Any) -> None:
    """Print ``document`` as one JSON document on standard output; NaN and infinity, which JSON lacks, become null.

    If the stream cannot encode all of Unicode, non-ASCII characters are escaped, so that none is lost.
    """
    unicode = (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")
    sys.stdout.write(json.dumps(jsonable(document), indent=2, ensure_ascii=not unicode) + "\n")
    sys.stdout.flush()


def jsonable(value: Any) -> Any:
    """Return records, paths, sets, tensors and numbers as values that ``json`` writes; bytes become null.

    Fields of records that are meant for the report alone (a program's output) are omitted.
    """
    # Plain values
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    # Containers and records
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        shown = (field.name for field in fields(value) if not field.metadata.get("report_only"))
        return {name: jsonable(getattr(value, name)) for name in shown}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    # Everything else
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        return jsonable(value.model_dump())
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    return None if isinstance(value, bytes) else str(value)


def shown(value: object) -> str:
    """Return a number with a few digits; anything else as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
