"""Summarise a candidate's trainings as text for the next prompt.

The text says why a reward worked or did not, in few tokens: each line is one fact in a fixed form. ``facts_of`` returns
the same as values. Text that originates in the candidates' code is quoted safely.
"""

from rewardgen.reflection.curves import ComponentCurve, component_curves, mean_over_seeds
from rewardgen.reflection.facts import facts_of
from rewardgen.reflection.text import PARTS, reflect

__all__ = ["PARTS", "ComponentCurve", "component_curves", "facts_of", "mean_over_seeds", "reflect"]
