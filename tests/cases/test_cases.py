"""The default search against a few kinds of model servers, each command in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.cases import INPUTS, run
from tests.cases.endpoints import KINDS

CHOSEN = ("stream-only", "sse-anyway", "all-thought", "channels-come-back")


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOSEN)
def test_a_default_search_ends_as_it_should(tmp_path: Path, name: str) -> None:
    (kind,) = [kind for kind in KINDS if kind.name == name]
    outcome = run(kind.case, INPUTS, tmp_path)
    assert outcome.wrong == [], outcome.said[-2000:]
