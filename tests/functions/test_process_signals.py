"""The real server process: SIGTERM in the middle of a drain loses nothing, and the process leaves."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from devstack.cluster import free_port
from tests.conftest import REPOSITORY
from tests.functions.conftest import CRON_SECRET, Project, wait_until

HANDLERS = textwrap.dedent(
    """
    import asyncio, sys
    from pydantic import BaseModel, ConfigDict
    from functions.jobs.outcomes import Done
    from functions.jobs.registry import handler

    class Seconds(BaseModel):
        seconds: float

    @handler("task", payload=Seconds)
    async def task(job, payload, ctx):
        await asyncio.sleep(payload.seconds)
        return Done()
    """
)
SERVERS = {
    "python -m functions": "from functions.__main__ import main; main()",
    "functions-framework": "from functions_framework._cli import _cli; _cli()",
}


@contextmanager
def serving(
    project: Project, how: str, folder: Path, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server process that knows the kind `task`."""
    script, port = folder / "serve.py", free_port()
    script.write_text(HANDLERS + SERVERS[how])
    arguments = ["--port", str(port), "--host", "127.0.0.1"]
    if how == "functions-framework":
        arguments += ["--asgi", "--target", "drain_queue", "--source", str(REPOSITORY / "functions/drain_queue.py")]
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "SUPABASE_URL": project.url,
            "SUPABASE_ANON_KEY": project.keys.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": project.keys.service_role_key,
            "CRON_SECRET": CRON_SECRET,
            "FILAVIVA_DRAIN_LINGER_SECONDS": "0.2",
            **environment,
        },
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process, port
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def call_drain(port: int) -> httpx.Response | None:
    """Ask for a drain; None when the process is gone before it answered."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        for _ in range(200):
            try:
                return await client.post(
                    f"http://127.0.0.1:{port}/api/queue/process",
                    json={"queues": ["work"]},
                    headers={"Authorization": f"Bearer {CRON_SECRET}"},
                )
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
            except httpx.TransportError:
                return None
    return None


def enqueue(project: Project, *seconds: float) -> list[str]:
    project.call("create_queue", "work", {})
    project.call("register_kind", "task", {"queue": "work"})
    return project.enqueue(*[{"kind": "task", "payload": {"seconds": number}} for number in seconds])


def statuses(project: Project) -> list[str]:
    return [row["status"] for row in project.jobs()]


async def leaves(process: subprocess.Popen[bytes], seconds: float) -> None:
    await asyncio.wait_for(asyncio.to_thread(process.wait), seconds)


@pytest.mark.parametrize("how", SERVERS)
async def test_sigterm_lets_short_jobs_finish_and_hands_back_long_ones(
    project: Project, tmp_path: Path, how: str
) -> None:
    enqueue(project, 0.8, 60, 60)
    with serving(project, how, tmp_path, FILAVIVA_SHUTDOWN_GRACE_SECONDS="1.5") as (process, port):
        draining = asyncio.create_task(call_drain(port))
        await wait_until(lambda: statuses(project) == ["processing"] * 3, 20)
        process.send_signal(signal.SIGTERM)
        await leaves(process, 15)
        answer = await draining
    assert statuses(project) == ["completed", "pending", "pending"]
    assert [row["attempt"] for row in project.jobs()] == [1, 0, 0]
    assert answer is not None and answer.json()["released"] == 2


async def test_sigterm_without_work_ends_the_process_at_once(project: Project, tmp_path: Path) -> None:
    enqueue(project, 0)
    with serving(project, "python -m functions", tmp_path) as (process, port):
        answer = await call_drain(port)
        assert answer is not None and answer.json()["completed"] == 1
        process.send_signal(signal.SIGTERM)
        await leaves(process, 5)
