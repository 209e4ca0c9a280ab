"""The project's own attacks: each is tried through the whole path and with the static check switched off.

``corpus/<class>/<name>.py`` is a program, ``.txt`` a whole reply. Its first line says

    # class | where it ends on the whole path | where it ends with the static check switched off | what it tries

in terms of ``LAYERS``; "wire or smoke" where it depends on chance or on the machine. After each, ``Arena.unharmed``
proves that nothing outside changed.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sampling import few
from tests.sandbox.arena import LAYERS, Arena
from tests.sandbox.conftest import ACTIONS, LAYOUT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the strict sandbox is Linux's, and so is /proc")

CORPUS = Path(__file__).with_name("corpus")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "sandbox.md"
BEGIN, END = "<!-- corpus table: made by tests/sandbox/test_corpus.py -->", "<!-- end of the corpus table -->"

# Attacks of these classes would do damage where the probe of that name succeeds.
NEEDS = {
    "processes": ("processes", "others", "root"),
    "signals": ("others", "root"),
    "neighbours": ("others", "root"),
    "wire": ("root",),
    "files": ("paths", "root"),
    "memory/message_queue": ("namespaces",),
    "memory/shared_anonymous": ("namespaces",),
    "neighbours/keyring": ("namespaces",),
    "processes/namespaces": ("namespaces",),
}


@dataclass(frozen=True)
class Attack:
    """One file of the corpus. ``source`` is the program alone, ``reply`` what a language model would have sent."""

    name: str
    kind: str
    whole_path: tuple[str, ...]  # layers; the first is the usual one
    alone: tuple[str, ...]
    what: str
    source: str
    reply: str


def load(file: Path) -> Attack:
    head, _, text = file.read_bytes().decode("utf-8", "surrogateescape").partition("\n")
    kind, whole_path, alone, what = (part.strip() for part in head.removeprefix("#").split("|"))
    reply = text if file.suffix == ".txt" else f"Here it is:\n\n```python\n{text}\n```\n"
    layers = [tuple(part.split(" or ")) for part in (whole_path, alone)]
    return Attack(f"{file.parent.name}/{file.stem}", kind, *layers, what, text, reply)


ATTACKS = [load(file) for file in sorted(CORPUS.glob("*/*")) if file.suffix in (".py", ".txt")]
KINDS = sorted({attack.kind for attack in ATTACKS})


@pytest.fixture(scope="module")
def arena():
    with Arena(LAYOUT, ACTIONS) as opened:
        yield opened


def test_every_attack_says_what_it_is_and_what_must_happen():
    assert len(ATTACKS) >= 100
    for attack in ATTACKS:
        assert attack.name.split("/")[0] == attack.kind
        assert set(attack.whole_path) <= set(LAYERS)
        assert set(attack.alone) <= set(LAYERS[1:])
        assert attack.what
    assert len({attack.source for attack in ATTACKS}) == len(ATTACKS)


def test_no_door_is_open(arena):
    """Harmless attempts of the worst kinds: no worker gets as far as its return."""
    assert arena.open_doors == set()


@pytest.mark.parametrize("switched_off", [False, True], ids=["whole path", "check off"])
@pytest.mark.parametrize("attack", few(ATTACKS, 16), ids=lambda attack: attack.name)
def test_an_attack_changes_nothing_outside(arena, attack, switched_off):
    expected = attack.alone if switched_off else attack.whole_path
    if switched_off or expected != ("check",):
        for door in (*NEEDS.get(attack.kind, ()), *NEEDS.get(attack.name, ())):
            if door in arena.open_doors:
                pytest.skip(f"this sandbox lets workers reach {door}: the attack would do damage")
    verdict = arena.alone(attack.source) if switched_off else arena.whole_path(attack.reply)
    arena.unharmed(verdict)
    assert verdict.layer in expected, verdict


def table() -> str:
    """Attacks by class and by the layer where they end, as the headers say and the tests above prove."""
    names = {
        "check": "static check",
        "process": "confined process",
        "wire": "answers checked",
        "deadline": "deadline",
        "smoke": "smoke test",
        "harmless": "ran, no effect",
    }
    lines = [
        "| class | attacks | " + " | ".join(names.values()) + " |",
        "|---|---:|" + "---:|" * len(LAYERS),
    ]
    total: Counter[str] = Counter()
    for kind in [*KINDS, "all"]:
        of_kind = [attack for attack in ATTACKS if kind in (attack.kind, "all")]
        with_check, alone = (
            Counter(getattr(attack, field)[0] for attack in of_kind) for field in ("whole_path", "alone")
        )
        cells = []
        for layer in LAYERS:
            first, second = with_check[layer], alone[layer]
            cells.append(f"{first or '–'} / {second or '–'}" if first or second else "")
        total += alone
        lines.append(f"| {kind} | {len(of_kind)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def test_the_table_in_the_docs_is_this_corpus():
    """``REWARDGEN_WRITE_DOCS=1`` writes it."""
    if not DOCS.is_file():
        pytest.skip("docs/sandbox.md is not there")
    text = DOCS.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    written, end, after = rest.partition(END)
    assert begin and end, f"docs/sandbox.md has no place for the table, between {BEGIN} and {END}"
    wanted = f"\n\n{table()}\n\n"
    if os.environ.get("REWARDGEN_WRITE_DOCS"):
        DOCS.write_text(before + begin + wanted + end + after, encoding="utf-8")
    else:
        assert written == wanted, "the table is old: run this test with REWARDGEN_WRITE_DOCS=1"
