"""Fixtures of several files: a database with an extension, cron's scheduler and net's worker on it, a REST gateway.

A module says what it wants of them: EXTENSION for `postgres`, SCHEMA and ROWS for `api`.
"""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from devstack.cron import Cron
from devstack.faults import Faults
from devstack.net import Net
from tests.conftest import Database
from tests.wire.net_peer import Peer, serving
from tests.wire.sql_support import worker
from tests.wire.test_rest_server import Api, serve_schema


@pytest.fixture
def postgres(request: pytest.FixtureRequest, bare_database: Database) -> Iterator[psycopg.Connection]:
    """A connection to a database with the extension that the module names."""
    with bare_database.connect() as connection:
        connection.execute(f"create extension {request.module.EXTENSION}".encode())
        yield connection


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """A server for pg_net to send to."""
    async with serving() as running:
        yield running


@pytest.fixture
async def net(bare_database: Database, postgres: psycopg.Connection) -> AsyncIterator[Net]:
    """pg_net's worker."""
    async with worker(bare_database) as running:
        yield running


@pytest.fixture
async def cron(bare_database: Database, postgres: psycopg.Connection) -> AsyncIterator[Cron]:
    """pg_cron's scheduler."""
    scheduler = Cron(bare_database.dsn("supabase_admin"), bare_database.dsn)
    await scheduler.start()
    yield scheduler
    await scheduler.stop()


@pytest.fixture
def faults(bare_database: Database) -> Iterator[Faults]:
    """What throws faults into the two."""
    with Faults(bare_database.dsn("supabase_admin")) as thrower:
        yield thrower


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest_server(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[Api]:
    """A REST gateway on a database of the module's own, with the module's schema."""
    async with serve_schema(cluster, request.module.SCHEMA) as running:
        yield running


@pytest.fixture
def api(request: pytest.FixtureRequest, rest_server: Api) -> Api:
    """The module's REST gateway, with its rows as they were before the first test."""
    rest_server.sql(request.module.ROWS)
    return rest_server
