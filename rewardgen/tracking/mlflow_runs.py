"""MLflow: one experiment per task, with one of its runs per training."""

from __future__ import annotations

from collections.abc import Mapping

from rewardgen.tracking.tracking import Subject

TRAINING = "rewardgen.training"
"""The tag that names a training: the run's id, the key and the seed."""
_STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


class MLflow:
    """Server and credentials are configured as usual for MLflow: MLFLOW_TRACKING_URI, MLFLOW_TRACKING_TOKEN, …"""

    def __init__(self, subject: Subject) -> None:
        from mlflow import MlflowClient  # an extra

        self._subject = subject
        self._client = MlflowClient()
        name = f"rewardgen/{subject.settings['task']}"
        existing = self._client.get_experiment_by_name(name)
        self._experiment = existing.experiment_id if existing is not None else self._created(name)
        self._runs: dict[tuple[str, int], str] = {}

    def _created(self, name: str) -> str:
        """Create the experiment; return its id."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.create_experiment(name))
        except MlflowException:  # another search has just created it
            existing = self._client.get_experiment_by_name(name)
            if existing is None:
                raise
            return str(existing.experiment_id)

    def begin(self, key: str, seed: int) -> int:
        """See ``Tracker``."""
        training = f"{self._subject.id}/{key}/{seed}"
        # Continue a run that an earlier process left, or create one
        existing = self._client.search_runs([self._experiment], f"tags.`{TRAINING}` = '{training}'", max_results=1)
        if existing:
            run = self._runs[key, seed] = existing[0].info.run_id
            self._client.set_terminated(run, "RUNNING")
            return max((m.step for m in self._client.get_metric_history(run, "eval/fitness")), default=-1)
        tags = {TRAINING: training, "rewardgen.run": self._subject.name, "rewardgen.candidate": key}
        created = self._client.create_run(
            self._experiment, run_name=f"{self._subject.name} {key} seed {seed}", tags=tags
        )
        run = self._runs[key, seed] = created.info.run_id
        for name, value in {**self._subject.settings, "candidate": key, "training_seed": seed}.items():
            self._client.log_param(run, name, value)
        return -1

    def point(self, key: str, seed: int, step: int, values: Mapping[str, float], when: float) -> None:
        """See ``Tracker``."""
        from mlflow.entities import Metric

        metrics = [Metric(tag, value, int(when * 1000), step) for tag, value in values.items()]
        self._client.log_batch(self._runs[key, seed], metrics=metrics)

    def end(self, key: str, seed: int, status: str) -> None:
        """See ``Tracker``."""
        run = self._runs.pop((key, seed), None)
        if run is not None:
            self._client.set_tag(run, "rewardgen.status", status)
            self._client.set_terminated(run, _STATUS[status])

    def close(self) -> None:
        """See ``Tracker``."""
        for run in self._runs.values():  # interrupted trainings; they continue when the run is resumed
            self._client.set_terminated(run, "KILLED")
        self._runs.clear()
