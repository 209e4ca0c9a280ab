"""What trainings and evaluations measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Checkpoint:
    """One point of a training's curve, measured with the deterministic policy on fresh episodes.

    ``fitness`` is the mean true fitness over ``episodes`` episodes, ``fitness_std`` its standard deviation over them,
    ``success_rate`` the share at or above the task's threshold, ``own_return`` the mean sum of the candidate's reward
    over an episode. ``components`` are per-step means of each reward component and ``correlations`` Pearson's r of
    each component's episode sum with the fitness (NaN where either does not vary). ``episode_length`` is in control
    steps, ``causes`` the share of episodes that ended by each cause ("time limit" among them). ``goal_reached`` is the
    share of exploration's transitions since the last checkpoint that the task's sparse reward paid for. ``chosen``
    marks the one checkpoint that its training stands for. Once a training is over, that one holds what its policy was
    measured at again, on ``training.score_episodes`` episodes that did not choose it.
    """

    steps: int
    fitness: float
    fitness_std: float
    success_rate: float
    own_return: float
    components: Mapping[str, float]
    correlations: Mapping[str, float]
    episode_length: float
    causes: Mapping[str, float]
    goal_reached: float
    episodes: int
    chosen: bool = False


@dataclass(frozen=True)
class TrainingResult:
    """The result of one member (a reward and a seed) of a population.

    ``status`` is "done", "failed" with ``message`` saying why (its reward crashed, hung or was not finite), or
    "stopped" before all steps were taken, because others did better; ``message`` says where and why.
    ``weights`` are the safetensors bytes of the policy at its best checkpoint, or as ``training.keep`` says, or None.
    """

    key: str
    seed: int
    status: Literal["done", "failed", "stopped"]
    message: str
    curve: tuple[Checkpoint, ...]
    weights: bytes | None
    steps: int
    seconds: float

    @classmethod
    def unopened(cls, key: str, seed: int, failure: Exception) -> TrainingResult:
        """Return the result of a member whose reward could not be loaded, and which therefore took no step."""
        return cls(key, seed, "failed", str(failure), (), None, 0, 0.0)

    @property
    def best(self) -> Checkpoint | None:
        """The checkpoint that the training stands for: the chosen one, else that with the highest fitness (the earliest
        of equals). None where that one has no finite fitness.
        """
        finite = [
            point for point in self.curve if point.fitness == point.fitness and abs(point.fitness) != float("inf")
        ]
        if any(point.chosen for point in self.curve):
            return next((point for point in finite if point.chosen), None)
        return max(finite, key=lambda point: point.fitness, default=None)

    @property
    def score(self) -> float:
        """Fitness at the best checkpoint so far; NaN if the member failed or no fitness was finite."""
        best = self.best
        return best.fitness if self.status != "failed" and best is not None else float("nan")


@dataclass(frozen=True)
class Evaluation:
    """Fitness of trained policies on episodes that no training and no selection has used.

    ``fitness`` holds one tuple of episode fitnesses per training seed. ``low`` and ``high`` bound the mean with the
    stated ``confidence`` (bootstrap over seeds, then over episodes).
    """

    fitness: tuple[tuple[float, ...], ...]
    mean: float
    low: float
    high: float
    success_rate: float
    confidence: float = 0.95

    @property
    def seeds(self) -> int:
        return len(self.fitness)
