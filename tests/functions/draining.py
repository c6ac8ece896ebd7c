"""Calling the drain's endpoint in tests."""

from typing import Any

import httpx

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from tests.functions.conftest import CRON_SECRET
from tests.functions.scripted import AnyPayload

INTERNAL = {"Authorization": f"Bearer {CRON_SECRET}"}


async def drain(api: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await api.post("/api/queue/process", json=body or {"queues": ["work"]}, headers=INTERNAL)
    assert answer.status_code == 200, answer.text
    summary: dict[str, Any] = answer.json()
    return {name: value for name, value in summary.items() if value and name != "duration_ms"}


async def succeed(job: ClaimedJob, payload: AnyPayload, ctx: Context) -> Outcome:
    return Done({"n": job.payload.get("n")})


def tasks(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"kind": "task", "payload": {"n": n}, **more} for n in range(count)]
