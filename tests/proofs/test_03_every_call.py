"""Proof 3: each call that the processor makes fails in each way a call can fail, and nothing is lost or done twice.

A first run records the calls: every function of the engine and every request to the provider, each time it is
made. Then the same work is done once for each of them and each fault.
"""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, JobError, Outcome, Retry, Snooze
from functions.web.services import Services
from functions.worker import postgres_ledger
from functions.worker.host import WorkerHost
from functions.worker.ledger import TRIES, Ledger, LedgerRefused, LedgerUnavailable
from functions.worker.postgres_ledger import PostgresLedger
from functions.worker.rest_ledger import RestLedger
from tests.proofs.conftest import Anything, Handle, Proof, Stand, served, services_of
from tests.proofs.faults import FAULTS, Faults, FaultyTransport, Site, faulty_postgres
from tests.proofs.oracle import Provider, assert_drained
from tests.sql.conftest import make_user

ENDS = "select id::text, status, error_code, payload ->> 'what' from public.jobs where id = any (%s::uuid[])"
FEWEST_SITES = {"rest": 20, "postgres": 12}


async def run(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
    """One kind that does everything a handler can do."""
    provider, what = job.payload["provider"], job.payload["what"]
    if what == "retry" and job.attempt == 1:
        return Retry(JobError("again", "Once more."), after=0)
    if what == "snooze" and job.checkpoint is None:
        return Snooze(timedelta(0), {"looked": True})
    if what == "account":
        assert await ctx.account("tiktok") is not None
    if what == "progress":
        ctx.progress(50, "half")
        await ctx.http.get(f"{provider}/look/{job.job_id}")
    if what == "plain":
        await ctx.commit({"key": str(job.job_id)})
        (await ctx.http.post(f"{provider}/plain/{job.job_id}")).raise_for_status()
    if what == "keyed":
        (await ctx.http.post(f"{provider}/keyed/{job.job_id}")).raise_for_status()
    return Done()


async def find(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
    answer = await ctx.http.get(f"{job.payload['provider']}/effects/{job.job_id}")
    happened = answer.raise_for_status().json()["happened"]
    return Done() if happened else Retry(JobError("not_sent", "It was not sent."), after=0)


MakeLedger = Callable[[Services], Ledger]


@dataclass
class Scene:
    """The same work again and again, on one project."""

    stand: Stand
    provider: str
    user: str
    faults: Faults
    make_ledger: MakeLedger
    patient: Services
    hurried: Services
    """Of a processor that has no time at all: it leaves work, and calls the next drain."""

    async def play(self) -> list[str]:
        """All a processor does: drain what is due, run one job by its id, and call the next drain."""
        whats = ("done", "retry", "snooze", "plain", "plain", "keyed", "account", "progress")
        in_group = (self._job("keyed", group_key="g") for _ in range(2))
        ids = self.stand.engine.enqueue(*map(self._job, whats), *in_group)
        host = self._host(self.patient)
        await stubborn(host.drain(None))
        ids += self.stand.engine.enqueue(self._job("plain"))
        await stubborn(host.run_one(UUID(ids[-1])))
        ids += self.stand.engine.enqueue(self._job("done"))
        await stubborn(self._host(self.hurried).drain(["work"]))
        return ids

    async def recover(self) -> None:
        """What the ticks and later drains do about it."""
        self.faults.arm(None)
        for _ in range(8):
            self.stand.step(60)
            self.stand.engine.call("tick")
            await self._host(self.patient).drain(["work"])
            if self.stand.is_over():
                return

    def _job(self, what: str, **more: Any) -> dict[str, Any]:
        return {"kind": "task", "user_id": self.user, "payload": {"provider": self.provider, "what": what}, **more}

    def _host(self, services: Services) -> WorkerHost:
        return WorkerHost(services, self.make_ledger(services))


@asynccontextmanager
async def behind(faults: Faults, stand: Stand, **settings: Any) -> AsyncIterator[Services]:
    """What a processor shares, with every request of its able to fail."""
    async with services_of(stand, **settings) as services:
        for client in (services.database, services.outside):
            await client.aclose()
        transport = FaultyTransport(faults, httpx.AsyncHTTPTransport())
        services.database = httpx.AsyncClient(transport=transport, base_url=f"{stand.url}/rest/v1")
        services.outside = httpx.AsyncClient(transport=transport)
        yield services


@asynccontextmanager
async def ledgers(wire: str, faults: Faults, stand: Stand) -> AsyncIterator[MakeLedger]:
    """How a processor speaks to the engine."""
    if wire == "rest":
        yield lambda services: RestLedger(services.database, services.settings.supabase_service_role_key, at_once)
        return
    cluster = stand.database.cluster
    async with faulty_postgres(faults, cluster.port) as port:
        address = stand.database.dsn().replace(f":{cluster.port}/", f":{port}/")
        async with PostgresLedger(f"{address}?sslmode=disable", at_once) as ledger:
            yield lambda _: ledger


async def at_once(_: float) -> None:
    """The pause between two tries, which proves nothing."""


async def stubborn(work: Any) -> None:
    """A processor that gives up is what we are after; what it leaves behind is looked at later."""
    with suppress(LedgerUnavailable, LedgerRefused):
        await work


@pytest.fixture(params=["rest", "postgres"])
def wire(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.mark.timeout(120)
async def test_each_call_may_fail_in_each_way(stand: Stand, proof: Proof, handle: Handle, wire: str) -> None:
    await fail_each(stand, proof, handle, wire, {"until given up": TRIES})


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_each_call_may_fail_once_or_for_good(stand: Stand, proof: Proof, handle: Handle, wire: str) -> None:
    await fail_each(stand, proof, handle, wire, {"once": 1, "until given up": TRIES})


async def fail_each(stand: Stand, proof: Proof, handle: Handle, wire: str, how_often: dict[str, int]) -> None:
    handle(run, reconcile=find)
    stand.queue(lease_seconds=5, max_attempts=20)
    user = make_user(stand.engine)
    stand.engine.call("connect_account", user, "tiktok", "t-1", "Name", {"access_token": "token"})
    provider, faults = Provider(), Faults()
    broken_runs = 0
    async with (
        served(provider) as url,
        behind(faults, stand) as patient,
        behind(faults, stand, drain_budget_seconds=0) as hurried,
        ledgers(wire, faults, stand) as make_ledger,
    ):
        scene = Scene(stand, url, str(user), faults, make_ledger, patient, hurried)
        first, again = await calls_of(scene), await calls_of(scene)
        sites = [site for site in first if site in again]
        assert len(sites) >= FEWEST_SITES[wire]
        plan = list(itertools.product(sites, FAULTS, how_often.values()))
        if wire == "postgres" and proof.tier == "Q":  # each site in one way, in turn: the same engine is behind it
            plan = [(site, FAULTS[turn % len(FAULTS)], TRIES) for turn, site in enumerate(sites)]
        for site, fault, times in plan:
            for _ in range(TRIES):  # a call that depends on who was quicker may not be made in every run
                faults.arm(site, fault, times)
                if met := await played(scene, provider):
                    break
            assert met or site[1] > 0, (site, "was never called again")
            broken_runs += met
    proof.record(
        3, wire, target="100 % of call sites x 4 faults: invariants hold at each",
        reached=f"{len(sites)} call sites, {len(plan)} faults ({', '.join(how_often)}): all hold",
        sites=len(sites), faults=len(plan), broken_runs=broken_runs, repeated_calls=provider.repeated(),
    )  # fmt: skip


async def calls_of(scene: Scene) -> list[Site]:
    """The calls of a run in which nothing fails."""
    scene.faults.arm(None)
    await scene.play()
    sites = scene.faults.sites
    await scene.recover()
    return sites


async def played(scene: Scene, provider: Provider) -> bool:
    """Play, recover, look; whether the fault was met."""
    armed = (scene.faults.site, scene.faults.fault)
    with pytest.MonkeyPatch.context() as patch:
        if scene.faults.fault == "hang":  # the wait itself would prove nothing
            patch.setattr(postgres_ledger, "ANSWER_SECONDS", 0.05)
        ids = await scene.play()
    met = scene.faults.hits > 0
    await scene.recover()
    assert_drained(scene.stand.engine, ids)
    rows = scene.stand.engine.connection.execute(ENDS, (ids,)).fetchall()
    unfinished = [row for row in rows if row[1] != "completed"]
    assert not unfinished, (armed, unfinished)
    effects = provider.effects()
    expected = {row[0]: int(row[3] in {"plain", "keyed"}) for row in rows}
    wrong = {key: effects[key] for key, count in expected.items() if effects[key] != count}
    assert not wrong, (armed, wrong)
    assert not provider.changed()
    return met
