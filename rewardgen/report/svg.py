"""matplotlib figures as SVG within a page: themed by its CSS, described for screen readers, and reproducible."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

INK, SOFT, RULE, WINNER, EXPERT, SPARSE = "#010101", "#010102", "#010103", "#010104", "#010105", "#010106"
PALETTE = tuple(f"#0102{index:02x}" for index in range(8))
"""Placeholders for the page's colours: figures are drawn with them, and they become CSS variables, so that the same
SVG suits a light and a dark page."""

VARIABLES = {
    INK: "ink",
    SOFT: "soft",
    RULE: "rule",
    WINNER: "winner",
    EXPERT: "expert",
    SPARSE: "sparse",
    **{colour: f"c{index}" for index, colour in enumerate(PALETTE)},
}
"""Stand-in colour → CSS variable."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's own font
    "svg.hashsalt": "rewardgen",
    "text.parse_math": False,  # names that come from programs may hold a dollar sign
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
}


@dataclass(frozen=True)
class LegendKey:
    """One line of a legend: the CSS variable of its colour, its text, and whether its line is dashed."""

    variable: str
    label: str
    dashed: bool = False


@dataclass(frozen=True)
class Picture:
    """A drawn figure, its caption, and its legend, which the page sets as text.

    ``svg`` is ``figure`` for the page; files of other formats are drawn from the figure itself.
    """

    svg: Markup
    figure: Figure
    caption: str
    legend: tuple[LegendKey, ...] = ()
    wide: bool = False


def variable(colour: str) -> str:
    """Return the CSS variable that ``colour`` stands for."""
    return VARIABLES[colour]


@contextmanager
def canvas(width: float = 5.4, height: float = 3.1) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure of ``width`` × ``height`` inches with one pair of axes, in the style of the page."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        yield figure, axes


def steps_axis(axes: Axes) -> None:
    """Label the x axis with environment steps."""
    axes.set_xlim(left=0)  # a single checkpoint has no range of its own
    axes.set_xlabel("environment steps")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def to_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Return ``figure`` as an ``<svg>`` element with ids that begin with ``name``; call it within ``canvas``."""
    name = f"figure-{name}"
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    # Keep the element itself, without metadata, comments and styles
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sstyle="([^"]*)"', _attributes, text)
    # Replace the colours by variables, and make ids unique
    for colour, css in VARIABLES.items():
        text = text.replace(colour, f"var(--{css})")
    text = re.sub(r'(?<=\sid=")|(?<=href="#)|(?<=url\(#)', f"{name}-", text)
    # A new start tag, with a title and a description for screen readers
    box = re.search(r'viewBox="[^"]*"', text)
    head = f'<svg role="img" aria-labelledby="{name}-title {name}-about" {box.group() if box else ""} '
    head += 'xmlns:xlink="http://www.w3.org/1999/xlink" preserveAspectRatio="xMidYMid meet" '
    head += 'stroke-linejoin="round" stroke-linecap="butt">'  # from matplotlib's style element
    named = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-about">{escape(description)}</desc>'
    return Markup(head + named + text[text.index(">") + 1 :])


def _attributes(style: re.Match[str]) -> str:
    """Return a ``style`` as separate attributes: pages whose policy forbids inline styles show them too."""
    pairs = (pair.split(":", 1) for pair in style.group(1).split(";") if ":" in pair)
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs)
