"""The limits of a project, as Realtime sets them for a new one.

Two are off unless somebody wants to see what they do: on a machine of one's own, hundreds of sockets and bursts of
messages are how a load is tried.
"""

import time
from collections import deque
from dataclasses import dataclass

_WINDOW_SECONDS = 60
_PRESENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is allowed; None for any amount. Rates are averages over a minute.

    Attributes:
        clients: sockets at one time.
        channels: joined channels of one socket.
        joins_per_second: sockets opened and channels joined, all together.
        messages_per_second: broadcasts and row changes delivered, all together.
        presence_per_second: calls to track and untrack, all together.
        presence_calls: calls to track and untrack of one channel in 30 s.
        broadcast_bytes: size of one broadcast, and of what a client tells of itself as present.
    """

    clients: int | None = None
    channels: int | None = 100
    joins_per_second: int | None = 100
    messages_per_second: int | None = None
    presence_per_second: int | None = 1000
    presence_calls: int | None = 5
    broadcast_bytes: int = 3_000_500


class Rate:
    """Counts events of the last seconds against a limit."""

    def __init__(self, most: int | None, seconds: int = _WINDOW_SECONDS) -> None:
        """Allow `most` events in `seconds`; None for any number."""
        self._most = most
        self._seconds = seconds
        self._counted: deque[float] = deque()

    def allows_another(self) -> bool:
        """Count one event, if it is within the limit."""
        if self._most is None:
            return True
        self._forget_old()
        if len(self._counted) >= self._most:
            return False
        self._counted.append(time.monotonic())
        return True

    def has_room_for(self, events: int) -> bool:
        """Whether this many would be within the limit; counts nothing."""
        self._forget_old()
        return self._most is None or len(self._counted) + events <= self._most

    def average(self) -> float:
        """Events a second, over the time that is counted."""
        self._forget_old()
        return len(self._counted) / self._seconds

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._counted and self._counted[0] < oldest:
            self._counted.popleft()


class Rates:
    """The rates of a whole gateway."""

    def __init__(self, limits: Limits) -> None:
        """Nothing has happened yet."""
        self._limits = limits
        self.joins = _per_second(limits.joins_per_second)
        self.messages = _per_second(limits.messages_per_second)
        self.presence = _per_second(limits.presence_per_second)

    def of_channel(self) -> Rate:
        """The rate of the calls of one channel to track and untrack."""
        return Rate(self._limits.presence_calls, _PRESENCE_SECONDS)


def _per_second(limit: int | None) -> Rate:
    return Rate(None if limit is None else limit * _WINDOW_SECONDS)
