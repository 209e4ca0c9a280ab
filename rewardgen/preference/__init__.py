"""People's judgements of replays as numbers.

``strengths`` fits Bradley-Terry strengths with ties and intervals to judgements and rankings, ``next_pair`` chooses the
most informative comparison, ``agreement`` compares people's ranking with the fitness, ``heard`` counts the judgements
of some candidates, ``words_about`` collects comments on them, and ``SimulatedJudge`` replaces a person where the
fitness is known.
"""

from rewardgen.preference.heard import heard, words_about
from rewardgen.preference.pairs import next_pair
from rewardgen.preference.simulated import SimulatedJudge
from rewardgen.preference.strengths import Strengths, agreement, strengths

__all__ = ["SimulatedJudge", "Strengths", "agreement", "heard", "next_pair", "strengths", "words_about"]
