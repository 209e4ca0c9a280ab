"""TensorBoard's event files: ``RUN/tensorboard/CANDIDATE/seed-N``, one folder for each training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary


class TensorBoard:
    """Writes through tensorboardX's event writer alone.

    Its ``SummaryWriter`` puts a queue and a thread before that, on which an error, such as a full disk, goes unseen.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[tuple[str, int], EventsWriter] = {}

    def begin(self, key: str, seed: int) -> int:
        """Its file begins anew: nothing of a training is stored before all of it is done."""
        for file in self._place(key, seed).glob("events.out.tfevents.*"):
            file.unlink()
        return -1

    def point(self, key: str, seed: int, step: int, values: Mapping[str, float], when: float) -> None:
        writer = self._writers.get((key, seed))
        if writer is None:
            place = self._place(key, seed)
            place.mkdir(parents=True, exist_ok=True)
            writer = self._writers[key, seed] = EventsWriter(str(place / "events"))
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        writer.write_event(Event(wall_time=when, step=step, summary=summary))
        writer.flush()

    def end(self, key: str, seed: int, status: str) -> None:
        writer = self._writers.pop((key, seed), None)
        if writer is not None:
            writer.close()

    def close(self) -> None:
        for key, seed in list(self._writers):
            self.end(key, seed, "")

    def _place(self, key: str, seed: int) -> Path:
        return self._folder / key / f"seed-{seed}"
