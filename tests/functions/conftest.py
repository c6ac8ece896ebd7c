"""What the tests of the functions share: settings, captured logs, and an application over a real project."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import psycopg
import pytest
import structlog
from psycopg.rows import dict_row
from starlette.applications import Starlette

from devstack.gateway import gateway, listen, serving
from devstack.keys import ProjectKeys, local_keys
from devstack.rest.app import Rest
from devstack.rest.settings import RestSettings
from functions.app import create_app
from functions.jobs import registry
from functions.jobs.registry import HandlerFunction
from functions.settings import Settings
from functions.web.logs import get_logger
from functions.worker.drain import Drain
from functions.worker.host import WorkerHost
from functions.worker.postgres_ledger import PostgresLedger
from functions.worker.summary import Summary
from tests.conftest import Database
from tests.functions.scripted import MakeDrain, Register, ScriptedLedger, registration, surroundings

CRON_SECRET = "the-internal-secret"

NewApp = Callable[..., Starlette]
"""The fixture `new_app`: (**settings) -> application."""


@dataclass
class Logs:
    """The structured lines that were written."""

    stream: io.StringIO = field(default_factory=io.StringIO)

    @property
    def logger(self) -> structlog.stdlib.BoundLogger:
        return get_logger(self.stream)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def find(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def logs() -> Iterator[Logs]:
    yield Logs()


def make_settings(url: str = "http://127.0.0.1:1", **changes: Any) -> Settings:
    """Settings for a project at `url`; port 1 is one where nobody answers."""
    values = {
        "supabase_url": url,
        "supabase_anon_key": "anon",
        "supabase_service_role_key": "service",
        "cron_secret": CRON_SECRET,
        "drain_linger_seconds": 0.2,
        **changes,
    }
    return Settings.model_validate(values)


async def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for `condition`; a test that waits longer than `seconds` has failed."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition may lie in another process
            await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has signed in."""

    id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True, slots=True)
class Project:
    """A real project: migrated database, REST gateway, keys."""

    url: str
    keys: ProjectKeys
    database: Database
    connection: psycopg.Connection

    def settings(self, **changes: Any) -> Settings:
        return make_settings(
            self.url,
            **{
                "supabase_anon_key": self.keys.anon_key,
                "supabase_service_role_key": self.keys.service_role_key,
                **changes,
            },
        )

    def token(self, user_id: UUID | str, **claims: Any) -> str:
        """A session token; a claim of None is left out."""
        base = {"sub": str(user_id), "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 3600}
        merged = {name: value for name, value in {**base, **claims}.items() if value is not None}
        return jwt.encode(merged, self.keys.jwt_secret, algorithm="HS256")

    def sign_up(self) -> User:
        user_id = uuid4()
        with self.database.connect("supabase_admin") as admin:
            admin.execute(
                "insert into auth.users (id, email, aud, role) values (%s, %s, 'authenticated', 'authenticated')",
                (user_id, f"{user_id}@example.com"),
            )
        return User(str(user_id), self.token(user_id))

    def call(self, function: str, *arguments: Any) -> Any:
        """A public SQL function, as the operator."""
        adapted = [json.dumps(value) if isinstance(value, dict | list) else value for value in arguments]
        statement = f"select public.{function}({', '.join(['%s'] * len(adapted))})"
        row = self.connection.execute(statement, adapted).fetchone()
        return row[0] if row else None

    def enqueue(self, *jobs: dict[str, Any]) -> list[str]:
        return [result["job_id"] for result in self.call("enqueue_jobs", list(jobs))]

    def job(self, job_id: str) -> dict[str, Any]:
        (row,) = self.jobs("id = %s", job_id)
        return row

    def jobs(self, condition: str = "true", *arguments: Any) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(f"select * from public.jobs where {condition} order by seq", arguments).fetchall()

    def connect_account(self, user: User, platform: str) -> None:
        """A social account with a token that must never be seen."""
        self.call("connect_account", user.id, platform, f"{platform}-1", "Name", {"access_token": "canary-token"})


@asynccontextmanager
async def open_project(database: Database) -> AsyncIterator[Project]:
    """`database` as a project that can be called, for as long as the caller wants."""
    keys = local_keys()
    rest = Rest(RestSettings(database.dsn("authenticator"), jwt_secret=keys.jwt_secret, pool_size=4))
    await rest.start()
    listener = listen(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with serving(gateway({"/rest/v1": rest}, keys, "http://127.0.0.1:1"), listener):
            with database.connect() as connection:
                yield Project(url, keys, database, connection)
    finally:
        await rest.stop()


@pytest.fixture
async def project(database: Database) -> AsyncIterator[Project]:
    async with open_project(database) as opened:
        yield opened


@pytest.fixture
def carrier(request: pytest.FixtureRequest) -> str:
    """What carries the drain's calls: `rest`, or `postgres` where a module asks for `BOTH_LEDGERS`."""
    return str(getattr(request, "param", "rest"))


BOTH_LEDGERS = pytest.mark.parametrize("carrier", ["rest", "postgres"], indirect=True)


@pytest.fixture
async def new_app(project: Project, logs: Logs, carrier: str) -> AsyncIterator[NewApp]:
    """Makes applications over the real project, each with connections of its own, and closes them."""
    apps: list[tuple[Starlette, PostgresLedger]] = []

    def make(**settings: Any) -> Starlette:
        app = create_app(project.settings(**settings), logs.logger)
        direct = PostgresLedger(project.database.dsn())
        if carrier == "postgres":
            app.state.services._made[WorkerHost] = WorkerHost(app.state.services, direct)
        apps.append((app, direct))
        return app

    yield make
    for app, direct in apps:
        await app.state.services.close()
        await direct.close()


@pytest.fixture
def app(new_app: NewApp) -> Starlette:
    return new_app()


@pytest.fixture
async def api(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the functions, over a real project."""
    async with client_of(app) as client:
        yield client


def client_of(app: Starlette) -> httpx.AsyncClient:
    """A client that calls `app` in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://functions")


# A drain over a scripted ledger --------------------------------------------------------------------


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()


@pytest.fixture
def stopping() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def make_drain(
    ledger: ScriptedLedger, logs: Logs, stopping: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeDrain]:
    async with httpx.AsyncClient() as http:

        def build(run: HandlerFunction, *, claims: bool = True, **settings: Any) -> Drain:
            monkeypatch.setitem(registry._registrations, "test", registration("test", run))
            around = surroundings(
                ledger, make_settings(**{"drain_linger_seconds": 0, **settings}), logs.logger, http, stopping
            )
            return Drain("q", "worker-1", around, Summary(), claims=claims)

        yield build


# A kind of job on a real project -------------------------------------------------------------------


@pytest.fixture
def register(project: Project, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Gives the queue `work` settings and the kind `task` a handler."""

    def apply(run: HandlerFunction, *, reconcile: HandlerFunction | None = None, **queue: Any) -> None:
        project.call("create_queue", "work", {"backoff_base_seconds": 0, **queue})
        project.call("register_kind", "task", {"queue": "work", "user_may_enqueue": True})
        monkeypatch.setitem(registry._registrations, "task", registration("task", run, reconcile=reconcile))

    return apply
