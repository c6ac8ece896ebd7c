"""The outbox: what waits while the project cannot be reached arrives in order and once, and no more waits than fits."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from filaviva import EnqueuedJob, FilaViva, InvalidRequest
from filaviva.outbox import Outbox, OutboxFull
from tests.e2e.client_support import Project, pytestmark, running_project
from tests.e2e.proxy import Cable, cable_to

__all__ = ["pytestmark"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Project]:
    async with running_project(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def cable(project: Project) -> AsyncIterator[Cable]:
    async with cable_to(project.stack.api_url) as plugged:
        yield plugged


def noop(number: int) -> dict[str, Any]:
    return {"kind": "noop", "payload": {"n": number}}


async def numbers(fila: FilaViva) -> list[int]:
    """What was enqueued, in the order of the enqueue."""
    rows = await fila._rpc.select("jobs", columns="payload", where={}, order="seq", limit=1000)
    return [row["payload"]["n"] for row in rows]


async def flushed(outbox: Outbox) -> None:
    async with asyncio.timeout(30):
        await outbox.flushed()


async def test_jobs_put_in_while_the_project_is_away_arrive_in_order_when_it_is_back(
    project: Project, cable: Cable
) -> None:
    answers: list[tuple[str, EnqueuedJob]] = []
    async with project.client(url=cable.url) as fila:
        await cable.pull_out()
        async with fila.outbox(on_enqueued=lambda client_id, job: answers.append((client_id, job))) as outbox:
            ids = [outbox.put(noop(n)) for n in range(300)]
            assert len(outbox.pending) == 300
            await cable.plug_in()
            await flushed(outbox)
            assert outbox.pending == ()
        assert await numbers(fila) == list(range(300))
        assert [client_id for client_id, _ in answers] == ids
        assert not any(job.duplicate for _, job in answers)


async def test_a_job_whose_answer_was_lost_is_enqueued_once(project: Project, cable: Cable) -> None:
    async with project.client(url=cable.url) as fila, fila.outbox() as outbox:
        for n in range(20):
            outbox.put(noop(n))
            cable.cut()  # in the middle of whatever is under way
            await asyncio.sleep(0.01)
        await flushed(outbox)
        assert await numbers(fila) == list(range(20))


async def test_what_does_not_fit_is_refused_and_counted_and_what_was_taken_is_kept(
    project: Project, cable: Cable
) -> None:
    async with project.client(url=cable.url) as fila:
        await cable.pull_out()
        tracemalloc.start()
        async with fila.outbox() as outbox:
            for n in range(100_000):
                if n < 1000:
                    outbox.put(noop(n))
                else:
                    with pytest.raises(OutboxFull, match="1000 jobs"):
                        outbox.put(noop(n))
            grown, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert (len(outbox.pending), outbox.dropped) == (1000, 99_000)
            assert grown < 50e6
            await cable.plug_in()
            await flushed(outbox)
        assert await numbers(fila) == list(range(1000))


async def test_it_is_bounded_in_bytes_too(project: Project, cable: Cable) -> None:
    async with project.client(url=cable.url) as fila:
        await cable.pull_out()
        async with fila.outbox(most_bytes=10_000) as outbox:
            outbox.put({"kind": "noop", "payload": {"text": "x" * 6_000}})
            with pytest.raises(OutboxFull):
                outbox.put({"kind": "noop", "payload": {"text": "x" * 6_000}})
            outbox.put(noop(1))
            assert (len(outbox.pending), outbox.dropped) == (2, 1)


async def test_what_the_project_refuses_holds_up_nobody(project: Project) -> None:
    refused: list[tuple[int, str]] = []
    async with project.client() as fila:
        async with fila.outbox(
            on_refused=lambda item, error: refused.append((item.job["payload"]["n"], error.code))
        ) as outbox:
            for n in range(10):
                outbox.put({**noop(n), "kind": "no_such_kind" if n in (3, 7) else "noop"})
            await flushed(outbox)
        assert await numbers(fila) == [0, 1, 2, 4, 5, 6, 8, 9]
    assert refused == [(3, "unknown_kind"), (7, "unknown_kind")]


async def test_the_same_client_id_is_the_same_job(project: Project) -> None:
    async with project.client() as fila:
        for _ in range(2):
            async with fila.outbox() as outbox:
                outbox.put(noop(1), "message-7")
                await flushed(outbox)
        assert await numbers(fila) == [1]


async def test_a_callback_that_fails_loses_nothing(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    def fail(client_id: str, job: EnqueuedJob) -> None:
        raise RuntimeError("of the application's")

    async with project.client() as fila:
        async with fila.outbox(on_enqueued=fail) as outbox:
            outbox.put(noop(1))
            outbox.put(noop(2))
            await flushed(outbox)
        assert await numbers(fila) == [1, 2]
    assert "of the application's" in caplog.text


async def test_a_wrong_field_is_refused_at_once(project: Project) -> None:
    async with project.client() as fila, fila.outbox() as outbox:
        with pytest.raises(InvalidRequest, match="priority"):
            outbox.put({"kind": "noop", "priority": "high"})
        assert outbox.pending == ()
