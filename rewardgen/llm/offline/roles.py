"""What the offline author says where a method asks for another role: a critic's verdict, an analyser's findings.

By plain rules from the text alone, so that methods with several roles run without a language model; they find little.
"""

from __future__ import annotations

import re

from rewardgen.llm.offline.brief import code_of
from rewardgen.llm.offline.terms import read

_UNDER_REVIEW = re.compile(r"^# The reward under review\s*\n(.*)", re.MULTILINE | re.DOTALL)
_STATE = re.compile(r"\b(?:next_)?state\.(\w+)")
_HELPER = re.compile(r"(?<![.\w])([a-z_]\w*)\(")
_COMPONENT = re.compile(r"^- component (.+?), per step: (.+)$", re.MULTILINE)
_ENDED = re.compile(r"^the best of .*?(\d+) steps, ended by: ([^.\n]+)\.", re.MULTILINE)


def criticise(asked: str) -> str:
    """The verdict on the program that ``asked`` shows: it objects to penalties that outweigh what is paid for."""
    found = _UNDER_REVIEW.search(asked)
    source = code_of(found.group(1)) if found else ""
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


def analyse(asked: str) -> str:
    """Findings on the episodes that ``asked`` tells of: which component is most of the reward, which never moves."""
    series = {name: [_number(part) for part in told.split("→")] for name, told in _COMPONENT.findall(asked)}
    lines = []
    if ended := _ENDED.search(asked):
        lines.append(f"finding: the best episode lasted {ended.group(1)} steps and was ended by {ended.group(2)}.")
    if series:
        largest = max(series, key=lambda name: max(map(abs, series[name])))
        lines.append(f"finding: {largest} is most of the reward; what it pays for is what the policy does.")
    still = [name for name, values in series.items() if max(values) - min(values) <= 0.02 * max(map(abs, values))]
    if still:
        lines.append(f"finding: {', '.join(still)} hardly changes within an episode; another scale would teach more.")
    return "\n".join(lines or ["finding: the numbers do not tell."])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
