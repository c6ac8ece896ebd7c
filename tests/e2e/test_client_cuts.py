"""A watch whose connection is cut, refused and given back: it misses no end and never goes back."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from filaviva import FilaViva, Job, JobStatus
from filaviva.channel import Notice, Subscription
from filaviva.connection import Connection
from tests.e2e.test_client_jobs import Project, pytestmark, running_project

__all__ = ["pytestmark"]


class Cable:
    """A TCP proxy in front of the stack that can be cut and pulled out."""

    def __init__(self, target: str) -> None:
        self._host, self._port = urlsplit(target).hostname, urlsplit(target).port
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The stack's URL at this end."""
        return f"http://127.0.0.1:{self.port}"

    async def plug_in(self) -> None:
        """Let connections through from now on."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Break every connection that is open."""
        for writer in self._open:
            writer.transport.abort()

    async def pull_out(self) -> None:
        """Refuse new connections, and break those that are open."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _carry(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_connection(self._host, self._port)
        except OSError:
            near.transport.abort()
            return
        self._open |= {near, far}
        try:
            await asyncio.gather(self._pump(near_reader, far), self._pump(far_reader, near))
        finally:
            self._open -= {near, far}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    async with running_project(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def cable(project: Project) -> AsyncIterator[Cable]:
    through = Cable(project.stack.api_url)
    await through.plug_in()
    yield through
    await through.pull_out()


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


async def test_after_a_cut_changes_arrive_live_again(project: Project, cable: Cable) -> None:
    user = await project.new_user()
    async with project.client(user, cable.url) as fila:
        job = await fila.enqueue("noop", {})
        connection = Connection(cable.url, project.stack.keys.anon_key, project.token(user))
        async with Subscription(connection, "jobs", f"id=eq.{job.id}") as changes:
            assert await changes.next(20) is Notice.JOINED
            cable.cut()
            assert [await changes.next(20) for _ in range(2)] == [Notice.LOST, Notice.JOINED]
            await project.complete(job.id)
            records = [await changes.next(20) for _ in range(2)]
        await connection.close()
    assert [record["status"] for record in records if isinstance(record, dict)] == ["processing", "completed"]


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
