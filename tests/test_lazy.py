"""Packages that load their exports when they are first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rewardgen.evaluation

PROGRAM = """
import sys
import rewardgen.evaluation.legibility          # a submodule with the name of an export
from rewardgen.evaluation import legibility
assert callable(legibility) and legibility.__module__ == "rewardgen.evaluation.legibility"
assert "torch" not in sys.modules and "rewardgen.evaluation.evaluate" not in sys.modules
from rewardgen.evaluation import evaluate
assert callable(evaluate) and "torch" in sys.modules
"""


def test_an_export_is_loaded_when_it_is_used_whatever_was_imported_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_not_exported_is_not_there() -> None:
    assert set(rewardgen.evaluation.__all__) <= set(dir(rewardgen.evaluation))
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_the_kind'"):
        _ = rewardgen.evaluation.nothing_of_the_kind
