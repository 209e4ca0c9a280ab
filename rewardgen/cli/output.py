"""What every command prints with: text for people, one JSON document for programs.

Replies, task files and error messages hold text that nobody vouches for. Whatever goes to a terminal passes through
``safe``, and the consoles here interpret no markup, so that no text can colour, move or hide another.
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

# C0 and C1 control characters but tab and newline, and the bidirectional overrides that make code look like other code.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    """``text`` with every character that a terminal would act on written out as an escape, tab and newline excepted."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


_PLAIN = str.maketrans(
    {"─": "-", "–": "-", "−": "-", "→": "->", "…": "...", "×": "x", "·": ".", "“": '"', "”": '"', "’": "'"}
)
"""ASCII for the characters that our own texts use besides it."""


def _degraded(error: UnicodeError) -> tuple[str, int]:
    """Replace what a stream's encoding lacks: by ASCII that looks alike, else by "?"."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end].translate(_PLAIN)
    return missing.encode("ascii", "replace").decode(), error.end


codecs.register_error("rewardgen.degraded", _degraded)


def degrade(stream: TextIO | None) -> None:
    """Have ``stream`` replace characters that its encoding lacks, as a pipe on Windows does, instead of raising.

    A stream for which the user chose what happens (``PYTHONIOENCODING=latin-1:xmlcharrefreplace``) keeps that.
    """
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="rewardgen.degraded")


def console(*, stderr: bool = False) -> Console:
    """A console that takes text as it is. Made anew for each use: tests and pipes change what ``sys.stdout`` is."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


def write(text: str = "", style: str | None = None) -> None:
    """One line, or several, on standard output."""
    console().print(Text(safe(text), style=style or ""))


def note(text: str) -> None:
    """A remark beside the result: on standard error, so that it never mixes with output that is piped on."""
    console(stderr=True).print(Text(safe(text), style="dim"))


def print_error(message: str) -> None:
    screen = console(stderr=True)
    screen.print(Text.assemble(("error: ", "bold red"), safe(message)))


def code(source: str) -> None:
    """Python source, coloured on a terminal and as it is elsewhere."""
    screen = console()
    if screen.is_terminal:
        from rich.syntax import Syntax

        screen.print(Syntax(safe(source), "python", theme="ansi_dark", background_color="default", word_wrap=True))
    else:
        write(source)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns named in ``right`` hold numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made


def show(renderable: Any) -> None:
    """Print a table or another rich renderable."""
    screen = console()
    if not screen.is_terminal:  # a pipe has no width: wide enough that nothing is folded
        screen.width = max(screen.width, 160)
    screen.print(renderable, soft_wrap=False)


def print_json(document: Any) -> None:
    """``document`` as one JSON document on standard output; NaN and infinity, which JSON lacks, become null.

    Where the stream cannot hold all of Unicode, characters beyond ASCII are escaped, so that none is lost.
    """
    unicode = (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")
    sys.stdout.write(json.dumps(jsonable(document), indent=2, ensure_ascii=not unicode) + "\n")
    sys.stdout.flush()


def jsonable(value: Any) -> Any:
    """Records, paths, sets, tensors and numbers of any kind as what ``json`` writes; bytes are left out (null).

    So are, altogether, the fields of records that are for the report alone: what a program printed.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        shown = (field.name for field in fields(value) if not field.metadata.get("report_only"))
        return {name: jsonable(getattr(value, name)) for name in shown}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        return jsonable(value.model_dump())
    if hasattr(value, "tolist"):
        return jsonable(value.tolist())
    return None if isinstance(value, bytes) else str(value)


def shown(value: object) -> str:
    """A measured number in few digits; anything else as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
