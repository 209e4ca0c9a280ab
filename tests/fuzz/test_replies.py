"""Replies → program text: whatever a model answers, there is a source or a reason why not."""

from __future__ import annotations

import pytest

pytest.importorskip("hypothesis")

from hypothesis import example, given
from hypothesis import strategies as st

from rewardgen.errors import ProgramRejected
from rewardgen.program import check, extract
from tests.fuzz.conftest import profile
from tests.fuzz.texts import LAYOUT, replies

pytestmark = pytest.mark.fuzz


@pytest.mark.parametrize("strategy", [replies(), st.text()], ids=["nearly right", "any text"])
def test_a_reply_gives_a_source_or_a_reason(strategy):
    @profile()
    @given(strategy)
    @example("```" + " " * 100_000 + "`")
    @example('{"code": ' + "[" * 100_000)
    @example("import a" + " " * 100_000 + "!\ndef compute_reward")
    def examine(reply: str) -> None:
        try:
            source = extract(reply)
        except ProgramRejected as rejected:
            assert [problem.stage for problem in rejected.problems] == ["extract"]
            assert len(str(rejected)) < 1000
            return
        assert source.strip()
        assert source == extract(reply)
        try:
            check(source, LAYOUT)
        except ProgramRejected as rejected:
            assert rejected.problems

    examine()
