"""Write the reflection, one fact per line."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from rewardgen.quoting import grouped_errors, one_line
from rewardgen.records import Checkpoint, Form, Outcome, TrainingResult
from rewardgen.reflection.curves import (
    DOMINANT,
    NEGLIGIBLE,
    ComponentCurve,
    by_checkpoint,
    component_curves,
    mean_over_seeds,
    rank_correlation,
)
from rewardgen.reflection.numbers import mean, pick
from rewardgen.tasks import Task
from rewardgen.text import arrows, number, percent, unit_suffix

POINTS = 10
"""Checkpoints shown of the fitness; half as many of everything else."""
COMPONENTS = 10
"""Components listed one by one, largest first."""
OTHERS = 10
"""Scores of other candidates listed."""
PARTS = ("fitness", "components", "return", "endings", "exploration", "others")
"""Parts of a reflection. Without "fitness", nothing from which the fitness could be inferred is shown."""


def reflect(
    task: Task,
    trainings: Sequence[TrainingResult],
    others: Sequence[Outcome] = (),
    parts: Collection[str] = PARTS,
    form: Form = "reward",
) -> str:
    """Describe the trainings of one candidate, for the prompt that asks for a better one.

    Lines have fixed forms, such as::

        fitness: 0.12 → 0.85 → 1.91 m/s over training, best 1.91 at 700000 steps; success rate 0 %
        component NAME: mean 0.10 → 0.53 → 0.80 per step; share 61 %; correlation with fitness +0.92

    With several seeds the numbers are means over seeds. Missing or non-finite values read ``n/a``. The text stays
    below about 700 tokens for 6 components and 8 candidates.

    Args:
        task: provides unit and horizon; nothing else of it is shown.
        trainings: the candidate's own, one per seed.
        others: how the other candidates of its generation ended.
        parts: which of ``PARTS`` to show. Without "fitness", "exploration" (from the sparse reward), "others" (scores)
            and correlations with the fitness are left out, too.
        form: what the program returned. If it is not "reward", shares and the return are left out: the program has
            no return, and the reward used in training depends on what was visited or decoded.
    """
    open_ = "fitness" in parts
    done = [training for training in trainings if training.status != "failed"]
    lines = [*_failures(trainings), *_stopped(trainings)]
    columns = by_checkpoint(done)
    if columns:
        # In the order in which the lines appear; each part is computed only if it is shown
        told: dict[str, Callable[[], Iterable[str]]] = {
            "fitness": lambda: _fitness(task, done, columns),
            "components": lambda: _components(component_curves(done), with_fitness=open_, form=form),
            "return": lambda: _own_return(columns, with_fitness=open_) if form == "reward" else (),
            "endings": lambda: _endings(task, columns),
            "exploration": lambda: _exploration(columns) if open_ else (),
        }
        lines += [line for part, tell in told.items() if part in parts for line in tell()]
    elif done:
        lines.append("fitness: n/a: training ended before its first checkpoint")
    if open_ and "others" in parts:
        lines += _others(done, others)
    return "\n".join(lines)


def _failures(trainings: Sequence[TrainingResult]) -> Iterator[str]:
    failed = [training for training in trainings if training.status == "failed"]
    if failed:
        reasons = list(dict.fromkeys(one_line(training.message, 160) for training in failed))
        yield f"{len(failed)} of {len(trainings)} trainings failed: " + "; ".join(reasons[:2])
    elif not trainings:
        yield "this reward was not trained"


def _stopped(trainings: Sequence[TrainingResult]) -> Iterator[str]:
    stopped = [training for training in trainings if training.status == "stopped"]
    if stopped:
        yield (
            f"training was stopped early, after {max(training.steps for training in stopped)} steps, so that rewards "
            "which were ahead could go on; what follows is how far it came"
        )


def _fitness(task: Task, done: Sequence[TrainingResult], columns: Sequence[Sequence[Checkpoint]]) -> Iterator[str]:
    fitness = mean_over_seeds(columns, lambda point: point.fitness)
    unit = unit_suffix(one_line(task.fitness_unit, 20))
    # The score of a seed is that of its best checkpoint
    bests = [best for training in done if (best := training.best) is not None]
    told = arrows([fitness[index] for index in pick(len(fitness), POINTS)])
    if not bests:
        yield f"fitness: {told}{unit} over training, best n/a: no checkpoint gave a finite fitness; success rate n/a"
        return
    steps = round(mean([best.steps for best in bests]))
    score = mean([best.fitness for best in bests])
    success = mean([best.success_rate for best in bests])
    yield (
        f"fitness: {told}{unit} over training, best {number(score)} at {steps} steps; success rate {percent(success)}"
    )
    if len(done) > 1:
        scores = sorted(best.fitness for best in bests)
        text = f"means over {len(done)} seeds, whose best fitness runs from {number(scores[0])} to {number(scores[-1])}"
        yield text if len(bests) == len(done) else f"{text}; {len(done) - len(bests)} had none that was finite"
    # The first line shows only some checkpoints, so count over all of them
    unusable = sum(not math.isfinite(value) for value in fitness)
    if unusable:
        yield f"at {unusable} of {len(fitness)} checkpoints no fitness was finite"


def _components(curves: Sequence[ComponentCurve], *, with_fitness: bool, form: Form) -> Iterator[str]:
    if not curves:
        yield "the components of the reward were not recorded"
    weighed = form == "reward"
    for curve in curves[:COMPONENTS]:
        means = [curve.means[index] for index in pick(len(curve.means), POINTS // 2)]
        correlation = f"{curve.correlation:+.2f}" if math.isfinite(curve.correlation) else "n/a"
        told = f"component {one_line(curve.name, 40)}: mean {arrows(means)} per step"
        told += f"; share {percent(curve.share)}" if weighed else ""
        yield f"{told}; correlation with fitness {correlation}" if with_fitness else told
    # Only the largest components are listed; sum up the rest
    if len(curves) > COMPONENTS and weighed:
        rest = math.fsum(curve.share for curve in curves[COMPONENTS:] if math.isfinite(curve.share))
        yield f"{len(curves) - COMPONENTS} more components make up {percent(rest)}"
    yield from _component_notes(curves[:COMPONENTS], weighed=weighed)


def _component_notes(curves: Sequence[ComponentCurve], *, weighed: bool) -> Iterator[str]:
    zero = [one_line(curve.name, 40) for curve in curves if curve.constant and not any(curve.means)]
    constant = [one_line(curve.name, 40) for curve in curves if curve.constant and any(curve.means)]
    if zero:
        yield f"note: always zero: {', '.join(zero)}"
    if constant:
        yield f"note: hardly changed during training: {', '.join(constant)}"
    if not weighed:
        return
    if len(curves) > 1 and curves[0].share >= DOMINANT:
        yield f"note: {one_line(curves[0].name, 40)} outweighs all other components together"
    tiny = [one_line(c.name, 40) for c in curves if c.share < NEGLIGIBLE and any(c.means)]
    if tiny:
        yield f"note: too small to matter: {', '.join(tiny)}"


def _own_return(columns: Sequence[Sequence[Checkpoint]], *, with_fitness: bool) -> Iterator[str]:
    own = mean_over_seeds(columns, lambda point: point.own_return)
    yield f"this reward's return: {arrows([own[i] for i in pick(len(own), POINTS // 2)])} per episode"
    agreement = rank_correlation(own, mean_over_seeds(columns, lambda point: point.fitness))
    if with_fitness and agreement < -0.3:
        yield (
            f"note: return and fitness moved in opposite directions (rank correlation {agreement:+.2f}): "
            "this reward pays for something other than the task"
        )


def _endings(task: Task, columns: Sequence[Sequence[Checkpoint]]) -> Iterator[str]:
    lengths = mean_over_seeds(columns, lambda point: point.episode_length)
    told = arrows([lengths[i] for i in pick(len(lengths), POINTS // 2)])
    yield f"episode length: {told} of {task.horizon} steps"
    # Causes at the last checkpoint, averaged over seeds, most frequent first
    last = columns[-1]
    causes = dict.fromkeys(cause for point in last for cause in point.causes)
    shares = {cause: mean([point.causes.get(cause, 0.0) for point in last]) for cause in causes}
    named = sorted(((share, cause) for cause, share in shares.items() if share > 0), key=lambda item: -item[0])
    if named:
        told = ", ".join(f"{one_line(cause, 40)} {percent(share)}" for share, cause in named[:5])
        yield f"how episodes ended at last: {told}"


def _exploration(columns: Sequence[Sequence[Checkpoint]]) -> Iterator[str]:
    reached = mean_over_seeds(columns, lambda point: point.goal_reached)
    finite = [value for value in reached if math.isfinite(value)]
    if not finite:
        yield "whether exploration reached the goal was not recorded"
    elif max(finite) == 0:
        yield "exploration never reached the goal"
    else:
        # The first checkpoint by which any seed had met the goal
        first = next(points[0].steps for points, value in zip(columns, reached, strict=True) if value > 0)
        told = " → ".join(percent(reached[i]) for i in pick(len(reached), 3))
        yield f"exploration met the goal in {told} of its steps, first by {first} steps"


def _others(done: Sequence[TrainingResult], others: Sequence[Outcome]) -> Iterator[str]:
    scores = sorted((o.score for o in others if o.score is not None and math.isfinite(o.score)), reverse=True)
    unscored = [o for o in others if o.score is None or not math.isfinite(o.score)]
    if scores:
        told = ", ".join(number(score) for score in scores[:OTHERS])
        more = f" and {len(scores) - OTHERS} lower" if len(scores) > OTHERS else ""
        early = sum(other.stopped for other in others)
        more += f" ({early} of them stopped early)" if early else ""
        # Rank among the others, by the mean score over seeds
        own = mean([training.score for training in done])
        rank = f"; this one came {_ordinal(1 + sum(s > own for s in scores))}" if math.isfinite(own) else ""
        yield f"other rewards tried at the same time reached {told}{more}{rank}"
    if unscored:
        yield f"{len(unscored)} of {len(others)} others gave no score"
        yield from (f"- {line}" for line in grouped_errors(unscored))


def _ordinal(place: int) -> str:
    suffix = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{suffix}"
