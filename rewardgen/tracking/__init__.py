"""Training curves in TensorBoard files, Weights & Biases or MLflow.

rewardgen itself only works with the store. A tracker gets a copy of what goes there, in its own thread: one that is
slow or fails is reported once, and no longer used.
"""

from rewardgen.tracking.scalars import scalars
from rewardgen.tracking.tracking import Subject, Tracker, Tracking

__all__ = ["Subject", "Tracker", "Tracking", "scalars"]
