"""`GET /api/jobs/{id}`: one job of the signed-in user, as it stands."""

from uuid import UUID

import functions_framework.aio
from starlette.responses import JSONResponse, Response

from filaviva.models import Job
from functions.web.endpoint import Call, endpoint
from functions.web.engine import database_as
from functions.web.errors import WebError, bad_request
from functions.web.identity import bearer


@functions_framework.aio.http
@endpoint("GET", "HEAD")
async def read_job(call: Call) -> Response:
    """The job as the library shows it; 404 when there is none that the caller may see."""
    token = bearer(call.request)
    text = call.request.url.path.rstrip("/").rpartition("/")[2]
    try:
        job_id = UUID(text)
    except ValueError:
        raise bad_request(
            "invalid_field", "The id in the address is not a uuid.", "Use the job_id that enqueue answered.", "id"
        ) from None
    job = await database_as(call.services, token).get_job(job_id)
    if job is None:
        raise WebError(
            404,
            "unknown_job",
            f"You have no job {job_id}.",
            "Check the id; finished jobs are pruned after their retention.",
        )
    return JSONResponse({name: value for name, value in job.items() if name in Job.model_fields})
