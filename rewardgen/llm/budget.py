"""Limits what is spent on the language model.

Each request reserves the most that it can cost before it is sent, and settles the actual cost afterwards, so that
concurrent requests cannot exceed the budget between them.
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
    """Limits on dollars, tokens and calls; None: no limit, 0: nothing is allowed. May be shared between threads.

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
        """Return the configured limits, of which some is already spent."""
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
        """Reserve the most that one request can cost.

        Raises:
            BudgetExceeded: that is more than is left; nothing is set aside.
        """
        # Compare what is spent and reserved already with each limit
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
            # A limit of 0 refuses even a model that costs nothing: nothing may be spent here
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
        """Add the cost of a reply that was paid for before the run was stopped, and now comes from the cache."""
        with self._lock:
            self._spent.dollars += dollars
            self._spent.tokens += tokens

    def _settle(self, reservation: Reservation, dollars: float, tokens: int, calls: int) -> None:
        """Replace a reservation by what was spent."""
        with self._lock:
            self._reserved.dollars -= reservation.dollars
            self._reserved.tokens -= reservation.tokens
            self._reserved.calls -= 1
            self._spent.dollars += dollars
            self._spent.tokens += tokens
            self._spent.calls += calls


class Reservation:
    """What one request has reserved; only the first call of ``settle``, ``keep`` or ``release`` has an effect."""

    def __init__(self, budget: Budget, dollars: float, tokens: int) -> None:
        self._budget, self.dollars, self.tokens = budget, dollars, tokens
        self._open = True

    def settle(self, dollars: float, tokens: int) -> None:
        """Count the actual cost of a request that was answered."""
        self._close(dollars, tokens)

    def keep(self) -> None:
        """Count the whole reservation: the request was sent, and its cost is unknown (a timeout, a broken answer)."""
        self._close(self.dollars, self.tokens)

    def release(self) -> None:
        """Count a call without tokens: the request was refused."""
        self._close(0.0, 0)

    def _close(self, dollars: float, tokens: int) -> None:
        if self._open:
            self._open = False
            self._budget._settle(self, dollars, tokens, calls=1)
