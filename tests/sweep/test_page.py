"""The report of a sweep: its page, its tables as CSV and LaTeX, its figures, and the command that writes them."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from rewardgen.cli import main
from rewardgen.sweep.analysis import analyse
from rewardgen.sweep.page import write_sweep_report
from rewardgen.sweep.tables import tables
from tests.sweep.sweeps import sweep, write_run, write_sweep

SCORES = {
    "base_line & <b>": {"a/run": [0.1, 0.2, 0.3], "b/run": [0.0, 0.1, None]},
    "ours": {"a/run": [0.9, 1.0, 1.2], "b/run": [0.8, 1.0, 1.0]},
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    return write_sweep_report(analyse(sweep(SCORES, folder))).report


def test_the_page_holds_everything_and_asks_for_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "ours is better than base_line &amp; &lt;b&gt;" in text and "<b>" not in text
    assert text.count("<svg ") == 5
    assert "<script" not in text and not re.search(r'(?:src|href)="(?:https?:)?//', text)
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'href="#([^"]+)"', text):
        assert target in ids
    for linked in re.findall(r'href="([^"#]+)"', text):
        assert (page.parent / linked).is_file(), linked
    assert "missing" in text  # the search that has not begun


def test_figures_stand_alone(page: Path) -> None:
    papers = sorted(path.stem for path in page.with_suffix(".files").glob("*.pdf"))
    files = sorted(page.with_suffix(".files").glob("*.svg"))
    assert papers == [file.stem for file in files]
    assert [file.stem for file in files] == ["aggregates", "benefit", "comparisons", "profiles", "tasks"]
    for file in files:
        text = file.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text.encode())
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and float(root.attrib["width"].removesuffix("pt")) > 300
        assert "var(--" not in text and "#0101" not in text and "#0102" not in text  # every colour is a real one
    labels = (page.with_suffix(".files") / "benefit.svg").read_text(encoding="utf-8")
    for label in ("environment steps", "dollars", "hours of training", "best human-normalised score so far", "ours"):
        assert f">{label}<" in labels
    assert ">a/run: fitness (m/s)<" in (page.with_suffix(".files") / "tasks.svg").read_text(encoding="utf-8")


def test_csv_has_every_digit_and_intervals_of_their_own() -> None:
    found = analyse(sweep(SCORES))
    named = {table.name: table for table in tables(found)}
    rows = list(csv.DictReader(io.StringIO(named["aggregates"].csv())))
    assert [row["arm"] for row in rows] == list(SCORES)
    assert float(rows[1]["iqm"]) == found.aggregates[1].iqm.value
    assert float(rows[1]["iqm_low"]) == found.aggregates[1].iqm.low
    assert float(rows[1]["iqm_high"]) == found.aggregates[1].iqm.high
    compared = next(csv.DictReader(io.StringIO(named["comparisons"].csv())))
    assert compared["supported"] == "yes, better" and compared["pairs"] == "5"


def test_latex_is_balanced_and_escaped() -> None:
    for table in tables(analyse(sweep(SCORES))):
        text = table.latex()
        begun, ended = re.findall(r"\\begin{(\w+)}", text), re.findall(r"\\end{(\w+)}", text)
        assert begun == ended[::-1] == ["table", "tabular"]
        body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()
        assert len(body) == len(table.rows)
        for line in body:
            assert line.endswith(r"\\")
            assert len(re.findall(r"(?<!\\)&", line)) == len(table.columns) - 1
            assert not re.search(r"(?<!\\)[%_#]", line)
    named = {table.name: table for table in tables(analyse(sweep(SCORES)))}
    assert r"base\_line \& \textless{}b\textgreater{} & 5 & " in named["aggregates"].latex()


def test_the_command_reports_a_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_sweep(tmp_path / "runs" / "mine", ["one", "two"], ["cartpole/swingup"], [0, 1])
    for arm, scores in (("one", (2.0, 2.2)), ("two", (4.0, 4.3))):
        for seed, score in enumerate(scores):
            write_run(folder / arm / "cartpole-swingup" / f"seed{seed}", score)
    with pytest.raises(SystemExit) as ended:
        main(["report", "mine", "--out", str(tmp_path / "runs"), "--against", "two", "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["analysis"]["baseline"] == "two"
    assert told["analysis"]["comparisons"][0]["difference"]["value"] == pytest.approx((-2.0 - 2.1) / 2 / 4)
    assert Path(told["report"]).is_file() and len(told["files"]) == len(list((folder / "report.files").iterdir()))
    with pytest.raises(SystemExit):
        main(["report", str(folder), "--to", str(tmp_path / "paper" / "x.html")])
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "paper" / "x.html")
    assert (tmp_path / "paper" / "x.files" / "scores.tex").is_file()


def test_arms_belong_to_sweeps_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", "none", "--out", str(tmp_path), "--against", "two"])
    assert ended.value.code == 2 and "is not a sweep" in capsys.readouterr().err
