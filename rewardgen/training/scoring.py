"""Score finished trainings: measure the kept policy on episodes that were not used to select it."""

from __future__ import annotations

from collections.abc import Sequence

from rewardgen.config import TrainingConfig
from rewardgen.errors import RewardFailed
from rewardgen.sim import Arrangement
from rewardgen.sim.arrangement import ON_CPU
from rewardgen.tasks import Task
from rewardgen.training.checkpoints import Examiner
from rewardgen.training.labelling import Labelling
from rewardgen.training.population import Population
from rewardgen.training.record import Record


def score(
    task: Task,
    records: Sequence[Record],
    config: TrainingConfig,
    threads: int,
    arrangement: Arrangement = ON_CPU,
) -> None:
    """Measure the kept policy of every record on ``config.score_episodes`` fresh episodes, in one batch.

    The kept checkpoint is the best of several, each measured on few episodes, so its fitness is noisy and biased
    upwards. The new measurement replaces it in the curve. Stopped trainings are measured too. A training whose reward
    fails on these episodes becomes "failed".

    Raises:
        SimulationFailed: MuJoCo reported an error.
    """
    # A training without a finite score stays without one, though it may hold an earlier checkpoint's policy
    kept = [record for record in records if record.result(0.0).best is not None and not record.failure]
    if not kept or config.score_episodes == 0:
        return

    # Rebuild the kept policies from their weights
    members = [record.member for record in kept]
    labelling = Labelling(members, config.worlds * config.rollout, arrangement.physics_device)
    credits = [record.credit for record in kept]
    examiner = Examiner(task, members, labelling, config.score_episodes, threads, arrangement, credits, purpose="score")
    weights = [record.weights for record in kept if record.weights is not None]
    population = Population.from_weights(weights, task, config, arrangement.device)

    # Measure them and replace the checkpoints (which keep their own steps and goal_reached)
    count = len(kept)
    points = examiner.examine(population.act, 0, [0.0] * count, [True] * count)
    for k, point in points.items():
        if isinstance(point, RewardFailed):
            kept[k].failure = str(point)
        else:
            kept[k].confirm(point)
