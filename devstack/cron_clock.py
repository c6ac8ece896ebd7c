"""The clock that cron goes by: this machine's, which tests may step."""

from datetime import UTC, datetime, timedelta

MOST = 100 * 365 * 86_400
"""Seconds: however often it was stepped, it shows a date that cron can reckon with."""


class Clock:
    """This machine's time, GMT, so many seconds ahead."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The moment it is for cron."""
        return datetime.now(UTC) + self._ahead

    def set_ahead(self, seconds: float) -> None:
        """Step the clock to `seconds` ahead of the machine's; a negative number is behind it."""
        self._ahead = timedelta(seconds=min(max(seconds, -MOST), MOST))
