"""When joins go out: one client's evenly, and many clients' not at the same moment."""

import asyncio
import random

_MOST_TIMES_LONGER = 2


class Pace:
    """Lets one pass at a time, so many a second."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = 0.0
        self._gate = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for the next turn; turns are given in the order in which they are asked for.

        Who gives up waiting takes no turn: a view that comes and goes would otherwise hold up those that stay.
        """
        async with self._gate:
            now = asyncio.get_running_loop().time()
            mine = max(self._next, now)
            await asyncio.sleep(mine - now)
            self._next = mine + self._gap


def rejoin_delay(spread: float, channels: int) -> float:
    """A random wait for one of a client's `channels` after its socket was replaced, in seconds.

    The more channels every client has, the longer all of them together must take.
    """
    longest = spread * min(max(channels, 1), _MOST_TIMES_LONGER)
    return random.uniform(0, longest)  # noqa: S311 - spreads load, guards no secret
