"""Replays in the report, and figures as files: of a real run's store, drawn by what draws here."""

from __future__ import annotations

import base64
import io
import re
import sqlite3
import zlib
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from rewardgen.errors import SimulationFailed
from rewardgen.report import write_figures
from rewardgen.report.page import render
from rewardgen.report.papers import standing_alone
from rewardgen.report.pdf import to_pdf
from rewardgen.report.svg import SPARSE, WINNER, LegendKey, Picture, canvas, to_svg
from rewardgen.sim.rendering import renderer
from rewardgen.store import RunView, read
from tests.replay.made import make_run


def test_the_report_shows_what_leaders_do(tmp_path: Path) -> None:
    try:
        renderer()
    except SimulationFailed as error:
        pytest.skip(f"nothing can draw here: {error}")
    view = read(make_run(tmp_path / "run", task="cartpole/swingup", candidates=3, finals=()))
    assert 'id="replays"' not in render(view)  # nothing was made yet, and nothing is made unasked
    page = render(view, draw=True)
    assert page == render(view, draw=True)
    section = page[page.index('<section id="replays"') : page.index('<section id="learning"')]
    strips = re.findall(r'<img class="strip" src="data:image/png;base64,([^"]+)" alt="([^"]+)"', section)
    assert len(strips) == 1 and strips[0][1].startswith("r0g0c0, the winner: ")
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(strips[0][0]))).convert("RGB")).astype(float)
    frames = np.split(strip, 6, axis=1)
    assert strip.shape == (150, 1200, 3) and np.abs(frames[0] - frames[3]).max() > 30  # it moves
    assert re.findall(r"<figcaption>(r0g0c\d)", section)[-2:] == ["r0g0c0", "r0g0c1"]  # the third has no policy
    assert "Some pictures are missing" not in section and "img-src data:;" in page  # its policy lets them be seen
    later = render(view)  # what is there is shown without drawing anything
    assert later.count('width="144"') == 2 and '<img class="strip"' not in later


def test_a_run_whose_replays_cannot_be_made_says_why(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path / "run", task="cartpole/swingup", candidates=2, finals=())
    with sqlite3.connect(run_dir / "run.sqlite") as connection:
        connection.execute("UPDATE meta SET value = json_set(value, '$.name', 'gone/task') WHERE key = 'task'")
    connection.close()
    assert re.search(r"Some pictures are missing: .*gone/task", render(read(run_dir), draw=True))


def test_figures_are_files_that_stand_alone(good_run: RunView, tmp_path: Path) -> None:
    written = write_figures(good_run, tmp_path / "figures")
    names = {"scores", "final_curves", "candidate_curves", "lineage"}
    assert {f"{name}.{kind}" for name in names for kind in ("svg", "pdf")} <= {path.name for path in written}
    assert {path.stem for path in written if path.suffix == ".pdf"} == {path.stem for path in written[::2]}
    for path in written:
        if path.suffix == ".pdf":
            assert path.read_bytes()[:5] == b"%PDF-" and path.read_bytes().rstrip().endswith(b"%%EOF")
            continue
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and "var(" not in text and "<script" not in text
        assert root.get("width", "").endswith("pt") and root.get("height", "").endswith("pt")


def test_a_legend_that_the_page_sets_as_text_is_in_the_file(good_run: RunView) -> None:
    svg = '<svg role="img" viewBox="0 0 100 50" ><title>t</title><desc>d</desc><g/></svg>\n'
    keys = (LegendKey("winner", "a < b"), LegendKey("soft", "others", dashed=True))
    alone = standing_alone(Picture(svg, Figure(), "", keys))  # type: ignore[arg-type]
    root = ElementTree.fromstring(alone)
    assert root.get("viewBox") == "0 0 100 76"
    assert [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")] == ["a < b", "others"]
    strokes = [each.get("stroke") for each in root.iter("{http://www.w3.org/2000/svg}path")]
    assert all(re.fullmatch("#[0-9a-f]{6}", stroke or "") for stroke in strokes) and len(set(strokes)) == 2


def test_a_pdf_has_real_colours_the_legend_and_embedded_fonts() -> None:
    with canvas(4.0, 2.0) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=WINNER)
        axes.fill_between([0, 1], [0, 0], [1, 1], color=SPARSE, alpha=0.5)
        picture = Picture(to_svg(figure, "x", "t", "d"), figure, "", (LegendKey("winner", "ours"),))
    colours = dict.fromkeys(("ink", "soft", "expert", *(f"c{index}" for index in range(8))), "#336699")
    colours |= {"winner": "#ff0000", "sparse": "#00ff00", "rule": "#cccccc"}
    content = to_pdf(picture, colours)
    assert content == to_pdf(picture, colours)  # the legend and the size of one do not get into the next
    width, height = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content).groups()  # type: ignore[union-attr]
    assert (float(width), float(height)) == (4 * 72, 2 * 72 + 13)
    drawn = b" ".join(
        zlib.decompress(each)
        for each in re.findall(rb"FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
    )
    drawn = b" ".join(drawn.split())
    # Operators of PDF: RG and G set the pen, rg and g the fill; 0.8 is #cc / 255
    assert b" 1 0 0 RG " in drawn and b" 0 1 0 rg " in drawn and b" 0.8 G " in drawn and b" 0.2 0.4 0.6 rg " in drawn
    assert b"0.0039215686" not in drawn  # 1 / 255, with which each stand-in begins
    assert b"/Type0" in content and b"/Type3" not in content
    assert matplotlib.rcParams["pdf.fonttype"] == 3  # the process's own settings are as they were
