"""TensorBoard's event files: ``RUN/tensorboard/CANDIDATE/seed-N``, one folder per training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary


class TensorBoard:
    """Writes through tensorboardX's event writer only.

    Its ``SummaryWriter`` adds a queue and a thread, in which errors such as a full disk go unnoticed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[tuple[str, int], EventsWriter] = {}

    def begin(self, key: str, seed: int) -> int:
        """Begin a new file: nothing of a training is stored before all of it is done."""
        for file in self._place(key, seed).glob("events.out.tfevents.*"):
            file.unlink()
        return -1

    def point(self, key: str, seed: int, step: int, values: Mapping[str, float], when: float) -> None:
        """See ``Tracker``."""
        # Open the file with the first checkpoint
        writer = self._writers.get((key, seed))
        if writer is None:
            place = self._place(key, seed)
            place.mkdir(parents=True, exist_ok=True)
            writer = self._writers[key, seed] = EventsWriter(str(place / "events"))
        # One event per checkpoint, flushed so that it can be watched
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        writer.write_event(Event(wall_time=when, step=step, summary=summary))
        writer.flush()

    def end(self, key: str, seed: int, status: str) -> None:
        """See ``Tracker``."""
        writer = self._writers.pop((key, seed), None)
        if writer is not None:
            writer.close()

    def close(self) -> None:
        """See ``Tracker``."""
        for key, seed in list(self._writers):
            self.end(key, seed, "")

    def _place(self, key: str, seed: int) -> Path:
        """Return the folder of a training."""
        return self._folder / key / f"seed-{seed}"
