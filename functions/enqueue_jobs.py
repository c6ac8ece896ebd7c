"""`POST /api/jobs`: enqueue one job or many for the signed-in user."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import functions_framework.aio
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from functions.jobs import registry
from functions.web.bodies import check, idempotency_key, read_object
from functions.web.endpoint import Call, endpoint
from functions.web.engine import database_as, job_errors
from functions.web.errors import bad_request
from functions.web.identity import bearer
from functions.worker.host import WorkerHost


def _moment(text: str) -> str:
    """Refuse what PostgreSQL would read in its own way, such as `tomorrow`, or in a time zone nobody named."""
    try:
        aware = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise ValueError("must be an ISO 8601 time with a time zone, such as 2027-01-31T12:00:00Z")
    return text


class JobRequest(BaseModel):
    """One job as a caller asks for it; the engine checks the values, this only the form."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    queue: str | None = None
    payload: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    priority: Annotated[int, Field(strict=True, ge=0, le=10)] = 0
    group_key: str | None = None
    idempotency_key: str | None = None
    correlation_id: str | None = None
    scheduled_at: Annotated[str, AfterValidator(_moment)] | None = None
    expires_at: Annotated[str, AfterValidator(_moment)] | None = None
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    company_id: UUID | None = None
    instance_id: str | None = None
    user_id: UUID | None = None
    """May repeat whose token it is; the engine refuses another."""


class JobsRequest(BaseModel):
    """Many jobs, enqueued all or not at all."""

    model_config = ConfigDict(extra="forbid")

    jobs: Annotated[list[JobRequest], Field(min_length=1, max_length=10_000)]


@functions_framework.aio.http
@endpoint("POST")
async def enqueue_jobs(call: Call) -> Response:
    """Enqueue; answers 202 with one `{job_id, status, duplicate}` a job, in the order of the request.

    The header `Idempotency-Key` becomes the job's key, or `key:<index>` for each job of a list.
    """
    token = bearer(call.request)
    body = await read_object(call.request)
    many = "jobs" in body
    requests = check(JobsRequest, body).jobs if many else [check(JobRequest, body)]
    for index, request in enumerate(requests):
        _check_payload(request, f"jobs.{index}.payload" if many else "payload")
    jobs = [request.model_dump(mode="json", exclude_unset=True) for request in requests]
    _key_all(jobs, idempotency_key(call.request), many=many)

    with job_errors(many=many):
        enqueued = await database_as(call.services, token).enqueue_jobs(jobs)
    call.services.once(WorkerHost).look()
    call.log.info("jobs enqueued", count=len(enqueued), job_ids=[job["job_id"] for job in enqueued[:20]])
    answer = [{name: job[name] for name in ("job_id", "status", "duplicate")} for job in enqueued]
    return JSONResponse({"jobs": answer}, 202)


def _check_payload(request: JobRequest, place: str) -> None:
    """A payload that its handler would reject is refused now, while its sender can still mend it."""
    registry.load()
    registration = registry.find(request.kind)
    if registration is not None:
        check(registration.payload, request.payload, place)


def _key_all(jobs: list[dict[str, Any]], key: str | None, *, many: bool) -> None:
    if key is None:
        return
    for index, job in enumerate(jobs):
        if "idempotency_key" in job:
            raise bad_request(
                "invalid_field",
                "The idempotency key is given twice: by the header and by the job.",
                "Send the header Idempotency-Key or the field idempotency_key, not both.",
                f"jobs.{index}.idempotency_key" if many else "idempotency_key",
            )
        job["idempotency_key"] = f"{key}:{index}" if many else key
