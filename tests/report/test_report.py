"""The report: whole for whatever a run holds, harmless whatever a program says, and needing nothing but itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rewardgen.errors import StoreError
from rewardgen.records import Checkpoint, Evaluation, Message, Problem, Reply, TrainingResult
from rewardgen.report import write_report
from rewardgen.report.code import diff, highlighted
from rewardgen.report.page import render
from rewardgen.store.view import AttemptView, CallView, CandidateView, EventView, FinalView, GenerationView, RunView

VOID = {"meta", "link", "br", "hr", "img", "input"}
SECTIONS = [
    "result", "generations", "learning", "lineage", "choices", "task", "programs", "conversation", "cost", "events",
]  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of the page: elements with their attributes, text by element, and balance."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(element == tag for element, _ in self.elements)


@pytest.fixture(params=["good_run", "empty_run", "degenerate_run"])
def any_run(request: pytest.FixtureRequest) -> RunView:
    return request.getfixturevalue(request.param)


def test_the_page_is_whole(any_run: RunView) -> None:
    text = render(any_run)
    page = Page(text)
    assert page.open == [], "every element is closed"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert [i for i, times in Counter(ids).items() if times > 1] == []
    anchors = {a["href"][1:] for tag, a in page.elements if tag == "a"}
    assert anchors <= set(ids), "every link leads somewhere in the page"
    assert [a["id"] for tag, a in page.elements if tag == "section"] == SECTIONS
    assert page.count("h1") == page.count("main") == page.count("nav") == 1
    assert all(word not in page.text.split() for word in ("nan", "inf", "None", "NaN"))


def test_it_asks_nothing_of_the_network(any_run: RunView) -> None:
    text = render(any_run)
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data", "poster") or name.endswith(":href"):
                assert value.startswith("#")
    assert not re.search(r"url\(\s*['\"]?(?!#)", text)
    assert "@import" not in text
    (policy,) = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_figures_are_named_for_those_who_cannot_see_them(good_run: RunView) -> None:
    page = Page(render(good_run))
    ids = {attributes.get("id") for _, attributes in page.elements}
    figures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(figures) == 3 + 3 + sum(c.status == "trained" for c in good_run.candidates.values())
    for attributes in figures:
        assert attributes["role"] == "img"
        assert set(attributes["aria-labelledby"].split()) <= ids
    assert page.count("title") == 1 + len(figures)
    for label in ("environment steps", "fitness (m/s)", "mean reward per step", "selection score (m/s)"):
        assert label in page.text


def test_the_same_run_gives_the_same_page(good_run: RunView) -> None:
    assert render(good_run) == render(good_run)


def test_it_says_what_the_numbers_support(good_run: RunView) -> None:
    text = Page(render(good_run)).text
    assert "The winning reward reached 1.86 m/s (95 % interval 1.64 to 2.08 m/s) in 3 fresh trainings." in text
    assert "Not told apart from the expert's reward: 1.62 m/s" in text
    assert "the difference of +0.24 m/s is not supported by this run" in text
    assert "Better than the sparse reward: 0.70 m/s" in text
    winner = good_run.candidates["r0g2c1"]
    assert f"was selected out of 15 scored candidates with {winner.score:.2f} m/s" in text
    assert f"a gap of +{winner.score - 1.86:.2f} m/s" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("expert", "says"), [((3.0, 3.5), "Worse than the expert"), ((0.1, 0.2), "Better than the expert")]
)
def test_intervals_apart_are_called_better_or_worse(good_run: RunView, expert: tuple, says: str) -> None:
    low, high = expert
    measured = Evaluation(((low, high),) * 3, (low + high) / 2, low, high, 0.5)
    finals = tuple(replace(f, evaluation=measured) if f.name == "expert" else f for f in good_run.finals)
    assert says in Page(render(replace(good_run, finals=finals))).text


@pytest.mark.parametrize(
    ("expert", "value", "unsure"), [(1.62, "1.26", False), (0.8, "11.6", True), (0.6, "11.6", True)]
)  # (1.86 - 0.7) / |expert - 0.7|, where the sparse reward has 0.7 [0.56, 0.84]
def test_the_common_scale_is_doubted_where_its_ends_are_not_told_apart(
    good_run: RunView, expert: float, value: str, unsure: bool
) -> None:
    winner, former, sparse = good_run.finals
    assert former.evaluation is not None
    measured = replace(former.evaluation, mean=expert, low=expert - 0.3, high=expert + 0.3)
    text = Page(render(replace(good_run, finals=(winner, replace(former, evaluation=measured), sparse)))).text
    end = "1" if expert > 0.7 else "−1"
    assert f"Human-normalised score {value}, where 0 is the sparse reward's and {end} the expert's" in text
    assert ("the score says little" in text) is unsure


def test_one_training_seed_is_not_taken_for_evidence(good_run: RunView) -> None:
    one = Evaluation(((1.0, 1.1),), 1.05, 1.0, 1.1, 0.0)
    text = Page(render(replace(good_run, finals=(FinalView("winner", (), one),)))).text
    assert "With 1 training seed the interval says little" in text
    assert "The expert's reward was not measured, so there is nothing to compare with." in text


def test_missing_things_are_said(empty_run: RunView, degenerate_run: RunView) -> None:
    text = Page(render(empty_run)).text
    assert "was interrupted and can be resumed" in text
    assert "No winner has been selected yet." in text
    assert "No generation has begun." in text
    assert "No language model was involved" in text
    text = Page(render(degenerate_run)).text
    assert "its score is not a finite number: there is no result" in text
    assert "This run failed: every candidate failed." in text
    assert "extract: the reply is empty" in text


def test_the_conversation_is_not_repeated(good_run: RunView) -> None:
    page = Page(render(good_run))
    assert page.text.count("You write reward functions.") == 1
    assert "Begins with the same 2 messages as call 1" in page.text
    assert "the endpoint answered 500" in page.text


ATTACK = (
    "</pre></style></title><script>document.title='owned'</script>"
    "<img src=x onerror=\"document.title='owned'\">\"'{{7*7}}$x$\x1b[0m\u202e]]>"
)


def hostile_run() -> RunView:
    """A run in which every text that a program, a server or a person gave tries to leave its place."""
    components = {ATTACK: 1.0, "_" + ATTACK: 0.5}
    points = tuple(
        Checkpoint(s, 1.0 * s, 0.0, 0.5, 1.0, components, components, 10.0, {ATTACK: 1.0}, 0.0, 8) for s in (1, 2)
    )
    trained = TrainingResult(ATTACK, 0, "done", ATTACK, points, None, 2, 1.0)
    failed = TrainingResult(ATTACK, 0, "failed", ATTACK, (), None, 2, 1.0)
    reply = Reply(ATTACK, ATTACK, finish_reason=ATTACK)
    attempt = AttemptView(0, reply, ATTACK, (Problem(ATTACK, ATTACK, 3),), ATTACK + "\nprinted")
    parent = CandidateView(ATTACK, None, "trained", (attempt, attempt), ATTACK, (trained,), 1.0, ATTACK, True)
    child = CandidateView(ATTACK + "2", ATTACK, "trained", (attempt,), ATTACK + "\n1", (trained,), 2.0, ATTACK, True)
    bad = CandidateView(ATTACK + "3", ATTACK, "failed", (attempt,), None, (failed,), None, ATTACK, False)
    task = dict.fromkeys(("name", "description", "fitness_unit", "fitness_meaning", "expert_source"), ATTACK)
    field = dict.fromkeys(("name", "unit", "meaning"), ATTACK) | {"shape": [ATTACK]}
    measured = Evaluation(((1.0, 2.0),), 1.5, 1.0, 2.0, 0.5)
    generation = GenerationView(0, 0, (), (parent, child, bad), True)
    return RunView(
        name=ATTACK,
        path=Path("runs/x"),
        status="finished",
        message=ATTACK,
        config={ATTACK: {ATTACK: ATTACK}},
        task={**task, "fields": [field, ATTACK], "success_threshold": ATTACK},
        author=ATTACK,
        versions={ATTACK: ATTACK, "rewardgen": ATTACK},
        created=ATTACK,
        generations=(generation,),
        calls=(CallView(ATTACK, ATTACK, (Message("user", ATTACK),), (reply,), ATTACK, ATTACK),),
        finals=(FinalView("winner", (trained,), measured), FinalView("expert", (failed,), measured)),
        winner=child.key,
        cost=None,  # type: ignore[arg-type]
        events=(EventView(ATTACK, ATTACK, {ATTACK: ATTACK}), EventView("", "warning", {"message": ATTACK})),
    )


def test_nothing_leaves_its_place(good_run: RunView) -> None:
    text = render(replace(hostile_run(), cost=good_run.cost))
    test_it_asks_nothing_of_the_network(replace(hostile_run(), cost=good_run.cost))
    page = Page(text)
    assert page.open == []
    assert "<script" not in text
    assert "<img" not in text
    assert "49" not in re.findall(r"7\*7|\b49\b", page.text)
    assert page.text.count("document.title='owned'") > 20, "it is shown, as text"


def test_what_a_program_printed_is_shown_folded_and_as_its_own(good_run: RunView) -> None:
    assert "printed" not in render(good_run)  # where nothing was, nothing is said
    text = render(replace(hostile_run(), cost=good_run.cost))
    folded = re.findall(r'<details class="printed"><summary>(.*?)</summary>(.*?)</details>', text, re.DOTALL)
    assert len(folded) == 4  # two attempts of the first candidate, one each of the others
    assert all("the program's own words" in summary for summary, _ in folded)
    assert all("&lt;/pre&gt;" in shown and "\nprinted</pre>" in shown for _, shown in folded)


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM := shutil.which("chromium") or shutil.which("google-chrome")), reason="no Chromium")
def test_a_browser_opens_it(good_run: RunView, tmp_path: Path) -> None:
    out = write_report(replace(hostile_run(), cost=good_run.cost), tmp_path / "page.html")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", out.as_uri()),
    ]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>owned</title>" not in seen
    assert seen.count("<svg") == render(replace(hostile_run(), cost=good_run.cost)).count("<svg")
    assert all(f'<section id="{name}"' in seen for name in SECTIONS)


def test_long_texts_are_cut(good_run: RunView) -> None:
    huge = Reply("x" * 10_000_000, "m")
    call = CallView("k", "generation", (Message("user", "y" * 1_000_000),), (huge,), "", "")
    source = "a = 1\n" * 100_000
    member = replace(good_run.generations[0].candidates[1], source=source)
    child = replace(good_run.generations[1].candidates[1], parent=member.key)
    generations = (
        replace(good_run.generations[0], candidates=(member,)),
        replace(good_run.generations[1], candidates=(child,)),
    )
    text = render(replace(good_run, calls=(call,), generations=generations))
    assert "9940000 more characters are in the store" in text
    assert len(text) < 1_500_000


def test_differences_follow_the_lines() -> None:
    found = diff("a\nb\nc\n", "a\nB\nc\nd\n")
    assert [(line.kind, line.text) for line in found.lines if line.kind != "place"] == [
        *(("same", "a"), ("removed", "b"), ("added", "B"), ("same", "c"), ("added", "d")),
    ]
    assert (found.added, found.removed) == (2, 1)
    assert diff("a", "a\n").note == "the same program as its parent"
    header = diff("-- x\nb", "++ y\nb")
    assert [line.text for line in header.lines if line.kind in ("added", "removed")] == ["-- x", "++ y"]


def test_code_keeps_every_character() -> None:
    source = "\n\n# <b> & \"q\"\nx = 'é'\t\n"
    assert Page(f"<pre>{highlighted(source)}</pre>").words
    assert "".join(Page(f"<pre>{highlighted(source)}</pre>").words).strip("\n") == source.strip("\n")


def test_it_replaces_an_older_report_and_makes_the_folder(empty_run: RunView, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report.html"
    assert write_report(empty_run, out) == out
    first = out.read_text(encoding="utf-8")
    write_report(replace(empty_run, name="another"), out)
    assert out.read_text(encoding="utf-8") != first
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_said(empty_run: RunView, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write the report"):
        write_report(empty_run, tmp_path / "file" / "report.html")
