"""Checks of one program before anything is trained with it. They need no run: a task and a sandbox are enough.

``screen_source`` extracts a program from a reply, checks it and tries it on real transitions. ``Foresight`` tries it on
stored episodes: is it new, and does its return order episodes as their fitness does?
"""

from rewardgen.screening.checks import Transitions, Trial, random_transitions, screen_source
from rewardgen.screening.episodes import Archive
from rewardgen.screening.foresight import Foresight

__all__ = ["Archive", "Foresight", "Transitions", "Trial", "random_transitions", "screen_source"]
