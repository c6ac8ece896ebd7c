"""The places in which a process runs jobs, shared by the drains of its queues."""

from collections.abc import Callable, Hashable


class Slots:
    """So many jobs may run at once. When several queues want places, each gets its equal part.

    Args:
        total: the number of places.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._held: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, Callable[[], None]] = {}

    def room(self, who: Hashable) -> int:
        """How many places `who` may take now."""
        others = len(self._waiting.keys() - {who})
        if not others:
            return self._free
        fair = max(1, self.total // (others + 1))
        return max(0, min(self._free, fair - self._held.get(who, 0)))

    def take(self, who: Hashable, count: int) -> None:
        """Occupy `count` of the places that `room` named."""
        self._free -= count
        self._held[who] = self._held.get(who, 0) + count
        self._waiting.pop(who, None)

    def give_back(self, who: Hashable, count: int) -> None:
        """Free `count` places, and tell those who wait for one."""
        if not count:
            return
        self._free += count
        self._held[who] -= count
        for wake in list(self._waiting.values()):
            wake()

    def wait(self, who: Hashable, wake: Callable[[], None]) -> None:
        """`who` wants a place and found no room: `wake` is called whenever one becomes free, until it takes one."""
        self._waiting[who] = wake

    def waits(self, who: Hashable) -> bool:
        """Whether `who` is told when a place becomes free."""
        return who in self._waiting

    def forget(self, who: Hashable) -> None:
        """`who` wants no place any more."""
        self._waiting.pop(who, None)
