"""Throw faults into cron and net, to see what an app makes of them: a lost wake, a request sent twice, a stepped clock.

It works on any database that devstack serves, from any process: from Python with this module, from the
command line with `devstack fault`. What is thrown stands in table `devstack.faults` until it has happened.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import psycopg
from psycopg.rows import class_row

THROW = """
insert into devstack.faults (service, fault, remaining, amount) values (%s, %s, %s, %s)
on conflict (service, fault) do update set remaining = excluded.remaining, amount = excluded.amount
"""
TEN_YEARS = 10 * 365 * 86_400
STEP = """
insert into devstack.faults as f (service, fault, amount) values ('cron', 'clock', %s)
on conflict (service, fault) do update set amount = f.amount + excluded.amount
"""
LOCK_SECONDS = 15


@dataclass(frozen=True, slots=True)
class ThrownFault:
    """A fault that is still to happen.

    Attributes:
        remaining: how many more times; None: until it is cleared.
        amount: how often a request arrives (resend), milliseconds (delay), seconds that cron's clock is
            ahead (clock).
    """

    service: str
    fault: str
    remaining: int | None
    amount: float | None


class Faults:
    """Faults of one database's services: ``with Faults(dsn) as faults: faults.net.drop(3)``.

    Args:
        dsn: the database, as role postgres or as the superuser; `net.lose_queue` needs the latter.
    """

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True, application_name="devstack faults")
        self.net = NetFaults(self._connection)
        self.cron = CronFaults(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; what was thrown stays."""
        self._connection.close()

    def pending(self) -> list[ThrownFault]:
        """What is still to happen."""
        with self._connection.cursor(row_factory=class_row(ThrownFault)) as cursor:
            return cursor.execute(
                "select service, fault, remaining, amount from devstack.faults order by service, fault"
            ).fetchall()

    def clear(self) -> None:
        """Take everything back: no fault is to happen, cron lives and its clock is right."""
        self._connection.execute("delete from devstack.faults")


class NetFaults:
    """What can befall the requests of pg_net."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def drop(self, times: int = 1) -> None:
        """Lose the next requests: taken from the queue, never sent, and no response is recorded."""
        self._throw("drop", times)

    def resend(self, times: int = 1, arrivals: int = 2) -> None:
        """Deliver each of the next requests 2 to 6 times, as libcurl does on connections that turn out dead."""
        if not 2 <= arrivals <= 6:
            raise ValueError(f"arrivals must be from 2 to 6, not {arrivals}")
        self._throw("resend", times, arrivals)

    def delay(self, milliseconds: float, times: int = 1) -> None:
        """Send each of the next requests so much later; everything behind them in the queue waits as well."""
        if milliseconds <= 0:
            raise ValueError(f"milliseconds must be above 0, not {milliseconds}")
        self._throw("delay", times, milliseconds)

    def lose_wakes(self, times: int = 1) -> None:
        """Let the worker go back to sleep: requests stay in the queue until the next call of `net`."""
        self._throw("sleep", times)

    def cancel_batches(self, times: int = 1) -> None:
        """Cancel the next batches after they were sent: the worker restarts and sends all of each again."""
        self._throw("cancel", times)

    def lose_queue(self) -> None:
        """Empty the unlogged tables as a crash of the server does; numbers start at 1 again. At once.

        Raises:
            psycopg.Error: the role is no superuser, or the tables stay locked for 15 s.
        """
        self._connection.execute("select pg_notify('pg_net', 'crash')")  # the batch in flight is lost with the worker
        with self._connection.transaction():
            self._connection.execute(f"set local lock_timeout = '{LOCK_SECONDS}s'")
            self._connection.execute("truncate net.http_request_queue, net._http_response restart identity")

    def _throw(self, fault: str, times: int, amount: float | None = None) -> None:
        self._connection.execute(THROW, ("net", fault, _at_least_once(times), amount))


class CronFaults:
    """What can befall the scheduler."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def skip(self, times: int = 1) -> None:
        """Let the next runs that fall due not happen, without a trace: a lost tick."""
        self._throw("skip", times)

    def refuse(self, times: int = 1) -> None:
        """Let the next runs find no connection: 'failed', 'connection failed', and no retry."""
        self._throw("refuse", times)

    def kill_launcher(self) -> None:
        """Let the launcher die whenever it starts: no job runs until `revive_launcher`; a run under way is cut off."""
        self._throw("dead", None)

    def revive_launcher(self) -> None:
        """Let the launcher live again, within a second."""
        self._connection.execute("delete from devstack.faults where service = 'cron' and fault = 'dead'")

    def step_clock(self, seconds: float) -> None:
        """Step cron's clock by so many seconds, forward or, if negative, back. The database's own stays right.

        Raises:
            ValueError: it is no number of seconds within ten years.
        """
        if not abs(seconds) <= TEN_YEARS:
            raise ValueError(f"the clock steps by at most ten years ({TEN_YEARS} seconds), not by {seconds}")
        self._connection.execute(STEP, (seconds,))

    def set_clock(self, moment: datetime) -> None:
        """Step cron's clock to `moment`, which must have a time zone.

        Schedules of five fields are silent after a step back until the clock has caught up, as pg_cron's are.

        Raises:
            ValueError: it has none.
        """
        if moment.tzinfo is None:
            raise ValueError("the moment needs a time zone, for instance datetime(2026, 3, 8, 2, 0, tzinfo=UTC)")
        self._throw("clock", None, (moment - datetime.now(UTC)).total_seconds())

    def _throw(self, fault: str, times: int | None, amount: float | None = None) -> None:
        self._connection.execute(THROW, ("cron", fault, None if times is None else _at_least_once(times), amount))


def _at_least_once(times: int) -> int:
    if times < 1:
        raise ValueError(f"times must be at least 1, not {times}")
    return times
