"""Views whose connection is cut, refused, stalled and given back: they miss no end and never go back."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from filaviva import FilaViva, Job, JobStatus
from filaviva.live.jobs import LiveJobs
from tests.e2e.client_support import QUICK, Project, pytestmark, running_project
from tests.e2e.proxy import Cable, cable_to

__all__ = ["pytestmark"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    async with running_project(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def cable(project: Project) -> AsyncIterator[Cable]:
    async with cable_to(project.stack.api_url) as through:
        yield through


@asynccontextmanager
async def a_job_seen_pending(project: Project, cable: Cable) -> AsyncIterator[tuple[Job, asyncio.Task[list[Job]]]]:
    """A job of a new user, and the task that watches it through the cable from its pending state on."""
    async with project.client(url=cable.url) as fila:
        job = await fila.get((await fila.enqueue("noop", {"text": "x" * 10_000})).id)
        watch = fila.watch(job.id)
        first = await anext(watch)
        task = asyncio.create_task(_collect(watch, first))
        yield job, task
        task.cancel()


async def _collect(watch: AsyncIterator[Job], first: Job) -> list[Job]:
    return [first, *[state async for state in watch]]


async def shown(view: LiveJobs, *, is_live: bool, count: int | None = None) -> list[Job]:
    """Wait until the view is, or is not, live, and shows so many jobs."""
    async with asyncio.timeout(20):
        async for jobs in view:
            if view.is_live is is_live and count in (None, len(jobs)):
                return jobs
    raise AssertionError("the view ended")


async def errors(view: LiveJobs, *, some: bool) -> list[int]:
    """Wait until the view has, or has not, an error; the lengths that it showed meanwhile."""
    lengths = {len(view.jobs)}
    async with asyncio.timeout(20):
        while (view.error is not None) is not some:
            lengths.add(len(await anext(view)))
    return sorted(lengths)


def assert_rising_to_completed(states: list[Job]) -> None:
    versions = [state.version for state in states]
    assert versions == sorted(set(versions))
    assert states[-1].status is JobStatus.COMPLETED


async def test_a_job_that_ends_while_the_socket_is_away_is_seen_to_end(project: Project, cable: Cable) -> None:
    async with a_job_seen_pending(project, cable) as (job, watching):
        await cable.pull_out()
        await project.complete(job.id, post=1)
        await cable.plug_in()
        states = await asyncio.wait_for(watching, 20)
    assert_rising_to_completed(states)
    assert states[-1].result == {"post": 1}
    assert states[-1].payload == job.payload


async def test_after_a_cut_a_view_is_live_again_with_what_it_missed(project: Project, cable: Cable) -> None:
    user = await project.new_user()
    async with project.client(user, cable.url) as fila, project.client(user) as elsewhere, fila.live_jobs() as view:
        await shown(view, is_live=True, count=0)
        cable.cut()
        await shown(view, is_live=False)
        await elsewhere.enqueue("noop", {})
        assert len(await shown(view, is_live=True, count=1)) == 1
        job = await elsewhere.enqueue("noop", {})
        assert (await shown(view, is_live=True, count=2))[0].id == job.id


async def test_a_connection_that_only_looks_open_is_given_up_within_two_heartbeats(
    project: Project, cable: Cable
) -> None:
    user = await project.new_user()
    async with project.client(user, cable.url) as fila, project.client(user) as elsewhere, fila.live_jobs() as view:
        await shown(view, is_live=True, count=0)
        cable.stall()
        since = time.monotonic()
        await elsewhere.enqueue("noop", {})
        await shown(view, is_live=False)
        assert time.monotonic() - since < 2 * QUICK.heartbeat_seconds + 1.5
        cable.cut()
        cable.flow()
        await shown(view, is_live=True, count=1)


async def test_on_a_slow_line_a_view_is_late_and_right(project: Project, cable: Cable) -> None:
    cable.delay_seconds = 0.1
    async with project.client(url=cable.url) as fila, fila.live_jobs() as view:
        await shown(view, is_live=True, count=0)
        job = await fila.enqueue("noop", {})
        await project.complete(job.id)
        async for jobs in view:
            if jobs and jobs[0].status is JobStatus.COMPLETED:
                break
        assert view.error is None


async def test_while_the_stack_is_out_of_reach_a_view_keeps_its_state_and_says_why(
    project: Project, cable: Cable
) -> None:
    async with project.client(url=cable.url) as fila:
        await fila.enqueue("noop", {})
        async with fila.live_jobs() as view:
            await shown(view, is_live=True, count=1)
            await cable.pull_out()
            assert await errors(view, some=True) == [1]
            await cable.plug_in()
            await errors(view, some=False)
            await shown(view, is_live=True, count=1)
        async with fila.connection_metrics() as metrics:
            measured = await metrics.loaded()
        assert measured.total_connections == 2
        assert measured.error_rate > 0


async def test_any_number_of_cuts_at_any_moment_hides_no_end(project: Project, cable: Cable) -> None:
    chance = random.Random(20260102)
    async with project.client(url=cable.url) as fila:
        jobs = await fila.enqueue_many({"kind": "noop", "payload": {"n": n}} for n in range(10))
        watching = [asyncio.create_task(_everything(fila, job.id)) for job in jobs]
        for job in jobs:
            await asyncio.sleep(chance.uniform(0, 0.2))
            claimed = await project.claim(job.id)
            cable.cut()
            await asyncio.sleep(chance.uniform(0, 0.2))
            await project.settle(claimed, "done")
            if chance.random() < 0.5:
                cable.cut()
        for states in await asyncio.wait_for(asyncio.gather(*watching), 30):
            assert_rising_to_completed(states)


async def _everything(fila: FilaViva, job_id: object) -> list[Job]:
    return [state async for state in fila.watch(str(job_id))]
