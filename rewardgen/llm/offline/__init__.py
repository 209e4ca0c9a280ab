"""The author without a language model.

It gets the same requests as a language model and answers in the same form, but by fixed rules: it reads the declared
fields and a few keywords of the description (``words``, ``quantities``), builds rewards from a small grammar of bounded
terms (``terms``, ``designs``), and improves a reward that it is shown by reweighting, mutation and recombination,
guided by how its training went (``improving``). It knows only the facts of the request, which
are what its messages tell a language model.
It is the default where no key is set, and the baseline that a language model has to beat.
"""

from rewardgen.llm.offline.author import OfflineAuthor

__all__ = ["OfflineAuthor"]
