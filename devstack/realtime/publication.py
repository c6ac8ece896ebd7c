"""Notices which tables are published: whoever is subscribed is subscribed anew when these have changed."""

import asyncio
import logging
from collections.abc import Callable

import psycopg
from psycopg import sql

from devstack.realtime.database import Database
from devstack.tasks import end

_log = logging.getLogger(__name__)

_TABLES = """
select c.oid::int8, p.schemaname, p.tablename from pg_catalog.pg_publication_tables p
join pg_catalog.pg_namespace n on n.nspname = p.schemaname
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
where p.pubname = {}
order by 1
"""


class PublicationWatch:
    """Looks at a publication from time to time, as Realtime does: nothing in the log tells of such a change."""

    def __init__(self, database: Database, publication: str, seconds: float, changed: Callable[[], None]) -> None:
        """Nothing is read before `start`; then every so many `seconds`, and `changed` is called for what differs."""
        self._database = database
        self._query = sql.SQL(_TABLES).format(sql.Literal(publication))
        self._seconds = seconds
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look for the first time, and go on; the database must be open."""
        self._task = asyncio.create_task(self._run(), name="realtime publication")

    async def stop(self) -> None:
        """Look no more."""
        await end(self._task)

    async def _run(self) -> None:
        known: list[tuple[object, ...]] | None = None
        while True:
            try:
                tables = await self._database.rows(self._query)
            except psycopg.Error as error:
                _log.info("the publication cannot be looked at now: %s", error)
            else:
                if known is not None and tables != known:
                    self._changed()
                known = tables
            await asyncio.sleep(self._seconds)
