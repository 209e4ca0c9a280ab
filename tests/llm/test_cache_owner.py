"""Who pays for a reply that is found in the cache."""

from __future__ import annotations

from pathlib import Path

from rewardgen.llm.cache import ReplyCache
from rewardgen.records import Reply


def test_a_reply_costs_the_run_that_asked_for_it_and_no_other(tmp_path: Path) -> None:
    paid = Reply("text", "model", 10, 20, dollars=0.5)
    ReplyCache(tmp_path, "mine").put("ab12", paid)
    assert ReplyCache(tmp_path, "mine").get("ab12") == paid
    other = ReplyCache(tmp_path, "another").get("ab12")
    assert other is not None and other.cached and other.dollars == 0.0
    unnamed = ReplyCache(tmp_path).get("ab12")
    assert unnamed is not None and unnamed.cached
