"""How fast this machine trains, and how well what it trains learns.

``measure`` times training against raw physics and against what others train with, in one run; ``measure_learning``
holds learning curves against Stable-Baselines3's, over seeds and at equal steps; ``measure_discrimination`` says how
well trainings tell the rewards of a fixed pool apart; ``compare_racing`` says what a race saves and costs; ``draw_*``
draw what they found.
"""

from rewardgen.bench.discrimination import measure_discrimination
from rewardgen.bench.figures import draw_discrimination, draw_learning, draw_throughput
from rewardgen.bench.learning import TRAINERS, measure_learning
from rewardgen.bench.racing import compare_racing
from rewardgen.bench.throughput import measure

__all__ = [
    "TRAINERS",
    "compare_racing",
    "draw_discrimination",
    "draw_learning",
    "draw_throughput",
    "measure",
    "measure_discrimination",
    "measure_learning",
]
