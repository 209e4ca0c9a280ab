"""What candidates do, to be looked at: their policies played from the same start states, as poses, pictures and films.

    files = ensure(run_dir, "r0g1c3")       what is missing is made
    files[0].geometry, files[0].poses       for the browser's 3-D view (``web/static/viewer.js``)

A replay is named by candidate and start state, "r0g1c3.0". Poses are recorded in less than a second for a whole
generation and need nothing that draws; the search never waits for any of this.
"""

from rewardgen.replay.files import (
    FINALS,
    FOLDER,
    MAX_STARTS,
    ReplayFiles,
    ensure,
    find,
    load_replay,
    remove,
    replay_ids,
    stills,
)
from rewardgen.replay.recording import Replay, record
from rewardgen.replay.showing import check_shown

__all__ = [
    "FINALS",
    "FOLDER",
    "MAX_STARTS",
    "Replay",
    "ReplayFiles",
    "check_shown",
    "ensure",
    "find",
    "load_replay",
    "record",
    "remove",
    "replay_ids",
    "stills",
]
