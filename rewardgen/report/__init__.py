"""A run → one HTML file that anyone can open, keep or send: it asks nothing of the network and runs no script.

Reads a ``RunView`` alone, so it can be written for a run that is still going, was interrupted or failed.
"""

from rewardgen.report.page import write_report

__all__ = ["write_report"]
