"""How long a drain stays and how often it looks: the difference between a function and a long-running worker."""

import math
from dataclasses import dataclass
from typing import Self

from functions.settings import Settings

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """How a drain behaves over time.

    Args:
        budget_seconds: when it claims no more, from its beginning.
        linger_seconds: how long it stays without work.
        first_pause: how long it waits before it looks again, at first.
        longest_pause: what that pause grows to while it finds nothing.
    """

    budget_seconds: float = math.inf
    linger_seconds: float = math.inf
    first_pause: float = FIRST_PAUSE_SECONDS
    longest_pause: float = LONGEST_PAUSE_SECONDS

    @classmethod
    def of_a_call(cls, settings: Settings) -> Self:
        """That of a function, which is called, does what is due, and leaves."""
        return cls(settings.drain_budget_seconds, settings.drain_linger_seconds)

    @property
    def lasts(self) -> bool:
        """Whether the drain stays until it is told to stop, also when the database goes away."""
        return math.isinf(self.linger_seconds)
