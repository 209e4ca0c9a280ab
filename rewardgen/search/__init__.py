"""The loop: generations of rewards, written, screened, trained, measured, reflected on and selected.

``run`` begins a search and ``resume`` continues one; ``loop.generation`` is the method on a page. A ``Candidate`` goes
through its stages: ``propose`` (what is asked for, and the replies), ``screen`` (checks and repairs), ``rank`` (races,
bounds, fresh seeds, the winner), ``judging`` (people, or who stands in for them), ``feedback`` (what the next prompt
tells). ``Services`` are what each stage is given; ``events`` are what a search reports.
"""

from typing import TYPE_CHECKING

from rewardgen import lazy

if TYPE_CHECKING:
    from rewardgen.search.events import Event, Listener, silent
    from rewardgen.search.judging import asked_for
    from rewardgen.search.method import Method, configure, load_method, method_file, method_names
    from rewardgen.search.settings import Resolved, resolve
    from rewardgen.search.start import describe, resume, run

__all__ = [
    "Event",
    "Listener",
    "Method",
    "Resolved",
    "asked_for",
    "configure",
    "describe",
    "load_method",
    "method_file",
    "method_names",
    "resolve",
    "resume",
    "run",
    "silent",
]

lazy.exports(__name__)
