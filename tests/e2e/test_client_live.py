"""Live views against the real stack: shared channels, long lists, tokens, large events, private topics."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from pydantic import BaseModel

from filaviva import FilaViva, FilaVivaError, Forbidden, Job, JobStatus, NotSignedIn
from filaviva.live.private_channel import PrivateChannel
from filaviva.live.selection import Selection
from filaviva.live.table import LiveTable
from filaviva.live.view import LiveView
from tests.e2e.client_support import QUICK, Project, pytestmark, running_project
from tests.e2e.proxy import cable_to

__all__ = ["pytestmark"]

SETUP = """
create table public.items (id uuid primary key default gen_random_uuid(), seq bigint, version bigint, body text);
grant select on public.items to anon;
alter publication supabase_realtime add table public.items;
create policy "members read" on realtime.messages for select to authenticated using (realtime.topic() like 'open:%');
create policy "members write" on realtime.messages for insert to authenticated
  with check (realtime.topic() like 'open:%');
"""


class Item(BaseModel):
    id: uuid.UUID
    seq: int
    version: int
    body: str


class Items(LiveView[tuple[Item, ...]]):
    """A view of a table of the application's own."""

    def __init__(self, fila: FilaViva) -> None:
        self.table = LiveTable(fila._live, Selection("items", Item, ("seq=gte.0",)))
        super().__init__(fila._live, [self.table])

    @property
    def current(self) -> tuple[Item, ...]:
        return self.table.rows.newest


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    async with running_project(tmp_path_factory.mktemp("stack")) as running:
        run_sql(running, SETUP)
        yield running


def anybody(project: Project) -> FilaViva:
    """A client of nobody in particular."""
    return FilaViva(project.stack.api_url, project.stack.keys.anon_key, realtime=QUICK)


def run_sql(project: Project, statement: str) -> None:
    with psycopg.connect(project.stack.db_url, autocommit=True) as connection:
        connection.execute(statement.encode())


def channels_of(fila: FilaViva) -> int:
    return fila._live.connection.meter.snapshot().active_channels


async def until_live(view: LiveView[list[Job]]) -> None:
    async with asyncio.timeout(20):
        while not view.is_live or view.is_loading:
            await anext(view)


async def told(view: LiveView[list[Job]]) -> FilaVivaError:
    """The error that the view tells of, once it does and is not live."""
    while view.is_live or view.error is None:
        await anext(view)
    return view.error


async def test_three_hundred_watches_are_live_over_one_channel(project: Project) -> None:
    async with project.client() as fila:
        jobs = await fila.enqueue_many({"kind": "noop"} for _ in range(300))
        watches = [fila.watch(job.id) for job in jobs]
        first = await asyncio.gather(*(anext(watch) for watch in watches))
        assert [state.status for state in first] == ["pending"] * 300
        assert channels_of(fila) == 1
        await project.complete(jobs[123].id)
        assert [state.status async for state in watches[123]][-1] == "completed"
        await asyncio.gather(*(watch.aclose() for watch in watches))
        assert channels_of(fila) == 0


async def test_views_that_were_left_leave_no_channel_behind(project: Project) -> None:
    # The server allows a client 100 channels; with one open throughout it keeps its replication slot.
    async with project.client() as fila, fila.live_jobs() as first:
        await until_live(first)
        for _ in range(3):
            views = [fila.live_jobs(company_id=uuid.uuid4()) for _ in range(35)]
            for view in views:
                await view.__aenter__()
            await asyncio.gather(*(until_live(view) for view in views))
            await asyncio.gather(*(view.close() for view in views))
        assert fila._live.connection.meter.snapshot().error_rate == 0


async def test_a_long_list_is_read_in_pages_and_follows_every_change(project: Project) -> None:
    async with project.client() as fila:
        jobs = await fila.enqueue_many({"kind": "noop", "payload": {"n": n}} for n in range(2500))
        async with fila.live_jobs(limit=2400) as view:
            await until_live(view)
            assert [job.payload["n"] for job in view.jobs] == list(range(2499, 99, -1))
            await fila.cancel(jobs[1000].id)
            async with asyncio.timeout(10):
                async for shown in view:
                    if shown[1499].status is JobStatus.CANCELLED:
                        break
            assert (shown[1499].id, len(shown)) == (jobs[1000].id, 2400)


async def test_a_list_of_one_status_is_filled_up_when_rows_leave_it(project: Project) -> None:
    async with project.client() as fila:
        jobs = await fila.enqueue_many({"kind": "noop"} for _ in range(6))
        async with fila.live_jobs(status="pending", limit=3) as view:
            await until_live(view)
            assert [job.id for job in view.jobs] == [job.id for job in jobs[:2:-1]]
            await project.complete(jobs[4].id)
            wanted = [jobs[5].id, jobs[3].id, jobs[2].id]
            async with asyncio.timeout(10):
                while [job.id for job in view.jobs] != wanted:
                    await anext(view)


