"""How long to search: some seconds for each test, or as long as ``REWARDGEN_FUZZ_EXAMPLES`` says.

REWARDGEN_FUZZ_EXAMPLES=100000 pytest tests/fuzz          that many examples of each test, other ones every time
pytest -m "not fuzz"                                      everything else
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

hypothesis = pytest.importorskip("hypothesis")

# A share that each test takes of the usual number; slow ones take less.
USUAL = 500


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fuzz: looks for input that breaks a parser; seconds, or longer by hand")


def profile(share: float = 1.0):
    """Hypothesis' settings of a test that takes ``share`` of the examples."""
    by_hand = os.environ.get("REWARDGEN_FUZZ_EXAMPLES")
    return hypothesis.settings(
        max_examples=max(1, int(int(by_hand or USUAL) * share)),
        derandomize=by_hand is None,  # the same examples in every test run
        deadline=timedelta(seconds=20),  # a parser that takes so long on a few kilobytes does not end at all
        database=None,
        print_blob=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
