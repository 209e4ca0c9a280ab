"""Turns a language model's reply into a program that the sandbox may run.

extract(reply_text) -> source           the reward's code in a reply, or why there is none
extract_reply(reply) -> source          the same, with the server's reason why the reply ended
without_thoughts(text) -> text          a reply's answer without thoughts, channel marks and stop tokens
check(source, layout) -> RewardProgram  the static check: all problems at once, with their lines
shaping_reference() -> str              what a prompt says about the shaping functions
standalone(program) -> str              the program as a file that needs only torch
"""

from rewardgen.program.check import check
from rewardgen.program.exported import STATE_METHODS
from rewardgen.program.extract import extract, extract_reply
from rewardgen.program.reference import shaping_reference, standalone
from rewardgen.program.thoughts import without_thoughts

__all__ = ["STATE_METHODS", "check", "extract", "extract_reply", "shaping_reference", "standalone", "without_thoughts"]
