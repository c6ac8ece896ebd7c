"""What the proofs of the live client share: a project whose Realtime restarts and is counted, and a worker's hand."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import psycopg
from psycopg import sql
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from devstack.gateway import gateway, listen, serving
from devstack.keys import ProjectKeys, local_keys
from devstack.realtime.app import Realtime
from devstack.realtime.limits import Limits
from devstack.realtime.settings import RealtimeSettings as ServerSettings
from devstack.rest.app import Rest
from devstack.rest.settings import RestSettings
from filaviva import FilaViva
from filaviva.realtime.settings import RealtimeSettings
from tests.conftest import Database
from tests.sql.conftest import Engine, make_queue

QUICK = RealtimeSettings(
    heartbeat_seconds=1.0, first_pause_seconds=0.05, last_pause_seconds=0.5, rejoin_spread_seconds=0.1,
    joins_per_second=200, linger_seconds=1.0, silence_seconds=30.0,
)  # fmt: skip
"""Times for proofs that do not want to wait; a silence is never what helps."""

MAKE_USER = "insert into auth.users (id, email, aud, role) values (%s, %s, 'authenticated', 'authenticated')"


@dataclass
class Gate:
    """Stands before Realtime: counts what clients ask for, as the server sees it, and is shut while there is none."""

    app: ASGIApp | None
    handshakes: list[float] = field(default_factory=list)
    joins: list[float] = field(default_factory=list)
    """When each arrived, by the monotonic clock."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket":
            self.handshakes.append(time.monotonic())
            if self.app is None:
                await WebSocket(scope, receive, send).send_denial_response(Response(status_code=503))
                return
        assert self.app is not None

        async def counted() -> Message:
            message = await receive()
            if '"phx_join"' in (message.get("text") or ""):
                self.joins.append(time.monotonic())
            return message

        await self.app(scope, counted, send)


