"""The kind `canary`: does nothing but say when it ran, to measure the road from enqueue to here."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, Outcome
from functions.jobs.registry import handler


class Canary(BaseModel):
    """A canary carries nothing."""

    model_config = ConfigDict(extra="forbid")


@handler("canary", payload=Canary)
async def run_canary(job: ClaimedJob, payload: Canary, ctx: Context) -> Outcome:
    """Answer at once with the worker's own time."""
    return Done({"handler_started_at": datetime.now(UTC).isoformat()})