async def test_a_colleagues_job_is_live_too(project: Project) -> None:
    owner, colleague = await project.new_user(), await project.new_user()
    company = await project.call("create_company", p_name="Padaria", p_owner=str(owner))
    company_id = company["id"] if isinstance(company, dict) else company
    await project.call("set_company_member", p_company_id=company_id, p_user_id=str(colleague), p_role="agent")
    async with project.client(owner) as theirs, project.client(colleague) as fila:
        job = await theirs.enqueue("noop", {}, company_id=uuid.UUID(company_id))
        async with fila.live_jobs(job_ids=[job.id]) as view, fila.live_jobs(company_id=company_id) as of_company:
            await asyncio.gather(until_live(view), until_live(of_company))
            assert channels_of(fila) == 3
            await project.complete(job.id)
            async with asyncio.timeout(10):
                for one in (view, of_company):
                    while one.jobs[0].status is not JobStatus.COMPLETED:
                        await anext(one)


async def test_a_token_that_expires_is_replaced_and_nothing_is_missed(project: Project) -> None:
    user, given = await project.new_user(), list[str]()

    async def provide() -> str:
        given.append(project.token(user, seconds=3 if len(given) < 2 else 3600))
        return given[-1]

    anon = project.stack.keys.anon_key
    async with FilaViva(project.stack.api_url, anon, token_provider=provide, realtime=QUICK) as fila:
        job = await fila.enqueue("noop", {})
        watch = fila.watch(job.id)
        states = [await anext(watch)]
        async with asyncio.timeout(15), fila.live_jobs() as view:
            while len(given) < 3:
                await fila.enqueue("noop", {})
                await asyncio.sleep(0.2)
            await project.complete(job.id)
            states += [state async for state in watch]
            count = len(await project_jobs(project, user))
            while len(view.jobs) < count:
                await anext(view)
    assert states[-1].status is JobStatus.COMPLETED


async def project_jobs(project: Project, user: uuid.UUID) -> list[object]:
    return list((await project.service.from_("jobs").select("id").eq("user_id", str(user)).execute()).data)


async def test_without_a_new_token_an_expired_one_is_told_and_a_new_one_heals_the_view(project: Project) -> None:
    user, anon = await project.new_user(), project.stack.keys.anon_key
    fila = FilaViva(project.stack.api_url, anon, project.token(user, seconds=2), realtime=QUICK)
    async with fila, fila.live_jobs() as view, asyncio.timeout(30):
        await until_live(view)
        assert isinstance(await told(view), NotSignedIn)
        await fila.set_access_token(project.token(user))
        job = await fila.enqueue("noop", {})
        await until_live(view)
        while [shown.id for shown in view.jobs] != [job.id]:
            await anext(view)
        assert view.error is None


async def test_a_row_too_large_to_be_streamed_is_read(project: Project) -> None:
    run_sql(project, "insert into public.items (seq, version, body) values (1, 1, 'small')")
    async with anybody(project) as fila, Items(fila) as view, asyncio.timeout(20):
        while not view.is_live or view.is_loading:
            await anext(view)
        run_sql(project, "update public.items set version = 2, body = repeat('x', 2 << 20)")
        while len((await anext(view))[0].body) != 2 << 20:
            pass
        assert view.is_live
        assert fila._live.connection.meter.snapshot().total_connections == 1
    run_sql(project, "delete from public.items")


async def test_a_row_that_is_deleted_leaves_the_view(project: Project) -> None:
    run_sql(project, "insert into public.items (seq, version, body) select n, 1, 'x' from generate_series(1, 3) n")
    async with anybody(project) as fila, Items(fila) as view, asyncio.timeout(20):
        while not view.is_live or len(view.current) != 3:
            await anext(view)
        run_sql(project, "alter table public.items replica identity full; delete from public.items where seq = 2")
        while [item.seq for item in view.current] != [3, 1]:
            await anext(view)
    run_sql(project, "delete from public.items")


async def test_presence_and_broadcasts_survive_a_cut(project: Project) -> None:
    ann, ben = await project.new_user(), await project.new_user()
    heard: asyncio.Queue[object] = asyncio.Queue()
    async with (
        cable_to(project.stack.api_url) as cable,
        project.client(ann, cable.url) as anns,
        project.client(ben) as bens,
    ):
        hers = PrivateChannel(anns._live.rooms, "open:room")
        his = PrivateChannel(bens._live.rooms, "open:room", on_broadcast=lambda _, said: heard.put_nowait(said))
        changes: asyncio.Queue[None] = asyncio.Queue()
        his.on_presence = lambda: changes.put_nowait(None)
        async with asyncio.timeout(30), hers, his:
            await hers.track({"status": "online"})
            while his.presence.get(str(ann)) != ({"status": "online"},):
                await changes.get()
            await hers.send("hello", {"n": 1})
            assert await heard.get() == {"n": 1}
            cable.cut()
            while his.presence:
                await changes.get()
            while his.presence.get(str(ann)) != ({"status": "online"},):
                await changes.get()
            await hers.send("hello", {"n": 2})
            assert await heard.get() == {"n": 2}


async def test_a_topic_without_a_right_to_it_is_refused_and_said(project: Project) -> None:
    told = asyncio.Event()
    async with project.client() as fila:
        channel = PrivateChannel(fila._live.rooms, "closed:room")
        channel.notify = told.set
        async with channel:
            await asyncio.wait_for(told.wait(), 10)
            assert isinstance(channel.error, Forbidden)
            assert not channel.is_live
