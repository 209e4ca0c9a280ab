"""Run every case of what people ran into, and print a table of right and wrong.

python -m tests.cases [--inputs FOLDER] [--only PART ...] [--jobs N]

``--inputs`` takes another folder with inputs of the same names.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cases.cases import CASES, INPUTS, Case, Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=Path, default=INPUTS)
    parser.add_argument(
        "--only", nargs="*", default=[""], metavar="PART", help="cases whose names begin with one of these"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print what wrong ones said")
    given = parser.parse_args()
    cases = [case for case in CASES if case.name.startswith(tuple(given.only))]
    right = 0
    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(given.jobs) as pool:

        def one(case: Case) -> Outcome:
            return run(case, given.inputs.resolve(), Path(work))

        for case, outcome in zip(cases, pool.map(one, cases), strict=True):
            right += not outcome.wrong
            verdict = "right" if not outcome.wrong else "WRONG: " + "; ".join(outcome.wrong)
            print(f"| {case.name} | {outcome.seconds:.1f} s | {verdict} |", flush=True)
            if given.verbose and outcome.wrong:
                print("    " + outcome.said[-1500:], flush=True)
    print(f"{right} of {len(cases)} right")
    return 0 if right == len(cases) else 1


raise SystemExit(main())
