"""One scale for the scores of different tasks."""

from __future__ import annotations

import math


def normalised(score: float, expert: float, sparse: float) -> float:
    """Eureka's human-normalised score, (score − sparse) / |expert − sparse| (Ma et al., ICLR 2024, section 4).

    0 is what the sparse reward reaches, 1 what the expert's does where that is the better of the two; NaN where both
    reach the same, or where one of the three is not finite.
    """
    gap = abs(expert - sparse)
    return (score - sparse) / gap if gap > 0 and math.isfinite(score) and math.isfinite(gap) else math.nan
