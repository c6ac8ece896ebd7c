"""How long to wait before trying again: longer after each failure, never in step with others."""

import random


class Backoff:
    """Waits that double from `first` to at most `last` seconds, each cut by up to half at random."""

    def __init__(self, first: float = 1.0, last: float = 30.0) -> None:
        self._first = first
        self._last = last
        self._wait = first

    def next(self) -> float:
        """The next wait in seconds."""
        return self.next_whole() * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards no secret

    def next_whole(self) -> float:
        """The next wait, uncut: for whoever keeps out of step by other means."""
        wait, self._wait = self._wait, min(self._wait * 2, self._last)
        return wait

    def reset(self) -> None:
        """It went well: the next wait is the first again."""
        self._wait = self._first


def jittered(seconds: float) -> float:
    """About `seconds`: a fifth more or less, so that many clients do not act in the same moment."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards no secret
