"""The declared requirements are those that the code has: none missing, none for nothing, all of them locked."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


READ = {"dm-control", "gymnasium-robotics"}
"""What is not imported: models are read from its installed files."""
ELSEWHERE = {"envpool"}
"""What a file that another interpreter runs imports."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: Iterable[str]) -> set[str]:
    return {canonical(re.split(r"[\[<>=!~; ]", text)[0]) for text in requirements}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def declared() -> set[str]:
    return names(project()["dependencies"])


def optional() -> set[str]:
    """What the extras ask for."""
    return names(chain.from_iterable(project()["optional-dependencies"].values()))


def imported() -> set[str]:
    """The distributions whose modules rewardgen and the tasks import, wherever in a file."""
    modules: set[str] = set()
    for path in [*(ROOT / "rewardgen").rglob("*.py"), *(ROOT / "envs").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    places = packages_distributions()
    foreign = modules - set(sys.stdlib_module_names) - {"rewardgen"}
    # several distributions may fill one module's folder; the one that bears its name is meant
    found = set()
    for module in foreign:
        owners = {canonical(name) for name in places.get(module, [module])}
        found.add(canonical(module) if canonical(module) in owners else sorted(owners)[0])
    return found


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    assert imported() - ELSEWHERE == (declared() | optional()) - READ


def test_every_requirement_is_locked() -> None:
    locked = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    development = {line.split("==")[0] for line in (ROOT / "requirements-dev.lock").read_text().splitlines()}
    assert declared() <= locked
    assert locked | optional() <= development
    assert not optional() & locked  # what an extra asks for is no requirement
