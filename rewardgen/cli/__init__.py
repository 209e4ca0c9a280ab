"""The ``rewardgen`` command: one module per command, each of which parses, calls one function and prints.

Exit codes: 0 done, 1 failed, 2 bad usage, 130 stopped. With ``--json`` a command writes one JSON document to standard
output and nothing else, also when it fails.
"""

from rewardgen.cli.app import main

__all__ = ["main"]
