"""`GET /api/health`: whether this process works and reaches a database that has the engine."""

import asyncio
from importlib.metadata import version

import functions_framework.aio
from starlette.responses import JSONResponse, Response

from functions.web.endpoint import Call, endpoint
from functions.web.errors import unavailable
from functions.worker.host import WorkerHost
from functions.worker.ledger import LedgerRefused, LedgerUnavailable

PATIENCE_SECONDS = 3


@functions_framework.aio.http
@endpoint("GET", "HEAD")
async def check_health(call: Call) -> Response:
    """200 with the version, or 503 when the database does not answer as the drain needs it."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await call.services.once(WorkerHost).ledger.due_queues()
    except (LedgerUnavailable, LedgerRefused, TimeoutError) as problem:
        call.log.error("unhealthy", problem=str(problem) or "no answer in time")
        raise unavailable("The database cannot be used.") from problem
    return JSONResponse({"status": "ok", "version": version("filaviva"), "database": "ok"})
