"""Preference: what people said of replays, as numbers.

``strengths`` fits Bradley-Terry strengths with ties and intervals to judgements and orders, ``next_pair`` says which
comparison would tell most, ``agreement`` compares people's ranking with the true fitness, ``heard`` counts what was
said of some candidates, ``words_about`` is what was written of them, and ``SimulatedJudge`` stands in for a person
where the truth is known.
"""

from rewardgen.preference.heard import heard, words_about
from rewardgen.preference.pairs import next_pair
from rewardgen.preference.simulated import SimulatedJudge
from rewardgen.preference.strengths import Strengths, agreement, strengths

__all__ = ["SimulatedJudge", "Strengths", "agreement", "heard", "next_pair", "strengths", "words_about"]
