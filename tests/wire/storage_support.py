"""Storage for tests: on the real gateway, with a database of its own."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from devstack.cluster import Cluster
from devstack.gateway import gateway, listen, serving
from devstack.keys import local_keys
from devstack.storage.app import Storage
from devstack.storage.settings import StorageSettings
from tests.conftest import BARE

KEYS = local_keys()
LIMIT = 300_000
VIDEO = bytes(range(256)) * 400
SERVICE = {"apikey": KEYS.service_role_key}

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class StorageServer:
    """Where Storage is, and where it keeps things; the connection is the superuser's."""

    url: str
    folder: Path
    database: psycopg.Connection

    def empty(self) -> None:
        """Remove every bucket and object."""
        self.database.execute("truncate storage.buckets cascade")
        for file in self.folder.glob("*/*"):
            file.unlink()


@asynccontextmanager
async def storage_server(
    cluster: Cluster, folder: Path, policies: str = "", template: str = BARE
) -> AsyncIterator[StorageServer]:
    """Serve Storage alone; `policies` are statements that postgres runs first, as a migration would."""
    name = f"storage_{next(_numbers)}"
    cluster.clone(template, name)
    with cluster.connect(name, "postgres") as migrating:
        migrating.execute(policies.encode())
    storage = Storage(StorageSettings(cluster.dsn(name, "supabase_storage_admin"), folder, KEYS.jwt_secret, LIMIT))
    await storage.start()
    listener = listen(0)
    try:
        with cluster.connect(name) as database:
            async with serving(gateway({"/storage/v1": storage}, KEYS, ""), listener):
                yield StorageServer(f"http://127.0.0.1:{listener.getsockname()[1]}", folder, database)
    finally:
        await storage.stop()
        cluster.drop(name)


@asynccontextmanager
async def official_client(url: str, token: str | None = None) -> AsyncIterator[AsyncClient]:
    """The official client: the service's, or that of whoever `token` stands for."""
    key = KEYS.publishable_key if token else KEYS.secret_key
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient() as connections:
        yield await acreate_client(url, key, AsyncClientOptions(headers=headers, httpx_client=connections))


def token_of(user_id: str = "", **claims: Any) -> str:
    """An access token of a user of that id, or of somebody new."""
    about = {"role": "authenticated", "aud": "authenticated", "sub": user_id or str(uuid4()), "exp": 2**32, **claims}
    return jwt.encode(about, KEYS.jwt_secret, "HS256")


def user_headers(token: str) -> dict[str, str]:
    """The headers of a user's request."""
    return {"apikey": KEYS.anon_key, "Authorization": f"Bearer {token}"}


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """HTTP status, the number in the body, the message."""
    return answer.status_code, answer.json()["statusCode"], answer.json()["message"]
