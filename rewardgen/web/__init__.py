"""The live pages: runs and how they go, candidates side by side, and where people judge what they see.

``pages`` is a server for a folder of runs. The pages read the store alone and write nothing but judgements. Needs the
extra ``web``.
"""

from __future__ import annotations

from rewardgen.web.server import Pages, pages

__all__ = ["Pages", "pages"]
