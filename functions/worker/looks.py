"""When a drain looks for work: at once when somebody says that there is some, else at pauses that fit its pace."""

import math
from collections.abc import Callable

from functions.worker.ledger import Claimed
from functions.worker.pace import Pace

PAUSE_GROWTH = 1.5
LEAST_PAUSE_SECONDS = 0.05
"""Between two looks at a queue that gave nothing, whatever it says of when the next job is due."""
LONGEST_PAUSE_BY_STATE = {"busy": LEAST_PAUSE_SECONDS, "enough": 1.0}
"""Of what others hold now, nobody says when they let it go."""


class Looks:
    """The next moment to claim.

    Args:
        pace: how the pauses grow.
        clock: the loop's clock.
    """

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._clock = clock
        self._pause = pace.first_pause
        self._backlog = False
        self._capped = False
        self._full = False
        """Whether the queue runs as many as it may, as far as we know: what we claim replaces what has ended."""
        self.at = clock()
        """When to claim next, on the loop's clock."""

    @property
    def calls_at_once(self) -> int:
        """How many calls may be under way: two while there is a backlog, so that one half runs as the other is fetched.

        Not where the queue has a cap on concurrency: there two claims of ours would only meet.
        """
        return 2 if self._backlog and not self._capped else 1

    def soon(self) -> None:
        """Look at once, also when a claim is under way: what it sees may be older than what we know."""
        self.at = self._clock()

    def by(self, moment: float) -> None:
        """Look at `moment` at the latest."""
        self.at = min(self.at, moment)

    def not_before(self, moment: float) -> None:
        """Look no sooner than at `moment`."""
        self.at = moment

    def began(self) -> None:
        """A claim is under way; only what comes meanwhile sets an earlier moment than its answer."""
        self.at = math.inf

    def answered(self, claimed: Claimed, room: int, *, beside_another: bool) -> None:
        """A claim for `room` jobs was answered, perhaps while another call of ours was under way."""
        now = self._clock()
        self._backlog = len(claimed.jobs) >= room
        self._full = claimed.state == "enough" or (self._full and bool(claimed.jobs) and not self._backlog)
        if claimed.jobs:
            # In a full queue the end of a job asks for the next one; a look before it finds no place.
            self._pause = self._pause if self._full else self._pace.first_pause
        elif claimed.state == "busy":
            self._capped = self._capped or beside_another
        else:
            self._pause = min(self._pause * PAUSE_GROWTH, self._pace.longest_pause)
        pause = min(self._pause, LONGEST_PAUSE_BY_STATE.get(claimed.state, math.inf))
        self.by(now if self._backlog else now + pause)
        if claimed.next_due_in_ms is not None:
            self.by(now + max(claimed.next_due_in_ms / 1000, LEAST_PAUSE_SECONDS))

    def change_pace(self, pace: Pace) -> None:
        """Look more or less often from now on."""
        self._pace, self._pause = pace, pace.first_pause
        self.by(self._clock() + pace.first_pause)
