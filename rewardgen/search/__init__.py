"""The loop: generations of rewards, written, screened, trained, measured, reflected on and selected.

``run`` begins a search and ``resume`` takes one up; ``loop.py`` is the method on a page. A generation's programs are
tried on stored episodes (``foresight``), race (``racing``), and the best is measured again (``selection``).
``measure_baselines`` says what a task's own rewards reach, ``kept_baselines`` what is known of that.
"""

from typing import TYPE_CHECKING

from rewardgen import lazy

if TYPE_CHECKING:
    from rewardgen.search.baselines import kept as kept_baselines
    from rewardgen.search.baselines import measure as measure_baselines
    from rewardgen.search.comparison import compare_racing
    from rewardgen.search.events import Event, Listener, silent
    from rewardgen.search.judging import asked_for
    from rewardgen.search.method import Method, configure, load_method, method_file, method_names, trained_as
    from rewardgen.search.screening import Transitions, Trial, random_transitions, screen_source
    from rewardgen.search.start import describe, resume, run
    from rewardgen.search.versions import machine, versions

__all__ = [
    "Event",
    "Listener",
    "Method",
    "Transitions",
    "Trial",
    "asked_for",
    "compare_racing",
    "configure",
    "describe",
    "kept_baselines",
    "load_method",
    "machine",
    "measure_baselines",
    "method_file",
    "method_names",
    "random_transitions",
    "resume",
    "run",
    "screen_source",
    "silent",
    "trained_as",
    "versions",
]

lazy.exports(__name__)
