"""A second, independent corpus where it lies beside the repository: attacks of other people, and rewards to accept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from rewardgen.program import check, extract
from rewardgen.records import Field, Layout
from rewardgen.sandbox import smoke_test
from tests.sampling import few
from tests.sandbox.arena import CALL_SECONDS, Arena

SHARED = Path(__file__).resolve().parents[3] / "shared" / "sandbox"
REPLIES = Path(__file__).resolve().parents[1] / "replies"
LAYOUT = Layout((Field("obs", (20,), "1", "observation"),))
ACTIONS = 3

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the strict sandbox is Linux's, and so is /proc"),
    pytest.mark.skipif(not (SHARED / "manifest.json").is_file(), reason=f"no corpus in {SHARED}"),
]

ENTRIES = json.loads((SHARED / "manifest.json").read_text()) if (SHARED / "manifest.json").is_file() else []
BENIGN = sorted((SHARED / "benign").glob("*.py"))


@pytest.fixture(scope="module")
def arena():
    with Arena(LAYOUT, ACTIONS) as opened:
        yield opened


def text_of(entry) -> str:
    return (SHARED / "hostile" / entry["file"]).read_bytes().decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("entry", few(ENTRIES, 8), ids=lambda entry: entry["file"])
def test_an_attack_ends_where_the_manifest_says_or_earlier(arena, entry):
    text = text_of(entry)
    verdict = arena.whole_path(text if entry["category"] == "malformed" else f"```python\n{text}\n```")
    arena.unharmed(verdict)
    if entry.get("accept_if_neutralised") and verdict.layer == "harmless":
        return
    if entry["expected"] == "reject-static":
        assert verdict.layer == "check", verdict
    else:
        assert verdict.layer != "harmless", verdict


@pytest.mark.parametrize("entry", few(ENTRIES, 8), ids=lambda entry: entry["file"])
def test_an_attack_is_contained_without_the_static_check(arena, entry):
    if arena.open_doors:
        pytest.skip(f"this sandbox lets workers reach {sorted(arena.open_doors)}: the attack would do damage")
    verdict = arena.alone(text_of(entry))
    arena.unharmed(verdict)
    if entry["backstop"] == "kill-runtime":
        assert verdict.layer in ("deadline", "process"), verdict


@pytest.mark.parametrize("file", few(BENIGN, 8), ids=lambda file: file.name)
def test_a_benign_reward_is_accepted_and_finite(arena, file):
    program = check(extract(f"```python\n{file.read_text()}\n```"), LAYOUT)
    with arena.box.open(program, LAYOUT, ACTIONS, len(arena.transitions[0])) as worker:
        worker.submit(*arena.transitions)
        labels = worker.result()
        assert bool(torch.isfinite(labels.reward).all() and torch.isfinite(labels.components).all())
        assert smoke_test(worker, LAYOUT, *arena.transitions, call_seconds=CALL_SECONDS) == []
