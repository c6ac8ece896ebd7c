"""Day partitions of `realtime.messages`: there when a row comes, gone when it is old."""

import asyncio
import logging

import psycopg
from psycopg import sql

from devstack.realtime.database import Database
from devstack.tasks import end

_log = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 3600.0


class Partitions:
    """Keeps the partitions from yesterday to three days ahead, and drops those of which every row is over 72 h old."""

    def __init__(self, database: Database) -> None:
        """Nothing is done before `start`."""
        self._database = database
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bring the partitions up to date, and keep them so."""
        await self._update()
        self._task = asyncio.create_task(self._run(), name="realtime partitions")

    async def stop(self) -> None:
        """Leave them as they are."""
        await end(self._task)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            await self._update()

    async def _update(self) -> None:
        try:
            for name, day, next_day in await self._database.rows(sql.SQL(_MISSING)):
                await self._database.run(
                    sql.SQL(_CREATE).format(sql.Identifier("realtime", name), sql.Literal(day), sql.Literal(next_day))
                )
            for (name,) in await self._database.rows(sql.SQL(_OLD)):
                await self._database.run(sql.SQL("drop table {}").format(sql.Identifier("realtime", name)))
        except psycopg.Error as error:
            _log.warning("the partitions of realtime.messages could not be kept up to date: %s", error)


_MISSING = """
select name, day::text, (day + 1)::text
from (
  select to_char(day, '"messages_"YYYY_MM_DD') as name, day::date as day
  from generate_series(current_date - 1, current_date + 3, interval '1 day') as day
) as wanted
where to_regclass('realtime.' || name) is null
"""

_CREATE = """
begin;
create table {0} partition of realtime.messages for values from ({1}) to ({2});
alter table {0} owner to supabase_realtime_admin;
commit
"""

_OLD = """
select relname from pg_catalog.pg_class join pg_catalog.pg_inherits on inhrelid = oid
where inhparent = 'realtime.messages'::regclass and relname < to_char(current_date - 3, '"messages_"YYYY_MM_DD')
"""
