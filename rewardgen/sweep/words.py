"""A sweep's conclusions in sentences, for its page and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable

from rewardgen.sweep.analysis import Analysis, ArmStanding, Comparison
from rewardgen.sweep.statistics import Estimate
from rewardgen.text import count, listed, number, signed, unit_suffix

SCORE = "human-normalised score"


def interval(estimate: Estimate, shown: Callable[[float], str] = number) -> str:
    """Return "0.52 (0.31 to 0.74)"; the value alone if there are no bounds, "" if there is no value."""
    if not math.isfinite(estimate.value):
        return ""
    value = shown(estimate.value)
    return f"{value} ({shown(estimate.low)} to {shown(estimate.high)})" if estimate.bounded else value


def verdict(comparison: Comparison) -> str:
    """Return what the paired data say of two arms: better, worse, or not told apart."""
    arm, against, difference = comparison.arm, comparison.against, comparison.difference
    where = f" on {comparison.task}" if comparison.task else ""
    if not comparison.pairs:
        return f"{arm} and {against} have no task and seed in common{where} yet: there is nothing to compare."
    # What is compared, and on how much data
    unit = unit_suffix(comparison.unit) if comparison.task else ""
    what = "" if comparison.task else f" in {SCORE}"
    evidence = count(comparison.pairs, "pair") + " of one task and seed"
    if comparison.tasks > 1:
        evidence += f" on {comparison.tasks} tasks"
    # A single seed shows nothing of the spread
    if not difference.bounded:
        return (
            f"Whether {arm} is better than {against}{where} is not shown: the difference of "
            f"{signed(difference.value)}{unit}{what} rests on {evidence}, with a single seed of a task, which says "
            "nothing of how other seeds would turn out. Add seeds."
        )
    # The interval decides
    span = f"{signed(difference.low)} to {signed(difference.high)}"
    if comparison.supported:
        better = "better" if difference.value > 0 else "worse"
        return (
            f"{arm} is {better} than {against}{where}: {signed(difference.value)}{unit}{what} ({span}), "
            f"over {evidence}."
        )
    return (
        f"Whether {arm} is better than {against}{where} is not shown: the difference of "
        f"{signed(difference.value)}{unit}{what} ({span}) is not supported by {evidence}."
    )


def verdicts(analysis: Analysis) -> list[str]:
    """Return one sentence for each arm that is compared, and one on how sure they are."""
    if len(analysis.sweep.arms) < 2:
        return ["There is one arm, so there is nothing to compare it with."]
    # Without a common scale, tasks can only be compared one by one
    if not any(scale.known for scale in analysis.scales):
        sentences = [verdict(each) for each in analysis.by_task]
    else:
        sentences = [verdict(each) for each in analysis.comparisons]
    level = f"{100 * analysis.bootstrap.confidence:g} %"
    compared = len(analysis.comparisons)
    if compared > 1:
        sentences.append(f"The intervals of the {compared} comparisons hold at {level} for all of them together.")
    else:
        sentences.append(f"The interval is at {level}.")
    return sentences


def caveats(analysis: Analysis) -> list[str]:
    """Return what a reader must know before believing the numbers."""
    # Searches that are missing
    sentences = [*map(standing, (s for s in analysis.standings if s.scored < s.planned))]
    failed = [s.arm for s in analysis.standings if s.failed or s.unscored]
    if failed:
        sentences.append(
            f"Searches without a score are left out, which may flatter {listed(failed)}: those that fail are "
            "perhaps those that would have done badly."
        )
    # Tasks without a scale, or with a noisy one
    unknown = [scale.task for scale in analysis.scales if not scale.known]
    if unknown and any(result.scored for result in analysis.sweep.results):
        sentences.append(
            f"{listed(unknown)} {'has' if len(unknown) == 1 else 'have'} no scale: the expert's or the sparse reward "
            "was not measured, or both reached the same. Shown by fitness alone."
        )
    scored = {cell.task for cell in analysis.cells if cell.scores}
    left_out = [s.task for s in analysis.scales if s.known and s.task in scored and s.task not in analysis.common]
    if left_out:
        sentences.append(f"Not every arm has a score on {listed(left_out)} yet: left out of what is over all tasks.")
    noisy = [scale.task for scale in analysis.scales if scale.known and not scale.apart]
    if noisy:
        sentences.append(
            f"On {listed(noisy)} the expert's reward is not told apart from the sparse one, so the scale of the "
            f"{SCORE} is itself mostly noise there; the interquartile mean suffers least from it."
        )
    varied = [scale for scale in analysis.scales if scale.varies]
    if varied:
        sentences.append(
            f"The expert's and the sparse reward were measured differently by different searches of "
            f"{listed([scale.task for scale in varied])}, because they train differently; the scale is that of "
            f"{listed(sorted({scale.source for scale in varied}))}."
        )
    # Numbers of seeds
    counts = {len(cell.scores) for cell in analysis.cells if cell.task in analysis.common and cell.scores}
    if len(counts) > 1:
        sentences.append(
            "Seeds are not equally many everywhere; a task with more of them weighs more in interquartile means."
        )
    if counts and min(counts) < 2:
        sentences.append("Some task has a single seed: there are no intervals over all tasks for its arm.")
    elif counts and min(counts) < 5:
        sentences.append(
            "With fewer than five seeds of a task, intervals of interquartile means and profiles come out too narrow; "
            "those of differences and of single tasks are widened for it."
        )
    return sentences


def standing(of: ArmStanding) -> str:
    """Return "eureka: 7 of 9 searches have a score; 1 failed, 1 has not begun"."""
    parts = [
        (of.unscored, "finished without a reward that could be measured"),
        (of.failed, "failed"),
        (of.unfinished, "is not finished" if of.unfinished == 1 else "are not finished"),
        (of.missing, "has not begun" if of.missing == 1 else "have not begun"),
    ]
    sentences = ", ".join(f"{count} {what}" for count, what in parts if count)
    return f"{of.arm}: {of.scored} of {of.planned} searches have a score; {sentences}."
