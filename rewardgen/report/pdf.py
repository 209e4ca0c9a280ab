"""Figures as PDF files for papers: vector graphics with embedded TrueType fonts, in the colours of a light page."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.backends.backend_pdf import PdfFile, RendererPdf
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from rewardgen.report.svg import STYLE, VARIABLES, Picture

_LINE = 13  # pt that an entry of a legend takes
_POINTS = 72  # of an inch


def to_pdf(picture: Picture, colours: Mapping[str, str]) -> bytes:
    """Draw a figure with its legend beneath it as one PDF page; the same figure gives the same bytes.

    Args:
        picture: drawn in stand-in colours.
        colours: CSS variable -> colour, "#rrggbb".
    """
    figure = picture.figure
    shown = {to_rgb(stand_in): to_rgb(colours[name]) for stand_in, name in VARIABLES.items()}
    buffer = io.BytesIO()
    size = tuple(figure.get_size_inches())
    # TrueType fonts: many journals refuse matplotlib's default, Type 3
    with matplotlib.rc_context({**STYLE, "pdf.fonttype": 42}):
        lines = [
            Line2D([], [], color=colours[key.variable], linestyle="--" if key.dashed else "-", label=key.label)
            for key in picture.legend
        ]
        legend = None
        if lines:
            figure.set_size_inches(size[0], size[1] + _LINE * len(lines) / _POINTS)
            legend = figure.legend(
                handles=lines, loc="outside lower left", frameon=False, fontsize=8.5, labelcolor=colours["ink"]
            )
        dpi = figure.dpi
        file = PdfFile(buffer, metadata={"CreationDate": None})
        try:
            width, height = figure.get_size_inches()
            file.newPage(width, height)
            figure.dpi = _POINTS
            renderer = _Recoloured(file, dpi, height, width, shown)
            figure.draw(renderer)
            renderer.finalize()
            file.finalize()
        finally:
            file.close()
            # Leave the figure as it was
            figure.dpi = dpi
            figure.set_size_inches(size)
            if legend is not None:
                legend.remove()
    return buffer.getvalue()


class _Recoloured(RendererPdf):
    """Draws every stand-in colour as the one in ``shown``, (r, g, b) -> (r, g, b)."""

    def __init__(self, file: PdfFile, dpi: float, height: float, width: float, shown: Mapping[Any, Any]) -> None:
        super().__init__(file, dpi, height, width)
        self._shown = shown

    def check_gc(self, gc: Any, fillcolor: Any = None) -> None:
        """Set pen and fill before each drawing operation: the one place that all colours pass."""
        stroke = gc.get_rgb()
        if stroke is not None:
            gc.set_foreground(self._colour(stroke), isRGBA=True)
        super().check_gc(gc, None if fillcolor is None else self._colour(fillcolor))

    def _colour(self, rgba: Any) -> tuple[float, ...]:
        rgb = tuple(float(part) for part in rgba[:3])
        return (*self._shown.get(rgb, rgb), *rgba[3:])
