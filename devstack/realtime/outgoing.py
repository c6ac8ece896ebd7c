"""What waits to be sent, over all sockets: clients that read slowly must not take the memory of the whole gateway."""

from typing import Protocol

_MOST_OF_ONE = 32 * 1024 * 1024  # characters: a burst of some 10,000 rows fits
_MOST_TOGETHER = 96 * 1024 * 1024


class Sender(Protocol):
    """A socket, as far as its queue goes.

    Attributes:
        waiting: characters in the queue.
    """

    waiting: int

    def give_up(self) -> None:
        """Empty the queue and end the connection."""


class Outgoing:
    """The queues of a gateway's sockets."""

    def __init__(self) -> None:
        """No socket is open."""
        self.senders: set[Sender] = set()
        self._together = 0

    def grew(self, sender: Sender, size: int) -> None:
        """Count what was added to a queue. If it is too long now, or all are together, the longest is given up."""
        sender.waiting += size
        self._together += size
        if sender.waiting > _MOST_OF_ONE:
            sender.give_up()
        if self._together > _MOST_TOGETHER:
            max(self.senders, key=lambda each: each.waiting).give_up()

    def shrank(self, sender: Sender, size: int) -> None:
        """Count what was taken from a queue."""
        sender.waiting -= size
        self._together -= size
