"""Takes what is to be exported from a run's store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rewardgen.errors import RewardgenError, UnknownName
from rewardgen.export.files import Exported, Origin, export
from rewardgen.records import RewardProgram, TrainingResult
from rewardgen.store import CandidateView, RunView, read_weights
from rewardgen.tasks import load_task


def export_run(view: RunView, out_dir: Path, *, candidate: str | None = None, envs: Sequence[Path] = ()) -> Exported:
    """Write a run's best reward with the best policy that was trained on it.

    Args:
        candidate: the key of another candidate to export.
        envs: folders of task files, where the run's own are no longer where they were.

    Raises:
        UnknownName: the run has no such candidate, or its task is not to be found.
        RewardgenError: the run has no trained candidate yet, or the folder cannot be written to.
    """
    chosen = _chosen(view, candidate)
    if chosen.source is None:
        raise RewardgenError(f"{chosen.key} has no program: none of its attempts passed the checks")
    task = load_task(str(view.task.get("name", "")), envs or view.envs)
    origin = Origin(
        run=view.name,
        candidate=chosen.key,
        author=view.author,
        scores={final.name: final.evaluation for final in view.finals} if chosen.key == view.winner else {},
        versions=view.versions,
        form=view.form,
    )
    return export(RewardProgram(chosen.source), _weights(view, chosen), task, out_dir, origin=origin)


def _chosen(view: RunView, key: str | None) -> CandidateView:
    """The candidate of that key, or the winner, or of an unfinished run the best so far."""
    if key is not None:
        if key not in view.candidates:
            raise UnknownName("candidate", key, view.candidates, hint=f"(in {view.path})")
        return view.candidates[key]
    if view.winner is not None:
        return view.candidates[view.winner]
    scored = [each for each in view.candidates.values() if each.score is not None]
    if not scored:
        raise RewardgenError(f"no candidate of {view.name} has been trained, so there is nothing to export yet")
    return max(scored, key=lambda each: each.score or 0.0)


def _weights(view: RunView, chosen: CandidateView) -> bytes | None:
    """The policy with the highest training score among the reported trainings, else among the candidate's own.

    Chosen by the training's own checkpoints: picking it by the reported episodes would use those for a selection.
    Where people alone judged, it is the one that they saw, whatever its fitness.
    """
    if (view.config.get("search") or {}).get("judge") == "people":
        seen = (read_weights(view.path, chosen.key, training.seed) for training in chosen.trainings)
        return next((weights for weights in seen if weights is not None), None)
    final = view.final("winner") if chosen.key == view.winner else None
    for owner, trainings in (("final/winner", final.trainings if final else ()), (chosen.key, chosen.trainings)):
        for training in sorted(_scored(trainings), key=lambda each: -each.score):
            weights = read_weights(view.path, owner, training.seed)
            if weights is not None:
                return weights
    return None


def _scored(trainings: Sequence[TrainingResult]) -> list[TrainingResult]:
    return [training for training in trainings if training.score == training.score]
