"""The live pages: watch runs, compare candidates, judge replays, start searches and answer their requests.

``pages`` makes the server for a folder of runs. Pages read runs from their stores; they write judgements, answers of a
dialog and exports, and start ``rewardgen`` processes. Needs the extra ``web``.
"""

from __future__ import annotations

from rewardgen.web.server import Pages, pages

__all__ = ["Pages", "pages"]
