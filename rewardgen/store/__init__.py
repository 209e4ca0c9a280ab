"""A run's SQLite file and the artifacts next to it: nothing that was paid for is lost.

``Store`` is the only writer of a run and commits every step before the next one begins. ``read`` returns a whole run as
plain records, also while it is being written; ``glance`` returns the little that a list of runs shows; ``read_weights``
returns a stored policy. ``Judgements`` are people's judgements, in a file of its own that any process may write.
``race_record``, ``curse_records`` and ``screening_record`` compare what trainings showed with the decisions made
before.
"""

from rewardgen.store.artifacts import read_weights
from rewardgen.store.baselines import FOLDER as BASELINES
from rewardgen.store.baselines import Baseline, read_baseline, write_baseline
from rewardgen.store.glance import Glance, glance
from rewardgen.store.hindsight import (
    CurseRecord,
    RaceRecord,
    ScreeningRecord,
    curse_records,
    race_record,
    screening_record,
)
from rewardgen.store.holder import read_holder
from rewardgen.store.judgements import JUDGEMENTS_FILE, MAX_WORDS, Judgements
from rewardgen.store.progress import TrainingStatus, read_progress, write_progress
from rewardgen.store.reader import AGAIN, SWEEP_FILE, find_run, find_sweep, held, read
from rewardgen.store.view import (
    AttemptView,
    CallView,
    CandidateView,
    Change,
    CostView,
    EventView,
    FinalView,
    GenerationView,
    Growth,
    RunView,
    Waiting,
)
from rewardgen.store.writer import Store

__all__ = [
    "AGAIN",
    "BASELINES",
    "JUDGEMENTS_FILE",
    "MAX_WORDS",
    "SWEEP_FILE",
    "AttemptView",
    "Baseline",
    "CallView",
    "CandidateView",
    "Change",
    "CostView",
    "CurseRecord",
    "EventView",
    "FinalView",
    "GenerationView",
    "Glance",
    "Growth",
    "Judgements",
    "RaceRecord",
    "RunView",
    "ScreeningRecord",
    "Store",
    "TrainingStatus",
    "Waiting",
    "curse_records",
    "find_run",
    "find_sweep",
    "glance",
    "held",
    "race_record",
    "read",
    "read_baseline",
    "read_holder",
    "read_progress",
    "read_weights",
    "screening_record",
    "write_baseline",
    "write_progress",
]
