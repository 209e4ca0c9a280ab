"""Training curves where people look at them: TensorBoard files, and Weights & Biases or MLflow for those who use them.

The store alone is what rewardgen works with. A tracker gets a copy of what goes there, on a thread of its own: one that
is slow, or fails, warns once and is done without.
"""

from rewardgen.tracking.scalars import scalars
from rewardgen.tracking.tracking import Subject, Tracker, Tracking

__all__ = ["Subject", "Tracker", "Tracking", "scalars"]
