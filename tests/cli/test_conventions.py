"""What holds for the whole package: no dead setting, honest exports, documents that say what is there."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

import rewardgen
from rewardgen.config import Config

ROOT = Path(__file__).parents[2]
PACKAGE = Path(next(iter(rewardgen.__path__)))
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py") if not path.parent.name.startswith("_"))


def settings(model: type[BaseModel], prefix: str = "") -> list[str]:
    """The dotted names of all settings, without the sections themselves."""
    names = []
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names += settings(info.annotation, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def attributes_read() -> set[str]:
    """Every attribute that code of the package reads, the package config left out."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "config" or "_data" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
    return found


def test_there_is_no_setting_that_nothing_reads() -> None:
    read = attributes_read()
    dead = [name for name in settings(Config) if name.rpartition(".")[2] not in read]
    assert not dead


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_exports_what_it_lists_and_says_what_it_is_for(room: str) -> None:
    module = importlib.import_module(f"rewardgen.{room}")
    assert module.__doc__, f"rewardgen/{room}/__init__.py says nothing"
    assert len(module.__all__) == len(set(module.__all__))  # their order is the linter's business
    assert all(hasattr(module, name) for name in module.__all__)


def test_the_public_names_are_those_that_the_docs_list() -> None:
    table = (ROOT / "docs" / "from-python.md").read_text(encoding="utf-8")
    first_column = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    listed = {name for cell in first_column for name in re.findall(r"`(\w+)`", cell)}
    assert listed == set(rewardgen.__all__) - {"__version__"}
    for name in rewardgen.__all__:
        assert getattr(rewardgen, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = rewardgen.nothing_of_the_kind


def test_the_tutorial_shows_the_example_that_is_tested() -> None:
    text = (ROOT / "docs" / "own-task.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- example: (\S+) -->\n```python\n(.*?)```\n<!-- end of example -->", text, re.DOTALL)
    assert shown is not None
    example = (ROOT / shown[1]).read_text(encoding="utf-8")
    assert shown[2] == example
    assert len(example.splitlines()) < 60


def test_contributing_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = [room for room in ROOMS if f"{room}/`" not in text]
    assert not missing


def test_locks_hold_exact_versions_and_nothing_of_one_machine() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        for line in (ROOT / name).read_text().splitlines():
            assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[0-9][\w.!]*( ; .+)?", line), line
            assert not line.startswith(("nvidia-", "triton", "cuda-")), line
