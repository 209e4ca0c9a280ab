"""What happened in a candidate's trainings → the text that the next prompt carries.

It tells what a person would want to know about why a reward worked or did not, in few tokens: each line is one fact,
in a regular form that the offline author reads too. Text that came out of the candidates' code is quoted safely.
"""

from rewardgen.reflection.curves import ComponentCurve, component_curves, mean_over_seeds
from rewardgen.reflection.text import PARTS, reflect

__all__ = ["PARTS", "ComponentCurve", "component_curves", "mean_over_seeds", "reflect"]
