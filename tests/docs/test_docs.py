"""The documentation says what the code has: generated references, shown commands, links beyond the site."""

from __future__ import annotations

import re
import shlex
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from pydantic import BaseModel

import rewardgen
from rewardgen import yaml
from rewardgen.cli.app import app
from rewardgen.config import Config, EndpointConfig

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = spec_from_file_location("reference", ROOT / "docs" / "hooks" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Dotted name → field, of every setting that is no section."""
    found = {}
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found |= settings(info.annotation, f"{prefix}{name}.")
        else:
            found[prefix + name] = info
    return found


def rows(page: str) -> dict[str, list[str]]:
    """First code of each table row → the row's cells."""
    cells = [
        re.split(r"(?<!\\)\|(?=(?:[^`]*`[^`]*`)*[^`]*$)", line)[1:-1] for line in page.splitlines() if line[:3] == "| `"
    ]
    return {row[0].strip().split("`")[1]: [cell.strip() for cell in row] for row in cells}


def test_the_settings_page_has_every_setting_with_its_default_and_description(reference: ModuleType) -> None:
    table = rows(reference.settings_page())
    expected = settings(Config) | settings(EndpointConfig, "llm.models[].")
    assert set(table) == set(expected)
    for key, (_, _, default, _, description) in table.items():
        info = expected[key]
        assert description, f"{key} has no description"
        if info.is_required():
            assert default == "required"
            continue
        shown = yaml.read_value(default.strip("`"))
        given = info.get_default(call_default_factory=True)
        assert (tuple(shown) if isinstance(given, tuple) else shown) == given, key


def test_the_settings_page_shows_bounds_that_hold(reference: ModuleType) -> None:
    table = rows(reference.settings_page())
    assert table["search.candidates"][3] == "≥ 1, ≤ 256"
    assert table["training.gamma"][3] == "> 0, ≤ 1"
    assert table["search.racing.confidence"][3] == "≥ 0, < 1"


def test_the_commands_page_has_every_option_that_help_prints(
    reference: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    chapters = re.split(r"^## rewardgen ", reference.commands_page(), flags=re.MULTILINE)[1:]
    by_name = {chapter.splitlines()[0]: chapter for chapter in chapters}
    app(["--help"], standalone_mode=False)
    listed = set(re.findall(r"^│ (\w+) ", capsys.readouterr().out, re.MULTILINE))
    assert set(by_name) == listed
    for name, chapter in by_name.items():
        app([name, "--help"], standalone_mode=False)
        printed = set(re.findall(r"^│\s+\*?\s*(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
        assert set(rows(chapter)) & printed == printed - {"--help"}, name


def test_the_python_page_documents_every_public_name(reference: ModuleType) -> None:
    headings = re.findall(r"heading: rewardgen\.(\w+)", reference.python_page())
    assert sorted(headings) == sorted(set(rewardgen.__all__) - {"__version__"})


def test_a_page_that_loads_from_another_server_is_found(reference: ModuleType) -> None:
    html = (
        '<link rel="canonical" href="https://a.org/"><link rel="stylesheet" href="//b.org/x.css">'
        '<script src="https://c.org/x.js"></script><img src="web/run.png"><a href="https://d.org">link</a>'
    )
    assert reference.foreign_addresses(html) == ["//b.org/x.css", "https://c.org/x.js"]


def shown_commands() -> list[tuple[str, str]]:
    """``(page, command line)`` of each ``rewardgen`` call in a page's code blocks."""
    found = []
    for page in PAGES:
        blocks = re.findall(
            r"^```(?:sh|bash)\n(.*?)^```|((?:^ {4}.*\n)+)", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        for fenced, indented in blocks:
            for line in (fenced or indented).replace("\\\n", " ").splitlines():
                if line.strip().startswith("rewardgen "):
                    found.append((page.name, re.split(r"\s+#|\s{5,}[a-z]", line.strip())[0]))
    return found


def test_the_commands_that_pages_show_are_understood() -> None:
    known = list(settings(Config))
    group: Any = typer.main.get_command(app)
    calls = shown_commands()
    assert len(calls) > 60
    for page, line in calls:
        _, name, *arguments = shlex.split(line.replace("$OLD", "").replace("...", "x"))
        context = group.commands[name].make_context(name, arguments)  # raises on an unknown option or a wrong value
        for assignment in context.params.get("assignments") or ():
            key = assignment.partition("=")[0]
            assert any(f"{name}.".startswith(f"{key}.") or f"{key}.".startswith(f"{name}.") for name in known), (
                page,
                line,
            )


@pytest.mark.parametrize(
    "page", [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")], ids=lambda page: page.name
)
def test_links_beside_the_site_lead_somewhere(page: Path) -> None:
    """``make docs`` checks those between the pages of the site."""
    for link in LINK.findall(page.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, link


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150
