"""The log tells of a commit a moment before other sessions can see it; rows must not be judged in between."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.conftest import Database
from tests.wire.realtime_support import RawClient, becomes_true, serve, sign, watching, writer


@contextmanager
def commits_that_wait(database: Database) -> Iterator[psycopg.Connection]:
    """While this lasts, a commit is in the log but not visible: it waits for a standby that does not exist."""
    with database.connect("supabase_admin") as admin:
        admin.execute("alter system set synchronous_standby_names = 'nobody'")
        admin.execute("select pg_reload_conf()")
        try:
            yield admin
        finally:
            admin.execute("alter system reset synchronous_standby_names")
            admin.execute("select pg_reload_conf()")


async def test_a_row_is_judged_only_when_its_commit_can_be_seen(bare_database: Database) -> None:
    with bare_database.connect() as connection:
        connection.execute(
            "create table jobs (id int primary key); alter table jobs enable row level security;"
            "grant select on jobs to anon; create policy everyone on jobs for select using (true);"
            "alter publication supabase_realtime add table jobs"
        )
    async with serve(bare_database) as server, RawClient.open(server) as client:
        await client.subscribe(watching(), token=sign())
        with writer(bare_database) as database:
            with commits_that_wait(bare_database) as admin:
                await becomes_true(database, "current_setting('synchronous_standby_names') = 'nobody'")
                insert = asyncio.create_task(asyncio.to_thread(database.execute, "insert into jobs values (1)"))
                await becomes_true(admin, "exists (select from pg_stat_activity where wait_event = 'SyncRep')")
                await becomes_true(
                    admin,
                    "exists (select from pg_stat_activity where application_name = 'devstack_realtime'"
                    " and query like '%pg_current_snapshot%' and datname = current_database())",
                )
                assert admin.execute("select count(*) from jobs").fetchone() == (0,)
            assert (await client.change())["record"] == {"id": 1}
            await insert
