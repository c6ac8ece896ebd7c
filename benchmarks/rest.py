"""The engine through devstack's REST: enqueue by the thousand, and a drain by one caller, as the functions do it.

The stack runs in processes of its own; what is measured is a call of HTTP and the engine's work behind it.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from pydantic import SecretStr

from devstack.cluster import remove_cluster
from functions.worker.rest_ledger import RestLedger

JOBS = 20_000
ENQUEUE_BATCH = 1_000
DRAIN_BATCHES = (100, 500)
KIND = {"p_kind": "bench_rest", "p_settings": {"queue": "bench_rest"}}


@dataclass(frozen=True, slots=True)
class RestFigure:
    """Jobs a second through HTTP."""

    what: str
    per_second: float


def measure() -> list[RestFigure]:
    """Enqueue and drain at each batch."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            values = json.loads(_devstack("up", folder, "--detach", "--json", "--port", "0", "--db-port", "0"))
            return asyncio.run(_measure(values["API_URL"], values["SERVICE_ROLE_KEY"]))
        finally:
            _devstack("stop", folder)
            remove_cluster(folder / "data")


def as_json(figures: list[RestFigure]) -> list[dict[str, Any]]:
    """For the results file."""
    return [asdict(figure) for figure in figures]


def _devstack(verb: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "devstack", verb, "--data-dir", str(folder / "data"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"devstack {verb} failed: {done.stderr}")
    return done.stdout


async def _measure(url: str, key: str) -> list[RestFigure]:
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=f"{url}/rest/v1/", headers=headers, timeout=30) as http:
        for function, arguments in (("create_queue", {"p_name": "bench_rest"}), ("register_kind", KIND)):
            (await http.post(f"rpc/{function}", json=arguments)).raise_for_status()
        figures = []
        for batch in DRAIN_BATCHES:
            figures.append(RestFigure(f"enqueue by {ENQUEUE_BATCH}", await _enqueue(http)))
            figures.append(RestFigure(f"drain by {batch}", await _drain(RestLedger(http, SecretStr(key)), batch)))
        return figures


async def _enqueue(http: httpx.AsyncClient) -> float:
    body = {"p_jobs": [{"kind": "bench_rest", "payload": {"n": 1}}] * ENQUEUE_BATCH}
    began = time.perf_counter()
    for _ in range(JOBS // ENQUEUE_BATCH):
        (await http.post("rpc/enqueue_jobs", json=body)).raise_for_status()
    return JOBS / (time.perf_counter() - began)


async def _drain(ledger: RestLedger, batch: int) -> float:
    worker, results, drained = f"bench-{uuid4()}", list[dict[str, Any]](), 0
    began = time.perf_counter()
    while drained < JOBS or results:
        _, claimed = await ledger.settle_and_claim(results, "bench_rest", batch, worker)
        drained += len(claimed.jobs)
        results = [
            {"job_id": str(job.job_id), "claim_id": job.claim_id, "outcome": "done", "result": {}}
            for job in claimed.jobs
        ]
    return JOBS / (time.perf_counter() - began)
