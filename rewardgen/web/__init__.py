"""The live pages: runs and how they go, candidates side by side, and where people judge what they see.

``serve`` answers browsers until it is stopped; ``make_app`` is the application behind it. The pages read the store
alone and write nothing but judgements. Needs the extra ``web``.
"""

from __future__ import annotations

from rewardgen.web.app import make_app
from rewardgen.web.server import serve

__all__ = ["make_app", "serve"]
