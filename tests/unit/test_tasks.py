"""Tasks are ended for certain, even where a cancellation gets lost."""

import asyncio
import contextlib

import psycopg
import pytest

from devstack import tasks
from devstack.cron import Cron


async def test_a_task_that_loses_a_cancellation_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    monkeypatch.setattr(tasks, "_AGAIN_SECONDS", 0.01)
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await tasks.end(task)
    assert task.cancelled()


async def test_a_task_that_will_not_end_is_left_behind_and_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    monkeypatch.setattr(tasks, "_AGAIN_SECONDS", 0.01)
    task = asyncio.create_task(stubborn(), name="stubborn")
    await asyncio.sleep(0)
    await tasks.end(task)
    assert "stubborn does not end" in caplog.text
    released.set()
    await task


async def test_the_scheduler_ends_although_a_fault_swallowed_the_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def session(_: Cron) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise psycopg.OperationalError("the connection was lost at that moment") from None

    monkeypatch.setattr(tasks, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(Cron, "_session", session)
    cron = Cron("", str)
    starting = asyncio.create_task(cron.start())
    await begun.wait()
    async with asyncio.timeout(5):
        await cron.stop()
        await starting
