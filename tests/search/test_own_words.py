"""A search with templates of the user's own, which say the same in other words, is the search with ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rewardgen import search
from rewardgen.search import configure
from rewardgen.store import read
from tests.search import tiny
from tests.search.content import content

FEEDBACK = """So ist es der Belohnung ergangen ({{ standing or "ohne Urteil" }}):

{{ reflection | replace("fitness", "Güte") | replace("component", "Summand") | replace(":", " ist") }}
{% for each in words or [] %}Jemand meint: {{ each | replace("> ", "") }}
{% endfor %}
{{ analysis | replace("> ", "") }}{{ watched }}
{% if last %}Bitte eine bessere.{% endif %}
"""
"""No line has a form that ours have."""
OTHERS = {
    "repair.j2": "Das geht nicht: {{ problems | join('; ') }}",
    "revise.j2": "Die Kritik: {{ objections | replace('> ', '') }}",
    "critic_task.j2": "Zu beurteilen:\n\n{{ source }}",
    "analyser_task.j2": "Warum?\n\n{{ source }}\n\n{{ watched | replace('component', 'Summand') }}",
    "system.j2": "Du schreibst Belohnungen.",
    "task.j2": "Die Aufgabe: {{ task.description }}",
}
WORDS = {("calls", "messages"), ("generations", "messages")}
"""The columns that hold what a language model is sent."""


def kept(run_dir: Path) -> dict[str, list[dict[str, Any]]]:
    """All that a run's store holds, but for the words that were sent and where their templates are."""
    tables = content(run_dir)
    tables["meta"] = [row for row in tables["meta"] if row["key"] not in ("prompts_dir", "baselines")]
    return {
        table: [{name: value for name, value in row.items() if (table, name) not in WORDS} for row in rows]
        for table, rows in tables.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "templates", "purposes"),
    [
        ("eureka", {"feedback.j2": FEEDBACK}, {"generation"}),
        ("revolve", {"feedback.j2": FEEDBACK}, {"generation"}),  # which crosses and mutates
        ("auto_mc", {"feedback.j2": FEEDBACK} | OTHERS, {"generation", "review", "analysis"}),
    ],
)
def test_a_search_in_other_words_is_the_same_search(
    tmp_path: Path, method: str, templates: dict[str, str], purposes: set[str]
) -> None:
    words = tmp_path / "words"
    words.mkdir()
    for name, text in templates.items():
        (words / name).write_text(text, encoding="utf-8")
    settings = tiny.of_method(method, search__generations=3, search__candidates=2)
    for name, folder in (("ours", None), ("theirs", words)):
        search.run(configure(None, settings), tmp_path / name / "run", prompts_dir=folder)
    ours, theirs = (read(tmp_path / name / "run") for name in ("ours", "theirs"))
    assert {call.purpose for call in theirs.calls} >= purposes
    last = [[call for call in view.calls if call.purpose == "generation"][-1].messages[-1] for view in (ours, theirs)]
    assert "fitness" in last[0].content and "fitness" not in last[1].content  # the words are others
    assert kept(tmp_path / "theirs" / "run") == kept(tmp_path / "ours" / "run")
