"""Screening: checks of a program before it is trained. They need a task and a sandbox, but no run.

``screen_source`` extracts a program from a reply, checks it statically and runs it on simulated transitions.
``Foresight`` evaluates it on stored episodes: whether it differs from earlier rewards, and whether its return orders
the episodes as their fitness does. ``Screening`` runs both as a search does, and refuses copies.
"""

from rewardgen.screening.checks import Transitions, Trial, random_transitions, screen_source
from rewardgen.screening.episodes import Archive
from rewardgen.screening.foresight import Foresight
from rewardgen.screening.rules import Screening

__all__ = ["Archive", "Foresight", "Screening", "Transitions", "Trial", "random_transitions", "screen_source"]
