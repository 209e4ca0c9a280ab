"""From a language model's reply to a program that the sandbox may run.

extract(reply_text) -> source           the reward's code in a reply, or why there is none
check(source, layout) -> RewardProgram  the static check: every problem at once, with its line
shaping_reference() -> str              what a prompt says of the shaping functions
standalone(program) -> str              the program as a file that needs torch alone
"""

from rewardgen.program.check import check
from rewardgen.program.extract import extract
from rewardgen.program.reference import shaping_reference, standalone

__all__ = ["check", "extract", "shaping_reference", "standalone"]
