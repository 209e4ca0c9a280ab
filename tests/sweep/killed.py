"""A sweep killed again and again against one that was not: ``python -m tests.sweep.killed SPEC [--kills N]``.

Runs the spec undisturbed; then once more, each time killed (SIGKILL) at a moment that nobody chose and continued, and
says whether both came to the same stores. Further arguments go to ``rewardgen sweep``.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rewardgen.errors import StoreError
from rewardgen.store import read
from tests.sweep.sweeps import contents


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given, further = parser.parse_known_args()
    moments = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="rewardgen-killed-") as folder:
        began = time.monotonic()
        run(given.spec, Path(folder, "undisturbed"), further).wait()
        took = time.monotonic() - began
        print(f"undisturbed: {took:.0f} s", flush=True)
        out, killed = Path(folder, "killed"), 0
        while killed < given.kills:
            # long enough to get anywhere, short enough that all kills fall into the sweep
            process = run(given.spec, out, further)
            try:
                process.wait(timeout=moments.uniform(1.0, 10.0 + 2 * took / given.kills))
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                stores = [file.parent for file in out.rglob("run.sqlite")]
                over = sum(_status(store) == "finished" for store in stores)
                print(f"kill {killed}: {len(stores)} searches begun, {over} finished", flush=True)
        code = run(given.spec, out, further).wait()
        expected, found = contents(Path(folder, "undisturbed")), contents(out)
        same = bool(expected) and expected == found
        print(f"{killed} kills, then code {code}; {len(found)} stores {'the same' if same else 'NOT the same'}")
    return 0 if same else 1


def run(spec: Path, out: Path, further: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rewardgen.cli", "sweep", str(spec), "--out", str(out), *further]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _status(run_dir: Path) -> str:
    try:
        return read(run_dir).status
    except StoreError:  # killed in its very first moment
        return ""


if __name__ == "__main__":
    sys.exit(main())
