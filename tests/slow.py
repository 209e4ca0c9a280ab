"""Which tests `make quick` leaves out besides those that carry the mark: functions that took long in a whole run.

`make test ARGS="--durations=0 -vv" | tee LOG`, then `python -m tests.slow LOG` writes ``slow.txt`` anew.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LIST = Path(__file__).with_name("slow.txt")
SECONDS = 0.7
"""Of all cases of a test function together, their set-up included."""
STAY = (
    "tests/cli/test_commands.py::test_train_gives_a_curve_for_each_reward",
    "tests/envs/test_gymnasium.py::test_every_step_matches",
    "tests/sandbox/test_corpus.py::test_an_attack_changes_nothing_outside",
    "tests/search/test_search.py::test_the_whole_way_through",
)
"""Tests of the whole that a quick run keeps, however long they take."""
_LINE = re.compile(r"(\d+\.\d+)s (?:call|setup|teardown) +(\S[^\[\n]*)")


def slow() -> frozenset[str]:
    """Return the listed test functions, as their identifiers begin."""
    return frozenset(LIST.read_text(encoding="utf-8").split())


def main(log: str) -> None:
    took: dict[str, float] = {}
    for line in Path(log).read_text(encoding="utf-8").splitlines():
        if found := _LINE.match(line):
            name = found[2].strip()
            took[name] = took.get(name, 0.0) + float(found[1])
    names = sorted(name for name, seconds in took.items() if seconds > SECONDS and name not in STAY)
    LIST.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
