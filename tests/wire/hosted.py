"""The project that client-level tests talk to: one of their own, or the one that the environment names.

With SUPABASE_URL, SUPABASE_ANON_KEY, SUPABASE_SERVICE_ROLE_KEY and SUPABASE_DB_URL set, the same files run against
a hosted project. It should be one for tests: what a file needs is created in it, and dropped afterwards.
"""

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from devstack.cluster import Cluster
from devstack.gateway import listen
from devstack.keys import local_keys
from devstack.services import Site, serving_project
from tests.conftest import BARE

VARIABLES = ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_DB_URL")

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class ServedProject:
    """Where a project is, and the keys to it; the connection URL is that of role postgres."""

    url: str
    anon_key: str
    service_role_key: str
    db_url: str

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Run SQL as postgres."""
        with psycopg.connect(self.db_url, autocommit=True) as connection:
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []


def named_project(environment: Mapping[str, str]) -> ServedProject | None:
    """The project that the environment names; None if it names none.

    Raises:
        AssertionError: it names one, but not all that is needed.
    """
    if not environment.get("SUPABASE_URL"):
        return None
    missing = [name for name in VARIABLES if not environment.get(name)]
    assert not missing, f"to test the project at SUPABASE_URL, set {', '.join(missing)} too"
    return ServedProject(*(environment[name] for name in VARIABLES))


@asynccontextmanager
async def served_project(cluster: Callable[[], Cluster], schema: str, undo: str) -> AsyncIterator[ServedProject]:
    """A project in which `schema` was run as postgres.

    Args:
        cluster: starts or finds the server for a project of the test's own.
        schema: statements, with all grants they need.
        undo: statements that drop what they made.
    """
    named = named_project(os.environ)
    if named is None:
        async with _own_project(cluster()) as project:
            project.sql(schema)
            yield project
        return
    named.sql(schema)
    try:
        await _until_known(named)
        yield named
    finally:
        named.sql(undo)


@asynccontextmanager
async def _own_project(cluster: Cluster) -> AsyncIterator[ServedProject]:
    name, keys = f"hosted_{next(_numbers)}", local_keys()
    cluster.clone(BARE, name)
    try:
        with tempfile.TemporaryDirectory() as media:
            site = Site(lambda user: cluster.dsn(name, user), listen(0), Path(media), keys, "http://127.0.0.1:9")
            async with serving_project(site):
                yield ServedProject(site.api_url, keys.anon_key, keys.service_role_key, cluster.dsn(name))
    finally:
        cluster.drop(name)


async def _until_known(project: ServedProject) -> None:
    """Wait until the API has noticed what was made: it says so of a function that the schema must have."""
    project.sql("notify pgrst, 'reload schema'")
    deadline = time.monotonic() + 30
    headers = {"apikey": project.anon_key, "Authorization": f"Bearer {project.anon_key}"}
    async with httpx.AsyncClient(base_url=project.url, headers=headers) as http:
        while (await http.get("/rest/v1/rpc/tested")).status_code != 200:
            assert time.monotonic() < deadline, "the API did not notice the new schema; is `public` exposed?"
            await asyncio.sleep(0.2)
