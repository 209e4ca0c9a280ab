"""Packages whose exports are loaded when they are first used, so that a command imports only what it needs."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


def exports(package: str) -> None:
    """Import what ``package`` names under ``if TYPE_CHECKING:`` when it is first accessed.

    The package's ``__init__.py`` calls this last. Its imports stand in one place, where type checkers and
    import-linter read them; they have the form ``from MODULE import NAME`` or ``from MODULE import NAME as OTHER``.
    """
    module = sys.modules[package]
    assert module.__file__ is not None
    places = _places(Path(module.__file__))
    module.__class__ = type("LazyPackage", (_Package,), {"_places": places})


class _Package(ModuleType):
    """A package that imports an export when it is first accessed."""

    _places: Mapping[str, tuple[str, str]]

    def __getattr__(self, name: str) -> Any:
        if name not in self._places:
            return self._submodule(name)
        module, attribute = self._places[name]
        value = getattr(importlib.import_module(module), attribute)
        super().__setattr__(name, value)
        return value

    def _submodule(self, name: str) -> ModuleType:
        """Import a submodule that is accessed as an attribute, as if it had been imported with the package."""
        full = f"{self.__name__}.{name}"
        if name.startswith("_") or importlib.util.find_spec(full) is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return importlib.import_module(full)

    def __setattr__(self, name: str, value: object) -> None:
        # Importing the submodule `run` would set it over an export of the same name.
        if isinstance(value, ModuleType) and name in self._places:
            return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._places})


def _places(path: Path) -> dict[str, tuple[str, str]]:
    """Return the name of each export → its module, and its name there."""
    exported = {}
    for block in ast.parse(path.read_bytes()).body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for statement in block.body:
                assert isinstance(statement, ast.ImportFrom) and statement.module is not None
                for alias in statement.names:
                    exported[alias.asname or alias.name] = (statement.module, alias.name)
    return exported
