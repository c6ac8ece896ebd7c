"""What a live view costs: from an enqueue to its event at a client, and a view over ten thousand jobs.

The stack runs in a process of its own; this one enqueues, and looks.
"""

import asyncio
import contextlib
import gc
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from unittest import mock
from uuid import UUID

import httpx

from benchmarks.devstack import Figure
from devstack.cluster import remove_cluster
from filaviva import FilaViva
from filaviva.live.jobs import LiveJobs
from filaviva.realtime.socket import Socket

PER_SECOND = 50
JOBS = 1_000
LONG = 10_000
CHANGES = 50
BATCH = 1_000
MEGABYTE = 1 << 20
KIND = {"p_kind": "bench_live", "p_settings": {"queue": "bench_live"}}


def measure() -> list[Figure]:
    """Every figure beside its limit."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            values = json.loads(_devstack("up", folder, "--detach", "--json", "--port", "0", "--db-port", "0"))
            return asyncio.run(_measure(values["API_URL"], values["ANON_KEY"], values["SERVICE_ROLE_KEY"]))
        finally:
            _devstack("stop", folder)
            remove_cluster(folder / "data")


def _devstack(verb: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "devstack", verb, "--data-dir", str(folder / "data"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"devstack {verb} failed: {done.stderr}")
    return done.stdout


class Bench:
    """A signed-in user who looks, and the service key that enqueues and works for them.

    Users may call enqueue a thousand times a minute, which is fewer than this needs.
    """

    def __init__(self, http: httpx.AsyncClient, user: UUID, looking: FilaViva, service: FilaViva) -> None:
        self.http = http
        self.user = user
        self.looking = looking
        self.service = service

    async def call(self, function: str, **parameters: Any) -> Any:
        """One of the engine's functions, as the service role."""
        answer = await self.http.post(f"/rest/v1/rpc/{function}", json=parameters)
        return answer.raise_for_status().json() if answer.content else None

    def job(self, number: int) -> dict[str, Any]:
        """A job of the user's, of an ordinary size."""
        payload = {"option": "tiktok_video", "platform": "tiktok", "caption": "c" * 100, "n": number}
        return {"kind": "bench_live", "payload": payload, "user_id": self.user}


@contextlib.asynccontextmanager
async def _bench(url: str, anon: str, key: str) -> AsyncIterator[Bench]:
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as http:
        body = {"email": f"{uuid.uuid4()}@example.test", "password": "long-enough-1"}
        session = (await http.post("/auth/v1/signup", json=body)).raise_for_status().json()
        token, user = session["access_token"], UUID(session["user"]["id"])
        async with FilaViva(url, anon, access_token=token) as looking, FilaViva(url, key) as service:
            bench = Bench(http, user, looking, service)
            await bench.call("create_queue", p_name="bench_live")
            await bench.call("register_kind", **KIND)
            yield bench


async def _measure(url: str, anon: str, key: str) -> list[Figure]:
    async with _bench(url, anon, key) as bench:
        return [*await _enqueue_to_event(bench), *await _long_view(bench)]


async def _enqueue_to_event(bench: Bench) -> list[Figure]:
    """From the call of enqueue to the snapshot that shows the job, at a steady rate."""
    called: dict[UUID, float] = {}
    seen: dict[UUID, float] = {}

    async def enqueue(number: int) -> None:
        began = time.perf_counter()
        job = bench.job(number)
        called[(await bench.service.enqueue(job.pop("kind"), job.pop("payload"), **job)).id] = began

    async def look(view: LiveJobs) -> None:
        async for jobs in view:
            now = time.perf_counter()
            for job in jobs:
                seen.setdefault(job.id, now)
            if len(seen) == JOBS:
                return

    async with bench.looking.live_jobs() as view:
        await _until_live(view, 0)
        looking = asyncio.create_task(look(view))
        began, sending = time.perf_counter(), []
        for number in range(JOBS):
            await asyncio.sleep(began + number / PER_SECOND - time.perf_counter())
            sending.append(asyncio.create_task(enqueue(number)))
        await asyncio.gather(*sending)
        await asyncio.wait_for(looking, 30)
    late = [1000 * (seen[job_id] - at) for job_id, at in called.items()]
    return [
        Figure(f"enqueue to live event at {PER_SECOND} jobs/s, p50", median(late), "ms", 100),
        Figure(f"enqueue to live event at {PER_SECOND} jobs/s, p99", quantiles(late, n=100)[98], "ms", 300),
    ]


async def _long_view(bench: Bench) -> list[Figure]:
    """Memory of a view over many jobs, and how long after a change it shows it."""
    for start in range(JOBS, LONG, BATCH):
        await bench.service.enqueue_many(bench.job(number) for number in range(start, start + BATCH))
    claim = {"p_queue": "bench_live", "p_limit": CHANGES, "p_worker_id": "bench", "p_request_id": str(uuid.uuid4())}
    claimed = (await bench.call("claim_jobs", **claim))["jobs"]
    gc.collect()
    tracemalloc.start()
    async with bench.looking.live_jobs(limit=LONG) as view:
        await _until_live(view, LONG)
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0] / MEGABYTE
        tracemalloc.stop()
        changes = [await _change(bench, view, job) for job in claimed]
    whole, own = (1000 * quantiles(times, n=20)[18] for times in zip(*changes, strict=True))
    return [
        Figure(f"memory of a view over {LONG:,} jobs", memory, "MB", 50),
        Figure(f"its repaint after a frame's arrival, p95 of {len(changes)}", own, "ms", 100),
        Figure("its repaint after the call that changed a job, p95", whole, "ms", 100),
    ]


async def _change(bench: Bench, view: LiveJobs, job: dict[str, Any]) -> tuple[float, float]:
    """Seconds from the call that changes the job, and from the arrival of its frame, to the snapshot."""
    with _noting_arrivals() as arrived:
        began = time.perf_counter()
        lease = {"job_id": job["job_id"], "claim_id": job["claim_id"], "progress": 50}
        calling = asyncio.create_task(bench.call("extend_leases", p_leases=[lease]))
        async for _ in view:
            if (shown := view.get(job["job_id"])) is not None and shown.progress == 50:
                break
        now = time.perf_counter()
        await calling
    return now - began, now - arrived[-1]


@contextlib.contextmanager
def _noting_arrivals() -> Iterator[list[float]]:
    """When frames that tell of changes arrive."""
    arrived: list[float] = []
    take = Socket._take

    def note(socket: Socket, text: str | bytes) -> None:
        if '"postgres_changes"' in str(text):
            arrived.append(time.perf_counter())
        take(socket, text)

    with mock.patch.object(Socket, "_take", note):
        yield arrived


async def _until_live(view: LiveJobs, jobs: int) -> None:
    async with asyncio.timeout(60):
        async for snapshot in view:
            if view.is_live and len(snapshot) == jobs:
                return


def as_json(figures: list[Figure]) -> list[dict[str, Any]]:
    """For the results file."""
    return [
        {"name": figure.name, "value": figure.value, "unit": figure.unit, "limit": figure.limit} for figure in figures
    ]
