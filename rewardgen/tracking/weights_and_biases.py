"""Weights & Biases: one of its runs per training, in one group per run of ours."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rewardgen.tracking.tracking import Subject

INIT_SECONDS = 30.0
FINISH_SECONDS = 60.0


class WeightsAndBiases:
    """Project, entity, mode and key are W&B's own: WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE, `wandb login`.

    It gets the scalars and the settings in ``Subject``. What it would otherwise collect about the machine, the command
    line, the code and the terminal is switched off.
    """

    def __init__(self, subject: Subject) -> None:
        import wandb  # an extra

        self._subject = subject
        self._wandb = wandb
        self._runs: dict[tuple[str, int], Any] = {}
        # silent: not a word on a terminal that is not its own, and no prompt for a key
        self._project = wandb.setup(wandb.Settings(silent=True, console="off")).settings.project

    def begin(self, key: str, seed: int) -> int:
        """See ``Tracker``."""
        training = f"{self._subject.id}/{key}/{seed}"
        name = hashlib.sha256(training.encode()).hexdigest()[:16]
        folder = self._subject.folder
        # In offline mode, a run that a killed process left would be sent as the first part of the same curve
        for leftover in (folder / "wandb").glob(f"offline-run-*-{name}"):
            # The name makes a resumed training continue its run
            shutil.rmtree(leftover)
        self._runs[key, seed] = self._wandb.init(
            project=self._project or "rewardgen",
            group=self._subject.name,
            name=f"{key} seed {seed}",
            id=name,
            resume="allow",
            dir=_make_folder(folder),
            config={**self._subject.settings, "candidate": key, "training_seed": seed},
            reinit="create_new",
            settings=self._wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                save_code=False,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                init_timeout=INIT_SECONDS,
                finish_timeout=FINISH_SECONDS,
            ),
        )
        return int(self._runs[key, seed].starting_step) - 1

    def point(self, key: str, seed: int, step: int, values: Mapping[str, float], when: float) -> None:
        """See ``Tracker``."""
        self._runs[key, seed].log(dict(values), step=step, commit=True)

    def end(self, key: str, seed: int, status: str) -> None:
        """See ``Tracker``."""
        run = self._runs.pop((key, seed), None)
        if run is not None:
            run.summary["status"] = status
            run.finish(exit_code=int(status == "failed"))

    def close(self) -> None:
        """See ``Tracker``."""
        for run in self._runs.values():  # interrupted trainings; they continue when the run is resumed
            run.finish(exit_code=1)
        self._runs.clear()


def _make_folder(folder: Path) -> str:
    """Make a folder, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
