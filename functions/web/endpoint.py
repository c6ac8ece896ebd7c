"""The frame around every endpoint: request id in and out, one log line, and every error in the one shape."""

import functools
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from filaviva.errors import FilaVivaError
from functions.settings import SettingsError
from functions.web import errors
from functions.web.engine import from_engine, quotes_cut
from functions.web.errors import WebError, shown
from functions.web.logs import get_logger
from functions.web.services import Services, services_of

_REQUEST_ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """What an endpoint gets: the request, what the process shares, and a log that knows the request id."""

    request: Request
    services: Services
    request_id: str
    log: structlog.stdlib.BoundLogger


Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(*methods: str) -> Callable[[Callable[[Call], Awaitable[Response]]], Endpoint]:
    """Make of a coroutine that takes a `Call` one that takes a request and never raises.

    Args:
        methods: those it answers, such as ``"POST"``; another is a 405, HEAD too unless it is named.
            They are kept as its attribute `methods`.
    """

    def wrap(function: Callable[[Call], Awaitable[Response]]) -> Endpoint:
        @functools.wraps(function)
        async def answer(request: Request) -> Response:
            return await _answer(request, function, methods)

        answer.methods = methods  # type: ignore[attr-defined]
        return answer

    return wrap


async def unknown_path(request: Request, _: Exception) -> Response:
    """The application's answer where no route fits."""
    problem = WebError(
        404, "not_found", f"There is nothing at {request.url.path[:200]}.", "Check the address; the API is under /api."
    )
    return _with_id(problem.response(), _request_id(request))


async def wrong_method(request: Request, error: Exception) -> Response:
    """The application's answer where a route fits, but not with this method."""
    allowed = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    return _with_id(_wrong_method(request, allowed).response(), _request_id(request))


async def _answer(
    request: Request, function: Callable[[Call], Awaitable[Response]], methods: tuple[str, ...]
) -> Response:
    started = time.monotonic()
    request_id = _request_id(request)
    try:
        services = services_of(request)
    except SettingsError as problem:
        return _with_id(_not_configured(problem), request_id)
    log = services.log.bind(request_id=request_id, method=request.method[:20], path=shown(request.url.path))
    try:
        if request.method in methods:
            response = await _respond(Call(request, services, request_id, log), function)
        else:
            response = _wrong_method(request, ", ".join(methods)).response()
    except Exception:
        log.exception("request failed")
        response = errors.internal(request_id).response()
    log.info("request", status=response.status_code, duration_ms=round((time.monotonic() - started) * 1000))
    return _with_id(response, request_id)


async def _respond(call: Call, function: Callable[[Call], Awaitable[Response]]) -> Response:
    try:
        return await function(call)
    except WebError as problem:
        return problem.response()
    except FilaVivaError as problem:
        message = quotes_cut(problem.message)
        call.log.warning("the database refused", code=problem.code, status=problem.status, problem=message)
        return from_engine(problem).response()


def _request_id(request: Request) -> str:
    """The caller's own id where it is harmless to repeat, else a new one."""
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid4())


def _with_id(response: Response, request_id: str) -> Response:
    response.headers["X-Request-Id"] = request_id
    return response


def _not_configured(problem: SettingsError) -> Response:
    get_logger().error("the functions are not configured", problem=str(problem))
    hint = "Tell the operator: the log names the variables."
    return WebError(500, "not_configured", "The server is not configured.", hint).response()


def _wrong_method(request: Request, allowed: str) -> WebError:
    return WebError(
        405,
        "method_not_allowed",
        f"{request.method[:20]} is not possible here.",
        f"Use {allowed}.",
        headers={"Allow": allowed},
    )
