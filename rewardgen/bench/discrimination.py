"""How well trainings tell rewards apart: a fixed pool, several seeds per reward, evaluated at every checkpoint.

Each task, settings, reward and seed has its own file of curves; what is stored is not trained again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rewardgen.bench.pool import Pool, PoolReward, make_pool
from rewardgen.bench.storage import folder_name, mark_of, read_record, same_settings, settings_of, write_record
from rewardgen.config import Config, TrainingConfig
from rewardgen.errors import RewardFailed, UsageError
from rewardgen.evaluation import intraclass, reliability, scores_along, without_seed_means
from rewardgen.records import RewardProgram, TrainingResult
from rewardgen.sandbox import Sandbox, SandboxLimits
from rewardgen.tasks import Task
from rewardgen.training import Member, Reward, label_rows, train

CONFIDENCE = 0.95
MAX_SEEDS = 3
"""Max. number of seeds for which picks are evaluated."""

OnProgress = Callable[[str], None]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class RewardCurve:
    """One training of a reward of the pool: ``points`` of (steps, fitness, own return), and why it ``failed``, if so.

    ``digest`` is the reward's. ``score`` is the kept policy's score at the end of the training; None: that of its
    checkpoint. ``deviations`` are the fitness's standard deviations over each checkpoint's episodes, which races read;
    empty in older files.
    """

    task: str
    reward: str
    digest: str
    seed: int
    settings: dict[str, Any]
    points: tuple[tuple[int, float, float], ...]
    seconds: float
    failed: str = ""
    score: float | None = None
    deviations: tuple[float, ...] = ()


@dataclass(frozen=True)
class Pick:
    """How well the highest mean score over ``seeds`` seeds, drawn for each reward separately, picks from the pool.

    ``best`` is how often the pick is the reward with the highest mean over all seeds, and ``best_elsewhere`` how often
    it has the highest mean over the seeds that took no part in the pick, where every reward has its own such mean: the
    first is flattered by the seeds that pick being among those that judge. ``rank`` is the pick's expected place (1 is
    the best) and ``regret`` what it falls short of the best, both by the means over all seeds; ``regret_elsewhere``
    takes the pick's mean over its other seeds instead. Regrets are in standard deviations of the pool's means.
    ``reliability`` is the share of the variance of such means that belongs to the rewards, by Spearman-Brown.
    """

    seeds: int
    best: float
    best_elsewhere: float
    rank: float
    regret: float
    regret_elsewhere: float
    reliability: float


def measure_discrimination(
    tasks: Sequence[Task],
    configs: Sequence[Config],
    seeds: Sequence[int],
    folder: Path,
    *,
    rewards: Path | None = None,
    together: int = 8,
    threads: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Train the pools of all tasks, or read what is stored of them, and return how well rewards are told apart.

    Args:
        configs: one per task; ``training`` and ``sandbox`` are used.
        rewards: a language model's rewards, as for ``make_pool``.
        together: number of trainings in one population; results do not depend on it.

    Returns:
        task → ``rewards``, what each is and came to; ``left_out``, name → why it did not come into the pool;
        ``failed``, name → why its trainings failed, which leaves it out of all numbers; and ``by_steps``, the rows of
        ``by_checkpoint``.

    Raises:
        UsageError: fewer than two seeds, a pool of too few rewards, or a stored file that holds no curve.
        LLMError: a recording cannot be read.
    """
    if len(seeds) < 2:
        raise UsageError("telling rewards apart needs at least two seeds, such as --seeds 4")
    result: dict[str, Any] = {}
    for task, config in zip(tasks, configs, strict=True):
        limits = SandboxLimits(config.sandbox.call_seconds, config.sandbox.program_seconds, config.sandbox.memory_gb)
        with Sandbox(limits, config.sandbox.level) as sandbox:
            pool = make_pool(task, sandbox, rewards, settings=config.sandbox, threads=threads)
            result[task.name] = measure_pool(
                task,
                pool,
                seeds,
                config.training,
                folder,
                sandbox,
                together=together,
                threads=threads,
                on_progress=on_progress,
            )
    return result


