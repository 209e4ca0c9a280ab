"""The offline author in other roles: a critic's verdict, an analyser's findings.

They follow fixed rules and find little; they let methods with several roles run without a language model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rewardgen.llm.offline.terms import read
from rewardgen.request import EpisodeFacts

_STATE = re.compile(r"\b(?:next_)?state\.(\w+)")
_HELPER = re.compile(r"(?<![.\w])([a-z_]\w*)\(")


def criticise(source: str) -> str:
    """Return the verdict on a program: it objects to penalties that outweigh the positive terms."""
    program = read(source, set(_STATE.findall(source)), set(_HELPER.findall(source)))
    paid = sum(term.weight for term in program or () if term.weight > 0)
    penalties = [term for term in program or () if term.weight < 0]
    if program is None or len(program) < 2 or not penalties or paid >= -sum(term.weight for term in penalties):
        return "verdict: accept"
    worst = min(penalties, key=lambda term: term.weight)
    return (
        f"verdict: revise\n\nThe penalties outweigh what is paid for the task: {worst.name} has the weight "
        f"{worst.weight:g}, and all that is paid for {paid:g} together. A policy would learn to do nothing."
    )


def analyse(episodes: Sequence[EpisodeFacts]) -> str:
    """Return findings on episodes, the fittest first: which component dominates the reward, and which never changes.

    Components are those of the last episode that has them.
    """
    series = {name: values for episode in episodes for name, values in episode.components.items()}
    lines = []
    if episodes:
        best = episodes[0]
        lines.append(f"finding: the best episode lasted {best.steps} steps and was ended by {best.ended_by}.")
    if series:
        largest = max(series, key=lambda name: max(map(abs, series[name])))
        lines.append(f"finding: {largest} is most of the reward; what it pays for is what the policy does.")
    # A component that never changes teaches nothing
    still = [name for name, values in series.items() if max(values) - min(values) <= 0.02 * max(map(abs, values))]
    if still:
        lines.append(f"finding: {', '.join(still)} hardly changes within an episode; another scale would teach more.")
    return "\n".join(lines or ["finding: the numbers do not tell."])
