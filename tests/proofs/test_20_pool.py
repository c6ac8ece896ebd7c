"""Proof 20: more requests than connections. Each is served, or told within two seconds to come back; nothing leaks."""

import asyncio
import time
from collections import Counter
from typing import Any

import httpx
import jwt
import pytest

from functions.app import create_app
from tests.conftest import Database
from tests.proofs.conftest import Proof, Stand, silent, stand_on, until
from tests.proofs.oracle import broken, percentile
from tests.sql.conftest import make_user

POOL = 10
LISTENERS = 1
"""The gateway listens for changes of the schema beside its pool."""
REQUESTS = 200
SLEEPERS = 20
NAP = """
create function public.nap() returns void language sql volatile as $$ select pg_advisory_xact_lock_shared(20) $$;
grant execute on function public.nap() to service_role;
"""
"""Sleeps until the proof wakes it."""
BUSY = """
select count(*) from pg_stat_activity where datname = current_database() and usename = 'authenticator'
  and state <> 'idle'
"""
OPEN = "select count(*) from pg_stat_activity where datname = current_database() and usename = 'authenticator'"


async def test_more_requests_than_connections_are_served_or_told_to_come_back(database: Database, proof: Proof) -> None:
    await exhaust(database, proof, rounds=1)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_ten_rounds_of_exhaustion_leak_nothing(database: Database, proof: Proof) -> None:
    await exhaust(database, proof, rounds=10)


async def exhaust(database: Database, proof: Proof, *, rounds: int) -> None:
    async with stand_on(database, pool_size=POOL, pool_timeout=0.5) as stand:
        stand.engine.connection.execute(NAP)
        app = create_app(stand.settings(), silent())
        token = sign_in(stand)
        answers: list[tuple[httpx.Response, float]] = []
        try:
            calm = max(seconds for _, seconds in await one_round(stand, app, token, sleepers=0))
            for _ in range(rounds):
                answers += await one_round(stand, app, token)
                await until(lambda: not stand.engine.value(BUSY))
        finally:
            await app.state.services.close()
        wrong = [answer.text for answer, _ in answers if not fair(answer)]
        assert not wrong, wrong[:3]
        served = [answer.json()["jobs"][0]["job_id"] for answer, _ in answers if answer.status_code == 202]
        known = stand.engine.value("select count(*) from public.jobs where id = any (%s::uuid[])", served)
        assert known == len(served), "what was acknowledged is there"
        assert not broken(stand.engine)
        slowest = max(seconds for _, seconds in answers)
        open_after = stand.engine.value(OPEN) - LISTENERS
        assert open_after <= POOL
        codes = Counter(answer.status_code for answer, _ in answers)
        sent_away = codes[503] + codes[429]
        proof.record(
            20, "pool exhaustion", target="each served or 503/429 with Retry-After within 2 s, 0 leaked connections",
            reached=f"{len(answers)} requests, {SLEEPERS} sleeping: {codes[202]} served, {sent_away} sent away with "
            f"Retry-After, slowest {slowest:.2f} s; {open_after} of {POOL} connections open after",
            requests=len(answers), served=codes[202], sent_away=sent_away, slowest_seconds=round(slowest, 2),
            slowest_without_sleepers=round(calm, 2),
            p95_seconds=round(percentile([seconds for _, seconds in answers], 0.95), 2), open_after=open_after,
        )  # fmt: skip
        assert slowest <= 2 + 2 * calm, "a busy machine may take as much longer as it takes when nobody sleeps"
        assert codes[503] > 0, "the pool was exhausted"
        assert codes[202] > 0, "and came back"


async def one_round(stand: Stand, app: Any, token: str, sleepers: int = SLEEPERS) -> list[tuple[httpx.Response, float]]:
    """The sleepers take the pool; then everybody else comes at once. At the first answer the sleepers wake."""
    stand.engine.value("select pg_advisory_lock(20)")
    service = stand.keys.service_role_key
    headers = {"apikey": service, "Authorization": f"Bearer {service}"}
    transport = httpx.ASGITransport(app)
    user = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=stand.url, headers=headers, timeout=30) as sleepy,
        httpx.AsyncClient(transport=transport, base_url="http://functions", headers=user, timeout=30) as client,
    ):
        naps = [asyncio.create_task(sleepy.post("/rest/v1/rpc/nap", json={})) for _ in range(sleepers)]
        await until(lambda: stand.engine.value(BUSY) == min(POOL, sleepers))
        requests = [asyncio.create_task(timed(client)) for _ in range(REQUESTS - SLEEPERS)]
        await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
        stand.engine.value("select pg_advisory_unlock_all()")
        answers = await asyncio.gather(*requests)
        ends = Counter(answer.status_code for answer in await asyncio.gather(*naps))
        assert ends.keys() <= {204, 504}, "the sleepers too were served, or had waited as long as PostgREST lets them"
    return answers


async def timed(client: httpx.AsyncClient) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    answer = await client.post("/api/jobs", json={"kind": "task"})
    return answer, time.monotonic() - began


def fair(answer: httpx.Response) -> bool:
    """Served, or sent away with a time to come back at."""
    if answer.status_code == 202:
        return True
    return answer.status_code in {429, 503} and int(answer.headers.get("Retry-After", "0")) > 0


def sign_in(stand: Stand) -> str:
    """A new user's token."""
    user = make_user(stand.engine)
    claims = {"sub": str(user), "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 3600}
    return jwt.encode(claims, stand.keys.jwt_secret, algorithm="HS256")
