"""Run what people ran into against the product, and print a table of right and wrong.

python -m tests.cases [bugs | endpoints | newcomer] [--inputs FOLDER] [--only PART ...] [--jobs N]

bugs: commands on the inputs that showed a fault. endpoints: the default search against each kind of model server.
newcomer: the first hours of a new user. ``--inputs`` takes another folder with inputs of the same names.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.cases import endpoints, newcomer
from tests.cases.cases import CASES, INPUTS, Case, Outcome, run


@dataclass(frozen=True)
class Row:
    """One line of a table: how it is run in a folder of its own, and how its outcome is written."""

    name: str
    run: Callable[[Path], Outcome]
    line: Callable[[Outcome], str]


def _rows(part: str, inputs: Path) -> Sequence[Row]:
    if part == "newcomer":
        return [Row(each.name, each.run, each.line) for each in newcomer.ROWS]

    def row(case: Case, line: Callable[[Outcome], str]) -> Row:
        return Row(case.name.removeprefix("endpoints/"), lambda work: run(case, inputs, work), line)

    if part == "endpoints":
        return [row(kind.case, kind.line) for kind in endpoints.KINDS]
    return [row(case, lambda outcome, case=case: _bug(case, outcome)) for case in CASES]


def _bug(case: Case, outcome: Outcome) -> str:
    return f"| {case.name} | {outcome.seconds:.1f} s | {outcome.verdict} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("bugs", "endpoints", "newcomer"), default="bugs")
    parser.add_argument("--inputs", type=Path, default=INPUTS)
    parser.add_argument(
        "--only", nargs="*", default=[""], metavar="PART", help="rows whose names begin with one of these"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print what wrong ones said")
    given = parser.parse_args()
    rows = [row for row in _rows(given.part, given.inputs.resolve()) if row.name.startswith(tuple(given.only))]
    right = 0
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(given.jobs) as pool:
        places = [Path(work) / str(number) for number in range(len(rows))]
        for row, outcome in zip(rows, pool.map(lambda row, place: row.run(place), rows, places), strict=True):
            right += not outcome.wrong
            print(row.line(outcome), flush=True)
            if given.verbose and outcome.wrong:
                print("    " + outcome.said[-1500:], flush=True)
    print(f"{right} of {len(rows)} right")
    return 0 if right == len(rows) else 1


raise SystemExit(main())
