"""The words that this author understands, and what they suggest.

Everything that it knows about goals is in these tables; add a word to teach it one.
"""

from __future__ import annotations

import re
from functools import cache

_WORD = re.compile(r"[a-z]+")


@cache
def stem(word: str) -> str:
    """Return ``word`` without its ending, so that "balanced" and "balance", "running" and "run" are the same."""
    for ending in ("ing", "ed", "ies", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word


def stems(text: str) -> frozenset[str]:
    """Return the stems of all words; ``snake_case`` names are split into words."""
    return frozenset(stem(word) for word in _WORD.findall(text.lower()))


def _set(text: str) -> frozenset[str]:
    """Return the stems of a list of words."""
    return frozenset(stem(word) for word in text.split())


# What a description may ask for
SPEED = _set("run walk move forward fast speed swim hop gallop travel crawl sprint advance progress velocity")
UPRIGHT = _set("upright balance swing stand pole pendulum up vertical invert inverted")
REACH = _set("reach target goal touch close closer bring toward towards place grasp destination")
CENTRE = _set("centre center middle origin rail track")
STILL = _set("still hold rest stop steady calm balance keep slow quiet")
ALIVE = _set("fall falls topple survive alive healthy without")
BACKWARD = _set("backward backwards reverse")
RISE = _set("jump leap climb rise lift high")

# What a field may be
BODY = _set("torso body root chest trunk com mass base robot cart vehicle car head forward centre center travel tip")
PART = _set("joint joints foot feet hand finger wheel thigh shin leg arm relative angular hip knee ankle")
UP_NUMBER = _set("cos cosine upright vertical up upward level")
ANGLE = _set("angle pitch tilt lean roll inclination orientation rotation pole pendulum")
HEIGHT = _set("height high above tall altitude elevation z")
TARGET = _set("target goal destination object desired")
MOVER = _set("finger fingertip tip hand gripper effector end tool block")
OFFSET = _set("offset difference distance vector error relative gap")
PLACE = _set("cart position slider place rail x")

SIDE_AXES = frozenset({"y"})

_STOP = _set("the a an of in on to and or it its is as with at by for from that this each be should can one")


def shared(description: frozenset[str], field: frozenset[str]) -> int:
    """Return how many words a field shares with the description, except function words."""
    return len((description & field) - _STOP)
