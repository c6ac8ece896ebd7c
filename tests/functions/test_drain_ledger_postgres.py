"""The ledger over direct connections: what it makes of connections that fail."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from devstack.cluster import free_port
from functions.worker.ledger import TRIES, LedgerRefused, LedgerUnavailable
from functions.worker.postgres_ledger import CONNECTIONS, PostgresLedger
from tests.functions.conftest import Project


async def no_pause(_: float) -> None:
    """Retries need not be waited for here."""


@pytest.fixture
async def direct(project: Project) -> AsyncIterator[PostgresLedger]:
    project.call("create_queue", "work", {})
    async with PostgresLedger(project.database.dsn(), no_pause) as ledger:
        yield ledger


OTHERS = (
    "from pg_stat_activity where datname = current_database() and application_name = 'filaviva worker'"
    " and pid <> pg_backend_pid()"
)


async def test_connections_that_were_cut_are_replaced(direct: PostgresLedger, project: Project) -> None:
    await asyncio.gather(*(direct.due_queues() for _ in range(20)))
    count = project.connection.execute(f"select count(*) {OTHERS}").fetchone()
    assert count is not None and 1 <= count[0] <= CONNECTIONS
    project.connection.execute(f"select pg_terminate_backend(pid, 5000) {OTHERS}")
    assert await direct.due_queues() == []


async def test_a_server_that_is_not_there_is_tried_a_bounded_number_of_times() -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with PostgresLedger(f"postgresql://postgres:x@127.0.0.1:{free_port()}/postgres", pause) as nowhere:
        with pytest.raises(LedgerUnavailable, match="connect"):
            await nowhere.due_queues()
    assert len(pauses) == TRIES - 1


@pytest.mark.parametrize(
    ("old", "new"), [(":postgres@", ":wrong@"), ("/test_", "/no_"), ("postgres:postgres@", "nobody:postgres@")]
)
async def test_a_server_that_does_not_let_us_in_is_asked_once(project: Project, old: str, new: str) -> None:
    async with PostgresLedger(project.database.dsn().replace(old, new, 1), no_pause) as stranger:
        with pytest.raises(LedgerRefused) as refused:
            await stranger.due_queues()
    assert (refused.value.status, refused.value.from_engine) == (401, False)


async def test_a_login_that_may_not_act_as_the_service_is_refused(project: Project) -> None:
    async with PostgresLedger(project.database.dsn("supabase_auth_admin"), no_pause) as stranger:
        with pytest.raises(LedgerRefused) as refused:
            await stranger.due_queues()
    assert refused.value.status in {403, 404}


async def test_calls_carry_the_rights_of_the_service_role_alone(direct: PostgresLedger, project: Project) -> None:
    project.connection.execute("revoke execute on function filaviva.due_queues from service_role")
    with pytest.raises(LedgerRefused) as refused:
        await direct.due_queues()
    assert (refused.value.status, refused.value.code) == (403, "42501")


async def test_a_name_that_cannot_be_sent_is_refused(direct: PostgresLedger) -> None:
    with pytest.raises(LedgerRefused) as refused:
        await direct.claim("wo\0rk", 1, "worker-1")
    assert refused.value.status == 400


async def test_nothing_is_prepared_so_that_a_pooler_may_stand_between(direct: PostgresLedger) -> None:
    for _ in range(10):
        await direct.due_queues()
    cursor = await direct._idle[0].execute("select count(*) from pg_prepared_statements")
    assert await cursor.fetchone() == (0,)
    cursor = await direct._idle[0].execute("select current_setting('role')")
    assert await cursor.fetchone() == ("none",)
