"""What the tests of the client share: a running stack with a queue that nobody drains."""

import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from postgrest import AsyncPostgrestClient

from devstack.stack import Stack, remove_data
from devstack.state import StackOptions
from filaviva import FilaViva
from filaviva.realtime.settings import RealtimeSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = RealtimeSettings(
    heartbeat_seconds=1.0, first_pause_seconds=0.2, rejoin_spread_seconds=0.2, joins_per_second=200, linger_seconds=1.0
)
"""Times for tests that do not want to wait; silence is never what helps."""


@dataclass(frozen=True, slots=True)
class Project:
    """A running stack with a queue `work`, whose jobs users may enqueue, and nobody who drains it."""

    stack: Stack
    service: AsyncPostgrestClient

    def token(self, user: uuid.UUID, seconds: float = 3600) -> str:
        """An access token as the stack's own sign-in gives it."""
        claims = {"sub": str(user), "role": "authenticated", "aud": "authenticated", "exp": int(time.time() + seconds)}
        return jwt.encode(claims, self.stack.keys.jwt_secret, "HS256")

    async def new_user(self) -> uuid.UUID:
        """Somebody who has just signed up."""
        body = {"email": f"{uuid.uuid4()}@example.test", "password": "long-enough-1"}
        async with httpx.AsyncClient(headers={"apikey": self.stack.keys.anon_key}) as http:
            answer = await http.post(f"{self.stack.api_url}/auth/v1/signup", json=body)
        return uuid.UUID(answer.raise_for_status().json()["user"]["id"])

    @asynccontextmanager
    async def client(
        self, user: uuid.UUID | None = None, url: str | None = None, realtime: RealtimeSettings = QUICK
    ) -> AsyncIterator[FilaViva]:
        """A client signed in as `user`, a new one unless named."""
        token = self.token(user or await self.new_user())
        anon = self.stack.keys.anon_key
        async with FilaViva(url or self.stack.api_url, anon, access_token=token, realtime=realtime) as fila:
            yield fila

    async def call(self, function: str, **parameters: Any) -> Any:
        """One of the engine's functions, as the service role."""
        return (await self.service.rpc(function, parameters).execute()).data

    async def claim(self, job_id: uuid.UUID) -> dict[str, Any]:
        """Take the job as a worker does."""
        answer = await self.call("claim_job", p_job_id=str(job_id), p_worker_id="w", p_request_id=str(uuid.uuid4()))
        claimed: dict[str, Any] = answer["jobs"][0]
        return claimed

    async def settle(self, claimed: dict[str, Any], outcome: str, **more: Any) -> None:
        """End the attempt as a worker does."""
        result = {"job_id": claimed["job_id"], "claim_id": claimed["claim_id"], "outcome": outcome, **more}
        await self.call("settle_jobs", p_results=[result])

    async def complete(self, job_id: uuid.UUID, **result: Any) -> None:
        """Run the job from its claim to its end."""
        await self.settle(await self.claim(job_id), "done", result=result)


@asynccontextmanager
async def running_project(folder: Path) -> AsyncIterator[Project]:
    """A stack in `folder`, which leaves nothing behind."""
    try:
        async with Stack(StackOptions(data_dir=folder, port=0, db_port=0, functions_port=0)) as stack:
            with psycopg.connect(stack.db_url, autocommit=True) as connection:
                connection.execute("select filaviva.create_queue('work', '{}')")
                settings = json.dumps({"queue": "work", "user_may_enqueue": True})
                connection.execute("select filaviva.register_kind('noop', %s)", (settings,))
            key = stack.keys.service_role_key
            headers = {"apikey": key, "Authorization": f"Bearer {key}"}
            async with AsyncPostgrestClient(f"{stack.api_url}/rest/v1", headers=headers) as service:
                yield Project(stack, service)
    finally:
        remove_data(folder)
