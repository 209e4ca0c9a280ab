"""Run reward programs in confined processes; independent of reinforcement learning.

Sandbox(limits)             a context manager that owns the fork server
sandbox.open(program, ...)  a Worker: submit transitions, collect Labels or a RewardFailed
layers()                    the layers of confinement, and which of them are in force on this machine
smoke_test(worker, ...)     what is wrong with a program, in words that its author can act on
"""

from rewardgen.sandbox.layers import LayerReport, Level
from rewardgen.sandbox.sandbox import Sandbox, layers
from rewardgen.sandbox.smoke import smoke_test, unexplained
from rewardgen.sandbox.worker import SandboxLimits, Worker

__all__ = ["LayerReport", "Level", "Sandbox", "SandboxLimits", "Worker", "layers", "smoke_test", "unexplained"]
