"""One HTTP request and one response, as the gateway sees them between ASGI and SQL."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from starlette.types import Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

JSON_TYPE = b"application/json; charset=utf-8"


class BodyTooLargeError(Exception):
    """The request's body is above the limit."""


class DisconnectedError(Exception):
    """The client went away before its request was complete."""


@dataclass(frozen=True)
class Request:
    """A complete request.

    Attributes:
        method: upper case.
        path: decoded, below the mount point: `/rpc/f`, not `/rest/v1/rpc/f`.
        query: the query string as it came.
        raw_headers: as ASGI gives them, names in lower case.
        body: all of it.
    """

    method: str
    path: str
    query: bytes
    raw_headers: Iterable[tuple[bytes, bytes]]
    body: bytes

    @cached_property
    def headers(self) -> dict[str, str]:
        """Headers by lower-case name; of one that is repeated, the last."""
        return {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in self.raw_headers}

    def all_of(self, name: bytes) -> list[str]:
        """Every value of a header that may be repeated."""
        return [value.decode("latin-1") for key, value in self.raw_headers if key == name]


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response, but for the length of its body."""

    status: int
    headers: Headers
    body: bytes = b""


async def read_request(scope: Scope, receive: Receive, max_body: int) -> Request:
    """The whole request behind an ASGI scope.

    Raises:
        BodyTooLargeError: more than `max_body` bytes came.
        DisconnectedError: the client hung up.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return Request(
        method=scope["method"],
        path=path.removeprefix(root) or "/",
        query=scope["query_string"],
        raw_headers=scope["headers"],
        body=await _read_body(receive, max_body),
    )


async def _read_body(receive: Receive, max_body: int) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_body:
            raise BodyTooLargeError
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def send_response(send: Send, response: Response, method: str) -> None:
    """Send `response`. HEAD and 204 carry neither body nor length."""
    headers, body = response.headers, response.body
    if method == "HEAD" or response.status in (204, 304):
        body = b""
    else:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
