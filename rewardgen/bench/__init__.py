"""How fast this machine trains, and how well what it trains learns.

``throughput`` times training against raw physics and against Stable-Baselines3, in one run.
"""

from rewardgen.bench.throughput import measure

__all__ = ["measure"]
