"""`POST /api/internal/process-publication`: run one publication by its id, or drain the publications."""

from typing import Any
from uuid import UUID

import functions_framework.aio
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from functions.web.bodies import check, read_object
from functions.web.endpoint import Call, endpoint
from functions.web.engine import database_as_worker
from functions.web.errors import WebError
from functions.web.identity import only_scheduler
from functions.worker.host import WorkerHost
from functions.worker.web_errors import ledger_errors

QUEUE = "publication_queue"


class ProcessRequest(BaseModel):
    """Which publication to run. `content` is accepted and ignored: the stored job has it."""

    model_config = ConfigDict(extra="forbid")

    job_id: UUID | None = None
    user_id: UUID | None = None
    platform: str | None = None
    content: Any = None


@functions_framework.aio.http
@endpoint("POST")
async def process_publication(call: Call) -> Response:
    """Process, and answer with the numbers of a drain; the work goes on when the caller does not wait."""
    only_scheduler(call.request, call.services.settings.cron_secret)
    request = check(ProcessRequest, await read_object(call.request, required=False))
    host = call.services.once(WorkerHost)
    if request.job_id is None:
        work = host.drain([QUEUE])
    else:
        await _check_identity(call, request.job_id, request)
        work = host.run_one(request.job_id)
    with ledger_errors():
        summary = await call.services.finish(work)
    return JSONResponse(summary.to_json())


async def _check_identity(call: Call, job_id: UUID, request: ProcessRequest) -> None:
    """The job must be the one that the caller means, before anything is run."""
    job = await database_as_worker(call.services).get_job(job_id)
    if job is None:
        raise WebError(404, "unknown_job", f"There is no job {job_id}.", "Check the id.", {"field": "job_id"})
    stored = {"user_id": job["user_id"], "platform": job["payload"].get("option")}
    named = {"user_id": request.user_id and str(request.user_id), "platform": request.platform}
    for field, value in named.items():
        if value is not None and value != stored[field]:
            hint = f"Send the job's own {field}, or leave it out."
            raise WebError(409, "job_mismatch", f"{field} is not that of the stored job.", hint, {"field": field})
