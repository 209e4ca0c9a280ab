"""Screening: checks of a program before it is trained. They need a task and a sandbox, but no run.

``screen_source`` extracts a program from a reply, checks it statically and runs it on simulated transitions.
``Foresight`` evaluates it on stored episodes: whether it differs from earlier rewards, and whether its return orders
the episodes as their fitness does.
"""

from rewardgen.screening.checks import Transitions, Trial, random_transitions, screen_source
from rewardgen.screening.episodes import Archive
from rewardgen.screening.foresight import Foresight

__all__ = ["Archive", "Foresight", "Transitions", "Trial", "random_transitions", "screen_source"]
