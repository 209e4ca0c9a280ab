"""What happened in a candidate's trainings → the text that the next prompt carries.

It tells what a person would want to know about why a reward worked or did not, in few tokens: each line is one fact,
in a regular form. ``facts_of`` tells the same as values. Text that came out of the candidates' code is quoted safely.
"""

from rewardgen.reflection.curves import ComponentCurve, component_curves, mean_over_seeds
from rewardgen.reflection.facts import facts_of
from rewardgen.reflection.text import PARTS, reflect

__all__ = ["PARTS", "ComponentCurve", "component_curves", "facts_of", "mean_over_seeds", "reflect"]
