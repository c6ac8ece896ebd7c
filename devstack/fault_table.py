"""What cron and net know of the faults that are to happen to them: the rows of table devstack.faults."""

from collections import Counter
from dataclasses import dataclass, field

import psycopg

Connection = psycopg.AsyncConnection[tuple[object, ...]]

SPEND = """
with happened as (
  delete from devstack.faults where service = %(service)s and fault = %(fault)s and remaining <= %(times)s
  returning 1
), less as (
  update devstack.faults set remaining = remaining - %(times)s
  where service = %(service)s and fault = %(fault)s and remaining > %(times)s
  returning 1
)
select exists (table happened) or exists (table less)
  or exists (select from devstack.faults where service = %(service)s and fault = %(fault)s and remaining is null)
"""


@dataclass(slots=True)
class Fault:
    """A row of the table: `remaining` is None for a fault that lasts until it is cleared."""

    remaining: int | None
    amount: float


@dataclass(slots=True)
class PendingFaults:
    """The faults of one service as they stood at one moment, and how many of them were used up since."""

    service: str
    rows: dict[str, Fault]
    spent: Counter[str] = field(default_factory=Counter)

    def spend(self, fault: str) -> Fault | None:
        """The fault, if it is to happen now; it then counts as having happened once."""
        found = self.rows.get(fault)
        if found is None or (found.remaining is not None and self.spent[fault] >= found.remaining):
            return None
        self.spent[fault] += 1
        return found

    async def write(self, connection: Connection) -> None:
        """Record what was used up."""
        for fault, times in self.spent.items():
            await spend(connection, self.service, fault, times)


async def read_faults(connection: Connection, service: str) -> PendingFaults:
    """The faults that are to happen to `service`."""
    cursor = await connection.execute(
        "select fault, remaining, coalesce(amount, 0) from devstack.faults where service = %s", (service,)
    )
    rows = await cursor.fetchall()
    return PendingFaults(
        service, {str(name): Fault(None if left is None else int(str(left)), float(str(n))) for name, left, n in rows}
    )


async def spend(connection: Connection, service: str, fault: str, times: int = 1) -> bool:
    """Whether `fault` is to happen; it then counts as having happened `times` times."""
    cursor = await connection.execute(SPEND, {"service": service, "fault": fault, "times": times})
    return await cursor.fetchone() == (True,)
