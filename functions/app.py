"""Every endpoint under one ASGI application: what Vercel loads, and what runs locally and in a container."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from functions.check_health import check_health
from functions.complete_connection import complete_connection
from functions.connect_account import connect_account
from functions.disconnect_account import disconnect_account
from functions.drain_queue import drain_queue
from functions.enqueue_jobs import enqueue_jobs
from functions.enqueue_publications import enqueue_publications
from functions.list_accounts import list_accounts
from functions.process_publication import process_publication
from functions.read_job import read_job
from functions.settings import Settings
from functions.sign_uploads import sign_uploads
from functions.web.endpoint import unknown_path, wrong_method
from functions.web.services import Services

ENDPOINTS: dict[str, Any] = {  # the framework's decorator forgets that they are `Endpoint`s
    "/api/jobs": enqueue_jobs,
    "/api/jobs/{id}": read_job,
    "/api/media/uploads": sign_uploads,
    "/api/publications/enqueue": enqueue_publications,
    "/api/accounts": list_accounts,
    "/api/accounts/{id}": disconnect_account,
    "/api/accounts/{platform}/connect": connect_account,
    "/api/accounts/{platform}/callback": complete_connection,
    "/api/internal/process-publication": process_publication,
    "/api/queue/process": drain_queue,
    "/api/health": check_health,
}


def create_app(settings: Settings, log: structlog.stdlib.BoundLogger | None = None) -> Starlette:
    """The application with its own connections; its lifespan stops drains gracefully and closes them.

    Args:
        settings: the configuration, already checked.
        log: where structured events go; standard output by default.
    """
    services = Services(settings, log)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        services.stop_on_signals()
        try:
            yield
        finally:
            await services.close()

    application = Starlette(
        routes=[Route(path, answer, methods=list(answer.methods)) for path, answer in ENDPOINTS.items()],
        exception_handlers={404: unknown_path, 405: wrong_method},
        lifespan=lifespan,
    )
    application.router.redirect_slashes = False  # a redirect would drop the body or the token of many callers
    application.state.services = services
    return application


class OnFirstUse:
    """The application, made from the environment when it is first called: importing this module reads nothing."""

    def __init__(self) -> None:
        self._application: Starlette | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as ASGI."""
        if self._application is None:
            self._application = create_app(Settings.from_environ(os.environ))
        await self._application(scope, receive, send)


app = OnFirstUse()
