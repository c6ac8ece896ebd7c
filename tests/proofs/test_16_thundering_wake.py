"""Proof 16: a storm of enqueues wakes the drain once a second, not once an enqueue, and its jobs start at once."""

import asyncio
import threading
import time
from itertools import pairwise

import pytest

from devstack.net import Net
from functions.app import create_app
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from tests.proofs.conftest import CRON_SECRET, Anything, Handle, Proof, Stand, WakeLog, served, silent, until
from tests.proofs.oracle import assert_drained, percentile

STARTS = "select extract(epoch from started_at - created_at)::float8 from public.jobs where queue = 'work'"

WRITE = """
do $$
declare
  v_began timestamptz := clock_timestamp();
begin
  for v_done in 1 .. {jobs} loop
    perform public.enqueue_jobs('[{{"kind": "task"}}]');
    commit;
    exit when clock_timestamp() > v_began + interval '{seconds} s' * 2;  -- a machine that is too busy for this many
    perform pg_sleep(extract(epoch from v_began - clock_timestamp()) + {seconds}::float8 * v_done / {jobs});
  end loop;
end $$
"""
"""Inside the server, so that the storm does not wait for its own client."""


async def test_a_storm_of_enqueues_wakes_the_drain_once_a_second(stand: Stand, proof: Proof, handle: Handle) -> None:
    await storm(stand, proof, handle, jobs=2000, seconds=2)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_long_storm_wakes_the_drain_once_a_second(stand: Stand, proof: Proof, handle: Handle) -> None:
    await storm(stand, proof, handle, jobs=10_000, seconds=10)


async def storm(stand: Stand, proof: Proof, handle: Handle, *, jobs: int, seconds: float, writers: int = 4) -> None:
    async def run(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
        return Done()

    handle(run)
    app = create_app(stand.settings(drain_linger_seconds=2.5, drain_concurrency=100), silent())
    wakes = WakeLog(app)
    net = Net(stand.database.dsn("supabase_admin"))
    async with served(wakes) as url:
        stand.engine.call("configure_drain", f"{url}/api/queue/process", CRON_SECRET, 200)
        await net.start()
        try:
            ids, took = await asyncio.to_thread(enqueue_all, stand, jobs, seconds, writers)
            await until(stand.is_over)
        finally:
            await net.stop()
            await app.state.services.close()
    assert_drained(stand.engine, ids)
    starts = [row[0] for row in stand.engine.connection.execute(STARTS)]
    closest = min((later - earlier for earlier, later in pairwise(wakes.at)), default=seconds)
    allowed = took + 2
    late = percentile(starts, 0.95)
    proof.record(
        16, "thundering wake", target="<= 1 wake per second per queue, p95 start <= 2 s",
        reached=f"{len(ids)} enqueues in {took:.1f} s: {len(wakes.at)} wakes, p95 start {late:.2f} s",
        jobs=len(ids), writers=writers, wakes=len(wakes.at), closest_wakes_seconds=round(closest, 3),
        p95_start_seconds=round(late, 3),
    )  # fmt: skip
    assert len(wakes.at) <= allowed
    assert late <= 2


def enqueue_all(stand: Stand, jobs: int, seconds: float, writers: int) -> tuple[list[str], float]:
    """One job a transaction, evenly over `seconds` or as fast as it goes, from connections that commit durably."""
    began = time.monotonic()

    def write() -> None:
        with stand.database.connect() as connection:
            connection.execute("set synchronous_commit = on")
            connection.execute(WRITE.format(jobs=jobs // writers, seconds=seconds))

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    return [row[0] for row in stand.engine.connection.execute("select id::text from public.jobs")], took