def measure_pool(
    task: Task,
    pool: Pool,
    seeds: Sequence[int],
    config: TrainingConfig,
    folder: Path,
    sandbox: Sandbox,
    *,
    together: int = 8,
    threads: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Return what ``measure_discrimination`` returns for one task, for a given pool."""
    curve_of = curves(
        task, pool, seeds, config, folder, sandbox, together=together, threads=threads, on_progress=on_progress
    )
    return {"seeds": len(seeds), **_summarise(pool, curve_of, config)}


def curves(
    task: Task,
    pool: Pool,
    seeds: Sequence[int],
    config: TrainingConfig,
    folder: Path,
    sandbox: Sandbox,
    *,
    together: int = 8,
    threads: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, list[RewardCurve]]:
    """Return name → its curves, one for each of ``seeds``: read from ``folder``, or trained and stored there.

    Each group of ``together`` trainings is stored when it ends.
    """
    settings = settings_of(config)
    task_folder = folder / folder_name(task.name) / mark_of(config)
    wanted = [(reward, seed) for reward in pool.rewards for seed in seeds]

    def path(reward: PoolReward, seed: int) -> Path:
        """Return the file of a curve."""
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in reward.name)
        return task_folder / f"{plain}-{reward.digest[:8]}" / f"{seed}.json"

    # Read what is stored
    curve_of: dict[tuple[str, int], RewardCurve] = {}
    for reward, seed in wanted:
        stored = read_record(path(reward, seed), RewardCurve)
        if stored is not None and stored.digest == reward.digest and same_settings(stored.settings, settings):
            curve_of[reward.name, seed] = stored
    missing = [(reward, seed) for reward, seed in wanted if (reward.name, seed) not in curve_of]
    report = on_progress or (lambda _: None)
    if missing:
        report(f"{task.name}: {len(missing)} of {len(wanted)} trainings to do, {config.steps:,} steps each")
    # Train the rest, group by group
    for start in range(0, len(missing), together):
        group = missing[start : start + together]
        results = _train(task, group, config, sandbox, threads)
        for (reward, seed), result in zip(group, results, strict=True):
            points = tuple((point.steps, point.fitness, point.own_return) for point in result.curve)
            failed = result.message if result.status == "failed" else ""
            score = result.score if math.isfinite(result.score) else None
            curve = RewardCurve(
                task.name, reward.name, reward.digest, seed, settings, points, result.seconds, failed, score,
                tuple(point.fitness_std for point in result.curve),
            )  # fmt: skip
            curve_of[reward.name, seed] = curve
            write_record(path(reward, seed), curve)
        report(f"{task.name}: {start + len(group)} of {len(missing)} trainings done")
    return {reward.name: [curve_of[reward.name, seed] for seed in seeds] for reward in pool.rewards}


def _train(
    task: Task, group: Sequence[tuple[PoolReward, int]], config: TrainingConfig, sandbox: Sandbox, threads: int
) -> list[TrainingResult]:
    """Train a group; return one result each, in order. Trainings of a program that cannot be loaded have failed."""
    names = [reward.name for reward, _ in group]
    workers_by_name: dict[str, Reward | RewardFailed] = {}
    # One worker for each program, with room for all of its seeds
    with ExitStack() as workers:
        for reward, _ in group:
            if reward.name in workers_by_name:
                continue
            if not isinstance(reward.reward, RewardProgram):
                workers_by_name[reward.name] = reward.reward
                continue
            rows = label_rows(config, names.count(reward.name))
            try:
                worker = sandbox.open(reward.reward, task.layout, task.action_size, rows)
            except RewardFailed as failure:
                workers_by_name[reward.name] = failure
                continue
            workers.callback(worker.close)
            workers_by_name[reward.name] = worker
        ready = [(reward, seed) for reward, seed in group if not isinstance(workers_by_name[reward.name], RewardFailed)]
        members = [Member(reward.name, seed, cast(Reward, workers_by_name[reward.name])) for reward, seed in ready]
        results = train(task, members, config, threads=threads) if members else []
    # Put the results in order, failed ones included
    by_place = {(result.key, result.seed): result for result in results}
    for reward, seed in group:
        failure_ = workers_by_name[reward.name]
        if isinstance(failure_, RewardFailed):
            by_place[reward.name, seed] = TrainingResult.unopened(reward.name, seed, failure_)
    return [by_place[reward.name, seed] for reward, seed in group]


def _summarise(pool: Pool, curves_of: dict[str, list[RewardCurve]], config: TrainingConfig) -> dict[str, Any]:
    """Return what the curves of a pool show."""
    # Rewards with a failed training do not count
    failed = {name: why for name, of_reward in curves_of.items() if (why := _failure(of_reward))}
    sound = {name: of_reward for name, of_reward in curves_of.items() if name not in failed}
    scores_by_reward = {name: [_scores(curve, config) for curve in of_reward] for name, of_reward in sound.items()}
    # Each reward: what it is, and its scores
    rewards = []
    for each in pool.rewards:
        row: dict[str, Any] = {"name": each.name, "kind": each.kind, "about": each.about, "digest": each.digest}
        if isinstance(each.reward, RewardProgram):
            row["source"] = each.reward.source
        if each.name in scores_by_reward:
            ends = np.array([scores[-1] for scores in scores_by_reward[each.name]])
            row |= {"mean": float(ends.mean()), "sd": float(ends.std(ddof=1)), "scores": ends.tolist()}
        rewards.append(row)
    # Each checkpoint: how well the rewards are told apart
    steps = [point[0] for point in next(iter(sound.values()))[0].points] if sound else []
    last = {name: [[point[1] for point in curve.points] for curve in of_reward] for name, of_reward in sound.items()}
    return {
        "rewards": rewards,
        "left_out": pool.left_out,
        "failed": failed,
        "by_steps": by_checkpoint(steps, list(scores_by_reward.values()), list(last.values())),
    }


def _scores(curve: RewardCurve, config: TrainingConfig) -> list[float]:
    """Return the scores that a training would have if it ended at each checkpoint; the last one is as measured."""
    scores = scores_along([point[1:] for point in curve.points], config.keep)
    return scores if curve.score is None else [*scores[:-1], curve.score]


def _failure(of_reward: Sequence[RewardCurve]) -> str:
    """Return why one of a reward's trainings failed; "" if none did."""
    for curve in of_reward:
        if curve.failed:
            return f"seed {curve.seed}: {curve.failed}"
        if not curve.points or not all(math.isfinite(point[1]) for point in curve.points):
            return f"seed {curve.seed}: its fitness is not a finite number"
    return ""


def by_checkpoint(
    steps: Sequence[int], scores: Sequence[Sequence[Sequence[float]]], fitness: Sequence[Sequence[Sequence[float]]]
) -> list[dict[str, Any]]:
    """Return what each checkpoint shows.

    Args:
        steps: of each checkpoint.
        scores: ``scores[reward][seed][checkpoint]``, what a search would score a training that ended there.
        fitness: the same of the fitness at the checkpoint itself.

    Returns:
        For each checkpoint its ``steps``; ``icc``, ``low`` and ``high``, the rewards' share of the variance of scores
        and its 95 % interval; ``between_sd`` and ``within_sd``, the standard deviations due to rewards and to seeds;
        ``icc_shared``, the same share without what a seed adds to all rewards alike, which cancels where candidates are
        trained with the same seeds; ``icc_fitness``, the rewards' share of the variance of the fitness at the
        checkpoint itself; and ``picks``, see ``Pick``. Shares are NaN where all scores are equal.
    """
    rows: list[dict[str, Any]] = []
    for index, at in enumerate(steps):
        # The rewards' share of the variance, as a search would score them, and by fitness
        here = [[seed[index] for seed in reward] for reward in scores]
        shares_ = intraclass([here], CONFIDENCE)
        plain = intraclass([[[seed[index] for seed in reward] for reward in fitness]], CONFIDENCE)
        row: dict[str, Any] = {"steps": at, "icc": math.nan, "low": math.nan, "high": math.nan}
        row |= {"between_sd": math.nan, "within_sd": math.nan}
        if shares_ is not None:
            row |= {"icc": shares_.icc, "low": shares_.low, "high": shares_.high}
            row |= {"between_sd": math.sqrt(shares_.between), "within_sd": math.sqrt(shares_.within)}
        # Without what a seed adds to all rewards alike
        groups, spent = without_seed_means([dict(enumerate(reward)) for reward in here])
        consistent = intraclass([groups], CONFIDENCE, spent)
        row["icc_shared"] = math.nan if consistent is None else consistent.icc
        row["icc_fitness"] = math.nan if plain is None else plain.icc
        # Picks
        values = np.array(here, dtype=np.float64)
        row["picks"] = [
            asdict(pick(values, seeds, row["icc"])) for seeds in range(1, min(MAX_SEEDS + 1, values.shape[1]))
        ]
        rows.append(row)
    return rows


def pick(scores: Scores, seeds: int, icc: float = math.nan) -> Pick:
    """Return how well ``seeds`` of the seeds pick from ``scores`` ``(rewards, all seeds)``, exactly over all draws.

    Every reward draws its seeds independently and without replacement; equal means share the pick.

    Raises:
        ValueError: there are not more seeds than ``seeds``.
    """
    rewards, count = scores.shape
    if not 0 < seeds < count:
        raise ValueError(f"{seeds} of {count} seeds leave none to judge the pick by")
    draws = [list(draw) for draw in combinations(range(count), seeds)]
    # Every draw of every reward: its mean over the drawn seeds, which picks, and over the others, which judges
    drawn_means = np.stack([scores[:, draw].mean(1) for draw in draws], 1)  # (rewards, draws)
    other_means = np.stack([np.delete(scores, draw, 1).mean(1) for draw in draws], 1)  # (rewards, draws)
    means = scores.mean(1)
    chance = np.zeros((rewards, len(draws)))  # probability of each reward, with each draw, to be picked
    confirmed = np.zeros((rewards, len(draws)))  # … and to be the best by the other seeds as well
    for r in range(rewards):
        others = [q for q in range(rewards) if q != r]
        for d in range(len(draws)):
            below = drawn_means[others] < drawn_means[r, d]
            equal = drawn_means[others] == drawn_means[r, d]
            worse = other_means[others] <= other_means[r, d]
            chance[r, d] = _wins(below.mean(1), equal.mean(1)) / len(draws)
            confirmed[r, d] = _wins((below & worse).mean(1), (equal & worse).mean(1)) / len(draws)
    of_reward = chance.sum(1)
    spread = float(means.std(ddof=1)) if rewards > 1 else 0.0
    top = float(means.max())
    scale = 1.0 / spread if spread > 0.0 else math.nan
    return Pick(
        seeds=seeds,
        best=float(of_reward[means == top].sum()),
        best_elsewhere=float(confirmed.sum()),
        rank=float(sum(p * (1 + int((means > mean).sum())) for p, mean in zip(of_reward, means, strict=True))),
        regret=(top - float(of_reward @ means)) * scale,
        regret_elsewhere=(top - float((chance * other_means).sum())) * scale,
        reliability=reliability(icc, seeds) if math.isfinite(icc) else math.nan,
    )


def _wins(below: Scores, equal: Scores) -> float:
    """Return the probability to be picked if each other one is below or level with these probabilities.

    With n others level it is 1/(1 + n). The coefficients of Π (below + equal · x) are the probabilities of n others
    being level and the rest below.
    """
    chances = np.ones(1)
    for less, same in zip(below, equal, strict=True):
        chances = np.convolve(chances, [less, same])
    return float((chances / np.arange(1, len(chances) + 1)).sum())
