"""The run's SQLite file and the artifacts beside it: nothing that was paid for is lost.

``Store`` is the one writer of a run and commits every step before the next begins; ``read`` gives a whole run as plain
records, also while a live process writes it; ``read_weights`` fetches a stored policy.
"""

from rewardgen.store.artifacts import read_weights
from rewardgen.store.reader import find_run, read
from rewardgen.store.view import (
    AttemptView,
    CallView,
    CandidateView,
    CostView,
    EventView,
    FinalView,
    GenerationView,
    RunView,
)
from rewardgen.store.writer import Store

__all__ = [
    "AttemptView",
    "CallView",
    "CandidateView",
    "CostView",
    "EventView",
    "FinalView",
    "GenerationView",
    "RunView",
    "Store",
    "find_run",
    "read",
    "read_weights",
]
