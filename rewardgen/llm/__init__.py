"""Requests → replies: whoever writes the rewards.

    make_author(config.llm, environ=os.environ, ...)     the author that the configuration asks for
    author.reply(request, n, seed=...)                   exactly n replies
    check(config.llm, os.environ)                        what an endpoint answers to one small request

An author is a language model behind an OpenAI-compatible endpoint, the offline author that needs no language model,
a recording, or a person or agent who answers in files (``dialog``). Prices and the budget belong to this room too: what
a reply costs, and whether the next one may be asked for.
"""

from rewardgen.llm.author import Author, make_author
from rewardgen.llm.budget import Budget
from rewardgen.llm.check import CheckResult, check
from rewardgen.llm.prices import Price, Prices

__all__ = ["Author", "Budget", "CheckResult", "Price", "Prices", "check", "make_author"]
