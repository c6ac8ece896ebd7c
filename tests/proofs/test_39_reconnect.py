"""Proof 39, the connection: many clients come back without a stampede, none gives up, and a dead peer is noticed."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from devstack.realtime.limits import Rate
from filaviva.live.jobs import LiveJobs
from filaviva.realtime import channel
from filaviva.realtime.settings import RealtimeSettings
from tests.conftest import Database
from tests.proofs.conftest import Proof
from tests.proofs.crowd import crowd_of
from tests.proofs.live_project import QUICK, busiest

MOST_JOINS = 100
HEARTBEAT = 1.0
TEN_MINUTES = 600.0


# A restart of the server ------------------------------------------------------------------------------


async def test_after_a_restart_many_clients_are_back_without_a_stampede(database: Database, proof: Proof) -> None:
    """As many joins a second on average as 500 clients make with the default settings, for a shorter time."""
    times = replace(
        QUICK, heartbeat_seconds=5, first_pause_seconds=0.2, last_pause_seconds=0.3, rejoin_spread_seconds=1.6
    )
    await restart(database, proof, 80, times, views=30, down=0.3, within=0.5)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_after_a_restart_five_hundred_clients_are_back_without_a_stampede(
    database: Database, proof: Proof
) -> None:
    await restart(database, proof, 500, RealtimeSettings(), views=50, down=3, within=1.0)


async def restart(
    database: Database,
    proof: Proof,
    clients: int,
    times: RealtimeSettings,
    *,
    views: int,
    down: float,
    within: float,
) -> None:
    """`within`: joins are counted in spans of so many seconds; few clients at once are no more than a second allows."""
    random.seed(proof.seed)  # the clients' jitter
    async with crowd_of(database, clients, times, views=views) as crowd:
        gate = crowd.project.gate
        await crowd.cable.pull_out()
        await crowd.project.stop_realtime()
        await crowd.finish_jobs()
        await asyncio.sleep(down)
        await crowd.becomes(lambda: crowd.live() == 0)
        gate.joins.clear()
        gate.handshakes.clear()
        await crowd.project.start_realtime()
        began = time.monotonic()
        await crowd.cable.plug_in()
        await crowd.becomes(lambda: crowd.live() == clients, 120)
        took = time.monotonic() - began
        await crowd.becomes(lambda: crowd.missed() == 0)
        joins, handshakes = busiest(gate.joins, within), busiest(gate.handshakes, within)
    allowed = int(MOST_JOINS * within)
    proof.record(
        39, "server restart", target=f"all of 500 clients rejoined <= 30 s, at most {MOST_JOINS} joins in any second",
        reached=f"{clients} clients live again after {took:.1f} s, at most {joins} joins (of {allowed} allowed) in any "
        f"{within:g} s at the server, and {handshakes} handshakes; {views} with views show all",
        clients=clients, views=views, rejoined_seconds=round(took, 1), most_joins=joins, allowed_joins=allowed,
        joins=len(gate.joins), most_handshakes=handshakes, spread_seconds=times.rejoin_spread_seconds,
    )  # fmt: skip
    assert took <= 30
    assert joins <= allowed


# A long outage ------------------------------------------------------------------------------------------


async def test_in_a_long_outage_nobody_gives_up(database: Database, proof: Proof) -> None:
    await outage(database, proof, clients=10, faster=150)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_in_a_longer_outage_nobody_gives_up(database: Database, proof: Proof) -> None:
    await outage(database, proof, clients=50, faster=10)


async def outage(database: Database, proof: Proof, *, clients: int, faster: float) -> None:
    """Ten minutes without Realtime, with the default times, all of them `faster` times shorter."""
    real = RealtimeSettings()
    times = replace(
        QUICK, first_pause_seconds=real.first_pause_seconds / faster,
        last_pause_seconds=real.last_pause_seconds / faster, rejoin_spread_seconds=real.rejoin_spread_seconds / faster,
    )  # fmt: skip
    async with crowd_of(database, clients, times) as crowd:
        gate = crowd.project.gate
        await crowd.project.stop_realtime()
        gate.handshakes.clear()
        began = time.monotonic()
        await asyncio.sleep(TEN_MINUTES / faster)
        last_third = [at for at in gate.handshakes if at > began + TEN_MINUTES / faster * 2 / 3]
        attempts = len(gate.handshakes)
        await crowd.project.start_realtime()
        began = time.monotonic()
        await crowd.finish_jobs()
        await crowd.becomes(lambda: crowd.live() == clients and crowd.missed() == 0)
        back = (time.monotonic() - began) * faster
    proof.record(
        39, "long outage", target="no client gives up before 10 min",
        reached=f"{clients} clients, 10 min with all times {faster:g} times shorter: {attempts} attempts, "
        f"{len(last_third)} of them in the last third; all {clients} back",
        clients=clients, faster=faster, attempts=attempts, attempts_in_last_third=len(last_third),
        back_seconds_unscaled=round(back, 1),
    )  # fmt: skip
    assert len(last_third) >= 3 * clients, "each one tries about twice a minute to the end"


# A dead peer --------------------------------------------------------------------------------------------


async def test_a_peer_that_only_looks_alive_is_noticed_within_two_heartbeats(database: Database, proof: Proof) -> None:
    await dead_peer(database, proof, clients=10, rounds=1)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_hundred_dead_peers_are_noticed_within_two_heartbeats(database: Database, proof: Proof) -> None:
    await dead_peer(database, proof, clients=20, rounds=5)


async def dead_peer(database: Database, proof: Proof, *, clients: int, rounds: int) -> None:
    noticed: list[float] = []
    slack = 0.0
    async with crowd_of(database, clients, replace(QUICK, heartbeat_seconds=HEARTBEAT)) as crowd:
        for _ in range(rounds):
            await asyncio.sleep(
                proof.random.uniform(0, HEARTBEAT)
            )  # each client's heartbeats have moments of their own
            since = time.monotonic()
            crowd.cable.stall()
            async with lateness_of_the_loop() as late:
                noticed += await asyncio.gather(*(_lost_after(view, since) for view in crowd.views))
            slack = max(slack, *late)
            crowd.cable.cut()
            crowd.cable.flow()
            await crowd.becomes(lambda: crowd.live() == clients)
    worst = max(noticed) / HEARTBEAT
    proof.record(
        39, "dead peer", target="noticed <= 2 heartbeats",
        reached=f"{len(noticed)} half-open sockets, the last noticed after {worst:.2f} heartbeats",
        sockets=len(noticed), slowest_heartbeats=round(worst, 2), heartbeat_seconds=HEARTBEAT,
        loop_late_seconds=round(slack, 2),
    )  # fmt: skip
    assert worst <= 2 + slack / HEARTBEAT, "a machine that is late may be as much later"


async def _lost_after(view: LiveJobs, since: float) -> float:
    async with asyncio.timeout(20):
        async for _ in view:
            if not view.is_live:
                break
    return time.monotonic() - since


@contextlib.asynccontextmanager
async def lateness_of_the_loop() -> AsyncIterator[list[float]]:
    """By how much short sleeps of this process were too long, meanwhile."""
    late = [0.0]

    async def measure() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            late.append(time.monotonic() - began - 0.01)

    task = asyncio.create_task(measure())
    try:
        yield late
    finally:
        task.cancel()


# A server that allows no more -----------------------------------------------------------------------------


class CountedRate(Rate):
    """Counts whom it sends away."""

    refused = 0

    def allows_another(self) -> bool:
        allowed = super().allows_another()
        self.refused += not allowed
        return allowed


async def test_joins_over_the_servers_limit_are_ridden_out(
    database: Database, proof: Proof, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "_LIMIT_SECONDS", 0.5)
    await over_the_limit(database, proof, CountedRate(20, seconds=1), clients=30)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_joins_over_the_servers_limit_of_a_minute_are_ridden_out(database: Database, proof: Proof) -> None:
    await over_the_limit(database, proof, CountedRate(200, seconds=60), clients=150)


async def over_the_limit(database: Database, proof: Proof, rate: CountedRate, *, clients: int) -> None:
    """All come back in one moment, to a server that lets in fewer than that."""
    times = replace(QUICK, first_pause_seconds=0.2, last_pause_seconds=1, rejoin_spread_seconds=0)
    async with crowd_of(database, clients, times) as crowd:
        assert crowd.project.realtime is not None
        crowd.project.realtime._services.rates.joins = rate
        crowd.cable.cut()
        await crowd.becomes(lambda: crowd.live() == 0)
        began = time.monotonic()
        await crowd.finish_jobs()
        await crowd.becomes(lambda: crowd.live() == clients and crowd.missed() == 0, 200)
        took = time.monotonic() - began
        errors = [view.error for view in crowd.views if view.error is not None]
    proof.record(
        39, "joins over the limit", target="rejects of joins over the server's limit are ridden out",
        reached=f"{clients} clients at once, of whom {rate._most} sockets and joins were allowed in {rate._seconds} s: "
        f"{rate.refused} refusals, all {clients} live after {took:.1f} s, {len(errors)} errors left",
        clients=clients, refusals=rate.refused, seconds_until_live=round(took, 1),
    )  # fmt: skip
    assert rate.refused > clients / 4, "the limit was felt"
    assert not errors
