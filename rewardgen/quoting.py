"""Makes untrusted text safe to stand in a prompt.

Error messages, component names and the like come from code that a language model wrote. Before they are shown to a
language model again they pass through here: one line, printable, of bounded length, unable to open or close a fence or
to look like chat markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from rewardgen.records import Outcome

_CHAT_MARKUP = re.compile(r"<(?=\s*[|/])|(?<=\|)>|\[(?=/?INST\b)", re.IGNORECASE)
_READ = 8  # input characters read per output character, so that a message of megabytes costs nothing


def one_line(text: str, limit: int = 200) -> str:
    """Return ``text`` as at most ``limit`` printable characters on one line.

    Control, formatting, private and surrogate characters are removed (ANSI escapes and bidirectional overrides among
    them), white space becomes single spaces, backticks become apostrophes, and openings of chat markup are broken up.
    """
    cut = text[: limit * _READ]
    line = "".join(
        " " if character.isspace() else character
        for character in cut
        if character.isspace() or not unicodedata.category(character).startswith("C")
    )
    line = _CHAT_MARKUP.sub(" ", line.replace("`", "'").replace("~~~", "---"))
    line = " ".join(line.split())
    if len(line) > limit or len(text) > len(cut):
        line = line[: limit - 1].rstrip() + "…"
    return line


def long_text(text: str, limit: int) -> str:
    """Return ``text`` without control characters, its middle left out if it is longer than ``limit`` characters."""
    if len(text) > limit:
        head, tail = text[: limit * 2 // 3], text[len(text) - limit // 3 :]
        text = f"{head}\n[… {len(text) - len(head) - len(tail)} characters left out …]\n{tail}"
    return "".join(c for c in text if c in "\n\t" or not unicodedata.category(c).startswith(("Cc", "Cs")))


def quoted(text: str, lines: int = 40, limit: int = 400) -> str:
    """Return a person's text as a quotation, each line after ``> ``; see ``quoted_lines``. "" where it is empty."""
    return "\n".join(f"> {line}" for line in quoted_lines(text, lines, limit))


def quoted_lines(text: str, lines: int = 40, limit: int = 400) -> list[str]:
    """Return a person's text as at most ``lines`` lines of ``limit`` characters each.

    Empty lines are dropped; a last line counts those that did not fit.
    """
    shown = [line for each in text[: lines * limit * _READ].splitlines() if (line := one_line(each, limit))]
    return [*shown[:lines], f"[… {len(shown) - lines} more lines …]"] if len(shown) > lines else shown


def grouped_errors(outcomes: Iterable[Outcome], *, groups: int = 4, limit: int = 160) -> list[str]:
    """Return the errors of ``outcomes``, the most frequent first: "2 × check: line 3: …".

    Messages that differ only in line and other numbers count as the same one, which is shown as it first occurred. At
    most ``groups`` of them are named, each cut to ``limit`` characters; a last entry counts the rest.
    """
    counts: Counter[str] = Counter()
    shown: dict[str, str] = {}
    for outcome in outcomes:
        seen = set()
        for problem in outcome.problems:
            message = one_line(problem.message, limit)
            kind = problem.stage + re.sub(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", "#", message)
            shown.setdefault(kind, one_line(f"{problem.stage}: {problem}", limit))
            seen.add(kind)  # once for each candidate, however often it made the mistake
        counts.update(sorted(seen))
    lines = [f"{count} × {shown[kind]}" for kind, count in counts.most_common(groups)]
    if len(counts) > groups:
        lines.append(f"and {len(counts) - groups} other kinds of error")
    return lines
