"""The times of the connection engine. The defaults suit hosted Supabase; tests make them short."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """How patient a client's live connection is; all in seconds.

    Attributes:
        heartbeat_seconds: between two heartbeats. A peer that is gone is noticed within two of them.
        first_pause_seconds: before the first attempt to open a lost socket again; it doubles from attempt to attempt
            (1, 2, 4, 8, 16 by default), each cut by up to half at random.
        last_pause_seconds: where it stops doubling; the socket is then tried about that often, for ever.
        rejoin_spread_seconds: over how long a client spreads its joins on a socket that replaces a lost one; it grows
            with the number of its channels, to at most twice as much. A server that comes back would otherwise meet
            the joins of all its clients in one moment.
        joins_per_second: of one client, at most.
        linger_seconds: how long the socket stays open after the last view has left.
        silence_seconds: a view that heard nothing for about this long reads: Realtime drops changes above its limits.
    """

    heartbeat_seconds: float = 25.0
    first_pause_seconds: float = 1.0
    last_pause_seconds: float = 30.0
    rejoin_spread_seconds: float = 10.0
    joins_per_second: float = 20.0
    linger_seconds: float = 5.0
    silence_seconds: float = 30.0
