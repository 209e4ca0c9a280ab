"""How much may still be asked of the language model.

Each request reserves the most that it can cost before it is sent, and settles what it did cost afterwards, so that
requests under way together cannot exceed the budget between them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from rewardgen.config import BudgetConfig
from rewardgen.errors import BudgetExceeded


@dataclass
class _Amount:
    dollars: float = 0.0
    tokens: int = 0
    calls: int = 0


class Budget:
    """Limits of dollars, tokens and calls; None is no limit, 0 allows nothing. Safe to share between threads.

    ``spent_*`` is what earlier work, such as the part of a run before it was resumed, has already used up.
    """

    def __init__(
        self,
        dollars: float | None = None,
        tokens: int | None = None,
        calls: int | None = None,
        *,
        spent_dollars: float = 0.0,
        spent_tokens: int = 0,
        spent_calls: int = 0,
    ) -> None:
        self.dollars, self.tokens, self.calls = dollars, tokens, calls
        self._spent = _Amount(spent_dollars, spent_tokens, spent_calls)
        self._reserved = _Amount()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, config: BudgetConfig, *, dollars: float = 0.0, tokens: int = 0, calls: int = 0) -> Budget:
        """The configured limits, of which so much is already spent."""
        return cls(
            config.dollars, config.tokens, config.calls,
            spent_dollars=dollars, spent_tokens=tokens, spent_calls=calls,
        )  # fmt: skip

    @property
    def spent(self) -> tuple[float, int, int]:
        """Dollars, tokens and calls used up so far."""
        with self._lock:
            return self._spent.dollars, self._spent.tokens, self._spent.calls

    def reserve(self, dollars: float, tokens: int) -> Reservation:
        """Set aside what one request can cost at most.

        Raises:
            BudgetExceeded: that is more than is left; nothing is set aside.
        """
        with self._lock:
            used = _Amount(
                self._spent.dollars + self._reserved.dollars,
                self._spent.tokens + self._reserved.tokens,
                self._spent.calls + self._reserved.calls,
            )
            if self.calls is not None and used.calls + 1 > self.calls:
                raise BudgetExceeded(
                    f"the budget allows {self.calls} calls of the language model and {used.calls} are used up; "
                    "raise budget.calls to go on"
                )
            # a limit of 0 refuses even a model that costs nothing: it says that nothing may be spent here
            if self.tokens is not None and (self.tokens == 0 or used.tokens + tokens > self.tokens):
                raise BudgetExceeded(
                    f"the next request may take up to {tokens} tokens, and of the budget of {self.tokens} tokens "
                    f"{max(self.tokens - used.tokens, 0)} are left; raise budget.tokens or lower llm.max_tokens"
                )
            if self.dollars is not None and (self.dollars == 0 or used.dollars + dollars > self.dollars):
                raise BudgetExceeded(
                    f"the next request may cost up to ${dollars:.4f}, and of the budget of ${self.dollars:.2f} "
                    f"${max(self.dollars - used.dollars, 0.0):.4f} is left; "
                    "raise budget.dollars or lower llm.max_tokens"
                )
            self._reserved.dollars += dollars
            self._reserved.tokens += tokens
            self._reserved.calls += 1
        return Reservation(self, dollars, tokens)

    def count(self, dollars: float, tokens: int) -> None:
        """Add what was spent on an answer that only turns up now, in the cache, after the run was stopped."""
        with self._lock:
            self._spent.dollars += dollars
            self._spent.tokens += tokens

    def _settle(self, held: Reservation, dollars: float, tokens: int, calls: int) -> None:
        with self._lock:
            self._reserved.dollars -= held.dollars
            self._reserved.tokens -= held.tokens
            self._reserved.calls -= 1
            self._spent.dollars += dollars
            self._spent.tokens += tokens
            self._spent.calls += calls


class Reservation:
    """What one request has set aside; exactly one of ``settle``, ``keep`` and ``release`` has an effect."""

    def __init__(self, budget: Budget, dollars: float, tokens: int) -> None:
        self._budget, self.dollars, self.tokens = budget, dollars, tokens
        self._open = True

    def settle(self, dollars: float, tokens: int) -> None:
        """The request was answered and cost this."""
        self._close(dollars, tokens)

    def keep(self) -> None:
        """The request was sent and nobody knows what it cost (it timed out, its answer broke off): count the most."""
        self._close(self.dollars, self.tokens)

    def release(self) -> None:
        """The request was refused, so it cost no tokens; it still was a call."""
        self._close(0.0, 0)

    def _close(self, dollars: float, tokens: int) -> None:
        if self._open:
            self._open = False
            self._budget._settle(self, dollars, tokens, calls=1)
