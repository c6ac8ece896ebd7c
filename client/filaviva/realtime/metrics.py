"""How a client's connection does: counted as it happens, shown as one snapshot."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_WINDOW_SECONDS = 600.0
_SHORTEST_SECONDS = 60.0
_LATENCIES = 20
_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class ConnectionMetrics:
    """One client's connection at one moment.

    Attributes:
        total_connections: sockets opened since the client was made.
        active_connections: sockets open now: 1, or 0 while there is none.
        active_channels: channels joined now; views of the same rows share one.
        reconnection_rate: lost sockets that were replaced, a minute, over the last 10 minutes.
        average_latency: mean of the last 20 heartbeats' round trips in milliseconds; None before the first.
        error_rate: share of attempts to open a socket or to join a channel that failed in the last 10 minutes, in
            percent.
    """

    total_connections: int
    active_connections: int
    active_channels: int
    reconnection_rate: float
    average_latency: float | None
    error_rate: float


class Meter:
    """Counts what happens to one connection."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._opened = 0
        self._reopened: deque[float] = deque(maxlen=_EVENTS)
        self._attempts: deque[tuple[float, bool]] = deque(maxlen=_EVENTS)
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self.active_connections = 0
        self.active_channels = 0

    def socket_opened(self, *, again: bool) -> None:
        """A socket is open; `again`: it replaces a lost one."""
        self._opened += 1
        self.attempted(succeeded=True)
        if again:
            self._reopened.append(self._clock())

    def attempted(self, *, succeeded: bool) -> None:
        """Somebody tried to open a socket or to join a channel."""
        self._attempts.append((self._clock(), succeeded))

    def answered(self, seconds: float) -> None:
        """A heartbeat came back after so many seconds."""
        self._latencies.append(seconds)

    def snapshot(self) -> ConnectionMetrics:
        """How it stands now."""
        now = self._clock()
        oldest = now - _WINDOW_SECONDS
        recent = [succeeded for at, succeeded in self._attempts if at >= oldest]
        reopened = sum(at >= oldest for at in self._reopened)
        minutes = min(max(now - self._since, _SHORTEST_SECONDS), _WINDOW_SECONDS) / 60
        latency = 1000 * sum(self._latencies) / len(self._latencies) if self._latencies else None
        return ConnectionMetrics(
            total_connections=self._opened,
            active_connections=self.active_connections,
            active_channels=self.active_channels,
            reconnection_rate=reopened / minutes,
            average_latency=latency,
            error_rate=100 * recent.count(False) / len(recent) if recent else 0.0,
        )
