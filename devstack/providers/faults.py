"""Faults on order: a step of a provider can be told to fail, hang, or drop the connection.

| Mode | What the caller meets |
|---|---|
| `fail_before` | the provider's own internal error (500); nothing happened |
| `fail_after` | the step takes effect, then the same 500 |
| `hang` | the step takes effect, then `seconds` pass before its answer is sent |
| `reset` | the step takes effect, then the TCP connection is reset without an answer |
| `rate_limit` | the provider's throttling error, with `Retry-After` when `seconds` is given; nothing happened |
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

ABORT_EXTENSION = "devstack.abort"
"""The ASGI extension of `devstack.providers.server`: its `abort()` resets the request's connection."""

Endpoint = Callable[[Request], Awaitable[Response]]


class Fault(BaseModel):
    """The body of `PUT /_faults`: the next `times` calls of one step meet this."""

    model_config = ConfigDict(extra="forbid")

    provider: str
    step: str
    mode: Literal["fail_before", "fail_after", "hang", "reset", "rate_limit"]
    times: int = Field(default=1, ge=1)
    seconds: float = Field(default=0, ge=0)


class Dialect(Protocol):
    """How one provider words the errors that any step can meet."""

    name: ClassVar[str]

    def server_error(self) -> Response:
        """The answer of a provider that broke."""

    def rate_limited(self) -> Response:
        """The answer of a provider that was asked too often."""


@dataclass(slots=True)
class Faults:
    """The faults that are still to be met, by provider and step."""

    waiting: dict[tuple[str, str], Fault] = field(default_factory=dict)

    def put(self, fault: Fault) -> None:
        """Order a fault; it replaces an earlier one for the same step."""
        self.waiting[fault.provider, fault.step] = fault

    def take(self, provider: str, step: str) -> Fault | None:
        """The fault this call must meet, counted down; None when there is none."""
        fault = self.waiting.get((provider, step))
        if fault is None:
            return None
        fault.times -= 1
        if fault.times == 0:
            del self.waiting[provider, step]
        return fault

    async def meet(self, dialect: Dialect, step: str, request: Request, act: Endpoint) -> Response:
        """Run one step of a provider under the fault that was ordered for it, if any."""
        fault = self.take(dialect.name, step)
        if fault is None:
            return await act(request)
        if fault.mode == "fail_before":
            return dialect.server_error()
        if fault.mode == "rate_limit":
            return _with_retry_after(dialect.rate_limited(), fault.seconds)
        response = await act(request)
        if fault.mode == "fail_after":
            return dialect.server_error()
        return ConnectionReset() if fault.mode == "reset" else LateResponse(response, fault.seconds)


class ConnectionReset(Response):
    """Not an answer: resets the TCP connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Abort the connection, then wait until the server has seen it go."""
        extension = scope.get("extensions", {}).get(ABORT_EXTENSION)
        if extension is None:
            raise RuntimeError("only the server of devstack.providers.server can reset a connection")
        extension["abort"]()
        await _until_disconnected(receive)


class LateResponse(Response):
    """Another response, sent after a pause; dropped when the caller hangs up first."""

    def __init__(self, response: Response, seconds: float) -> None:
        super().__init__()
        self.response = response
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then answer if anybody still listens."""
        try:
            await asyncio.wait_for(_until_disconnected(receive), self.seconds)
        except TimeoutError:
            await self.response(scope, receive, send)


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _with_retry_after(response: Response, seconds: float) -> Response:
    if seconds:
        response.headers["Retry-After"] = f"{seconds:g}"
    return response
