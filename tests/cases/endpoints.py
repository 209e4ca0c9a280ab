"""The default search (8 candidates) against each kind of server of ``endpoint_server/serve.py``, and its right end.

The trainings are tiny, everything else is the default: retries, patience, concurrency, seed, temperature, repairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.cases.cases import TINY, Case, Outcome

FOUND, NOTHING, REFUSED = "found a reward", "no reward found", "refused"
_CODES = {FOUND: 0, NOTHING: 1, REFUSED: 1}
_SAYS = {FOUND: "The best reward", NOTHING: "No reward found: none of 8 candidates", REFUSED: "error: m at http"}


@dataclass(frozen=True)
class Kind:
    """One kind of server. ``does``: how it differs from one that supports everything; ``says``: what the user reads of
    it; ``more``: further flags."""

    name: str
    does: str
    ends: str
    says: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    @property
    def case(self) -> Case:
        command = ("run", "cartpole/swingup", "--llm", "m", "--base-url", "{url}", "--generations", "1", *TINY,
                   "--set", "llm.cache=false", "--name", "served", *self.more)  # fmt: skip
        says = (_SAYS[self.ends], *self.says)
        silent = () if self.ends == FOUND else tuple(_SAYS[end] for end in _SAYS if end != self.ends)
        draws_nothing = {"MUJOCO_GL": "disable"}  # the report's pictures would take most of the time
        return Case(f"endpoints/{self.name}", "endpoint_server", command, _CODES[self.ends], says, silent, self.name,
                    draws_nothing)  # fmt: skip

    def line(self, outcome: Outcome) -> str:
        """Return a row: what the server does, how the run ended, its exit code and last line, right or wrong."""
        ended = next((end for end, says in _SAYS.items() if says in outcome.said), "?")
        return f"| {self.name} | {self.does} | {ended} | {outcome.code} | {outcome.last} | {outcome.verdict} |"


KINDS = (
    Kind("supports-all", "supports everything that is asked", FOUND),
    Kind("llama-cpp-n", "HTTP 500 for n > 1", FOUND, ("one at a time",)),
    Kind("gemini-n", "HTTP 400 for n > 1, the error in a list", FOUND, ("one at a time",)),
    Kind("only-n-1", "HTTP 400 for n > 1", FOUND, ("one at a time",)),
    Kind("no-system-role", "HTTP 400 for a system message", FOUND, ("before the first user message",)),
    Kind("stream-only", "HTTP 400 unless streamed; then answers whole", FOUND, ("asked for a stream",)),
    Kind("sse-anyway", "streams unasked, and never code", NOTHING, ("holds no code",)),
    Kind("error-in-200", "missing credit as an error in a 200", REFUSED, ("Insufficient credits", "add credit")),
    Kind("error-in-choice", "an overload as an error in a choice, for good", REFUSED,
         ("the provider is overloaded", "9 tries")),
    Kind("quota", "HTTP 429 for a used-up quota", REFUSED, ("exceeded your current quota", "add credit")),
    Kind("rate-per-minute", "HTTP 429 at first, with the time to wait", FOUND, ("Quota exceeded.*trying again in",)),
    Kind("loading", "HTTP 503 at first, while the model loads", FOUND, ("Loading model.*trying again in",)),
    Kind("one-slot", "one reply at a time, seconds each", FOUND),
    Kind("one-slot", "the same, with llm.timeout of 6 s", FOUND, more=("--set", "llm.timeout=6")),
    Kind("all-thought", "uses max_tokens up for thoughts", REFUSED, ("llm.max_tokens",)),
    Kind("filtered", "its content filter withholds every reply", REFUSED, ("content filter",)),
    Kind("tool-call", "every reply is a call of a tool", REFUSED, ("call of a tool",)),
    Kind("stop-token", "ends each reply with its stop token", FOUND),
    Kind("thoughts-come-back", "thoughts before each reply, wrong at first", FOUND, ("repair",)),
    Kind("channels-come-back", "refuses channels of gpt-oss that it sent itself", FOUND, ("repair",)),
)  # fmt: skip
