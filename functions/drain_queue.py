"""`GET, POST /api/queue/process`: drain the queues that have work. For pg_net, Vercel cron and any other scheduler."""

from typing import Annotated

import functions_framework.aio
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from functions.web.bodies import check, read_object
from functions.web.endpoint import Call, endpoint
from functions.web.identity import only_scheduler
from functions.worker.host import WorkerHost
from functions.worker.web_errors import ledger_errors

QueueName = Annotated[str, Field(min_length=1, max_length=63)]


class DrainRequest(BaseModel):
    """Which queues to drain; without `queues` every one that has work."""

    model_config = ConfigDict(extra="forbid")

    queues: Annotated[list[QueueName], Field(max_length=100)] | None = None


@functions_framework.aio.http
@endpoint("GET", "POST")
async def drain_queue(call: Call) -> Response:
    """Drain, and answer with the numbers; the work goes on when the caller does not wait for them."""
    only_scheduler(call.request, call.services.settings.cron_secret)
    request = check(DrainRequest, await read_object(call.request, required=False))
    host = call.services.once(WorkerHost)
    with ledger_errors():
        summary = await call.services.finish(host.drain(request.queues))
    call.log.info("drained", **summary.to_json())
    return JSONResponse(summary.to_json())