class LiveProject:
    """A migrated database behind REST and Realtime, with a queue `work` and a kind `task`, and nobody who drains it."""

    def __init__(self, database: Database, engine: Engine, keys: ProjectKeys, limits: Limits) -> None:
        self.database = database
        self.engine = engine
        self.keys = keys
        self.url = ""
        self.gate = Gate(None)
        self._limits = limits
        self.realtime: Realtime | None = None

    async def start_realtime(self) -> None:
        """Let Realtime come, with nothing in its memory."""
        settings = ServerSettings(self.database.dsn("supabase_admin"), self.keys.jwt_secret, limits=self._limits)
        self.realtime = Realtime(settings)
        await self.realtime.start()
        self.gate.app = self.realtime

    async def stop_realtime(self) -> None:
        """Let Realtime go, as when its server is restarted."""
        self.gate.app = None
        if self.realtime is not None:
            await self.realtime.stop()
            self.realtime = None

    def token(self, user: uuid.UUID | None, seconds: float = 3600, **claims: Any) -> str:
        """An access token that is good for `seconds`."""
        given = {
            "role": "authenticated",
            "aud": "authenticated",
            "exp": int(time.time() + seconds),
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode({**given, "sub": str(user), **claims}, self.keys.jwt_secret, "HS256")

    def user(self) -> uuid.UUID:
        """Somebody new."""
        return self.users(1)[0]

    def users(self, count: int) -> list[uuid.UUID]:
        """So many new users."""
        users = [uuid.uuid4() for _ in range(count)]
        with self.database.connect("supabase_admin") as admin, admin.cursor() as cursor:
            cursor.executemany(MAKE_USER, [(user, f"{user}@example.com") for user in users])
        return users

    def company(self, owner: uuid.UUID, *agents: uuid.UUID) -> str:
        """A company of these users."""
        company = str(self.engine.call_as(owner, "create_company", "Padaria"))
        for agent in agents:
            self.engine.call_as(owner, "set_company_member", company, agent, "agent")
        return company

    @asynccontextmanager
    async def client(
        self, user: uuid.UUID, url: str | None = None, *, realtime: RealtimeSettings = QUICK, token: str | None = None
    ) -> AsyncIterator[FilaViva]:
        """A client signed in as `user`."""
        signed_in = token or self.token(user)
        async with FilaViva(url or self.url, self.keys.anon_key, access_token=signed_in, realtime=realtime) as fila:
            yield fila

    @asynccontextmanager
    async def hand(self) -> AsyncIterator["Hand"]:
        """A hand that moves jobs."""
        async with await psycopg.AsyncConnection.connect(self.database.dsn(), autocommit=True) as connection:
            yield Hand(connection)


@asynccontextmanager
async def live_project(database: Database, limits: Limits | None = None) -> AsyncIterator[LiveProject]:
    """A project on `database`; the server allows what `limits` say, or what a new project allows."""
    with database.connect("supabase_admin") as admin:  # what is committed is streamed at once
        admin.execute(sql.SQL("alter database {} set synchronous_commit = on").format(sql.Identifier(database.name)))
    keys = local_keys()
    rest = Rest(RestSettings(database.dsn("authenticator"), jwt_secret=keys.jwt_secret, pool_size=6))
    listener = listen(0)
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        await rest.start()
        stack.push_async_callback(rest.stop)
        engine = Engine(stack.enter_context(database.connect()))
        make_queue(engine, "work", backoff_base_seconds=0)
        project = LiveProject(database, engine, keys, limits or Limits())
        app = gateway({"/rest/v1": rest, "/realtime/v1": project.gate}, keys, "http://127.0.0.1:1")
        await stack.enter_async_context(serving(app, listener))
        project.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        await project.start_realtime()
        stack.push_async_callback(project.stop_realtime)
        yield project


class Hand:
    """Enqueues and works on jobs over a connection of its own, whatever becomes of the clients' ways."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self.connection = connection

    async def call(self, function: str, *arguments: Any) -> Any:
        """One of the engine's functions, as an operator."""
        given = [json.dumps(value) if isinstance(value, list | dict) else value for value in arguments]
        statement = f"select public.{function}({', '.join(['%s'] * len(given))})"
        row = await (await self.connection.execute(statement, given)).fetchone()
        return row[0] if row else None

    async def enqueue(self, user: uuid.UUID, *jobs: Mapping[str, Any]) -> list[str]:
        """Jobs of the user's; kind `task` unless named."""
        answer = await self.call("enqueue_jobs", [{"kind": "task", "user_id": str(user), **job} for job in jobs])
        return [each["job_id"] for each in answer]

    async def claim(self, job_id: str) -> dict[str, Any] | None:
        """Take the job as a worker does; None when it cannot be had now."""
        try:
            answer = await self.call("claim_job", job_id, "w", uuid.uuid4())
        except psycopg.Error as error:
            if error.diag.message_detail != "not_claimable":
                raise
            return None
        claimed: dict[str, Any] = answer["jobs"][0]
        return claimed

    async def note(self, claimed: Mapping[str, Any], text: str) -> None:
        """Write progress: an event for everyone who follows the job."""
        lease = {"job_id": claimed["job_id"], "claim_id": claimed["claim_id"], "progress": 50, "note": text}
        await self.call("extend_leases", [lease])

    async def settle(self, claimed: Mapping[str, Any], outcome: str, **more: Any) -> None:
        """End the attempt."""
        result = {"job_id": claimed["job_id"], "claim_id": claimed["claim_id"], "outcome": outcome, **more}
        await self.call("settle_jobs", [result])

    async def rows(self, user: uuid.UUID) -> dict[str, tuple[int, str]]:
        """Version and status of each of the user's jobs, by their ids."""
        query = "select id::text, version, status::text from public.jobs where user_id = %s"
        found = await (await self.connection.execute(query, (user,))).fetchall()
        return {job_id: (version, status) for job_id, version, status in found}


def busiest(moments: Sequence[float], seconds: float = 1.0) -> int:
    """The most of `moments` that lie within any so many seconds."""
    ordered, first, most = sorted(moments), 0, 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
