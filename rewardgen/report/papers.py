"""Figures as separate SVG and PDF files for papers: on white, in the colours of a light page, with their legends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from markupsafe import escape

from rewardgen.report import figures, people
from rewardgen.report.files import write_whole
from rewardgen.report.page import styles
from rewardgen.report.pdf import to_pdf
from rewardgen.report.svg import Picture
from rewardgen.store import RunView

_LINE = 13  # height of a legend's line, in pt


def write_figures(view: RunView, folder: Path) -> tuple[Path, ...]:
    """Write the figures of a run's report that have something to show, as ``NAME.svg`` and ``NAME.pdf`` in ``folder``.

    Raises:
        DiskFull: no space left to write.
        StoreError: a file cannot be written.
    """
    drawn: dict[str, Picture | None] = {
        "scores": figures.scores(view),
        "final_curves": figures.final_curves(view),
        "candidate_curves": figures.candidate_curves(view),
        "lineage": figures.lineage(view),
        "judgements": people.progress(view),
        "agreement": people.scatter(view),
    }
    winner = view.candidates.get(view.winner or "")
    if winner is not None:
        drawn["winner_components"] = figures.components(winner, "winner")
    shown = {name: picture for name, picture in drawn.items() if picture is not None}
    return tuple(write_whole(content, folder / name) for name, content in figure_files(shown).items())


def figure_files(pictures: Mapping[str, Picture]) -> dict[str, str | bytes]:
    """File name → content: each picture as SVG and as PDF."""
    contents: dict[str, str | bytes] = {}
    for name, picture in pictures.items():
        contents[f"{name}.svg"] = standing_alone(picture)
        contents[f"{name}.pdf"] = to_pdf(picture, _light())
    return contents


def standing_alone(picture: Picture) -> str:
    """Return a picture as a complete SVG file."""
    # Make room for the legend below the picture
    text = str(picture.svg)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    if box is not None:
        width, height = float(box[1]), float(box[2])
        tall = height + _LINE * len(picture.legend)
        text = text.replace(box[0], f'viewBox="0 0 {width:g} {tall:g}" width="{width:g}pt" height="{tall:g}pt"', 1)
        text = text.rstrip().removesuffix("</svg>") + _legend(picture, height) + "</svg>"
    # Replace the page's variables by colours, and add a white ground
    text = re.sub(r"var\(--([a-z0-9]+)\)", lambda match: _light()[match[1]], text)
    text = text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return '<?xml version="1.0" encoding="utf-8"?>\n' + text.replace("</desc>", f"</desc>{ground}", 1) + "\n"


def _legend(picture: Picture, top: float) -> str:
    """Return the legend as SVG; within a page, it is text below the figure."""
    lines = []
    for place, key in enumerate(picture.legend):
        middle = top + _LINE * (place + 0.5)
        dashes = ' stroke-dasharray="4 2"' if key.dashed else ""
        lines.append(
            f'<path d="M 8 {middle:g} h 18" stroke="var(--{key.variable})" stroke-width="2"{dashes}/>'
            f'<text x="31" y="{middle + 3:g}" font-family="DejaVu Sans, sans-serif" font-size="8.5" '
            f'fill="var(--ink)">{escape(key.label)}</text>'
        )
    return "".join(lines)


@cache
def _light() -> Mapping[str, str]:
    """Return the colours of a light page by the names of their variables."""
    light = str(styles()).partition("@media")[0]
    return dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", light))
