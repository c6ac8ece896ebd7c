"""One request of pg_net: sent as libcurl sends it, and its outcome in libcurl's words."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

VERSION = "0.20.4"
USER_AGENT = f"pg_net/{VERSION}"
MAX_REDIRECTS = 30
MAX_RESENDS = 5
"""How many kept connections may turn out dead before libcurl gives up."""

FORM = "application/x-www-form-urlencoded"  # libcurl's own choice for a body without a type

_WORDS: dict[type[Exception], str] = {
    UnicodeError: "Couldn't resolve host name",  # a label of the name is empty or too long
    httpx.UnsupportedProtocol: "Unsupported protocol",
    httpx.InvalidURL: "URL using bad/illegal format or missing URL",
    httpx.TooManyRedirects: "Number of redirects hit maximum amount",
    httpx.WriteError: "Failed sending data to the peer",
    httpx.ReadError: "Failure when receiving data from the peer",
    httpx.LocalProtocolError: "A libcurl function was given a bad argument",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A row of `net.http_request_queue`; `timeout_milliseconds` covers everything, 0 or less is no limit."""

    id: int
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    timeout_milliseconds: int


@dataclass(frozen=True, slots=True)
class Response:
    """The columns of `net._http_response` that the exchange decides."""

    status_code: int | None = None
    content_type: str | None = None
    headers: dict[str, str] | None = None
    content: str | None = None
    timed_out: bool = False
    error_msg: str | None = None


def make_client() -> httpx.AsyncClient:
    """A client with one pool of kept connections, no cookies and no proxy."""
    return httpx.AsyncClient(
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=True,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=118),
        max_redirects=MAX_REDIRECTS,
        timeout=None,  # noqa: S113 - every request has a limit of its own
        trust_env=False,
    )


async def send(client: httpx.AsyncClient, request: Request) -> Response:
    """Send `request`. Every failure of the network or of the other side is an answer, not an exception."""
    progress = _Progress()
    limit = request.timeout_milliseconds
    try:
        async with asyncio.timeout(limit / 1000 if limit > 0 else None):
            return await _exchange(client, request, progress)
    except TimeoutError:
        return Response(timed_out=True, error_msg=progress.timeout_message(limit))
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        return Response(error_msg=_reason(error, progress))


@dataclass(slots=True)
class _Progress:
    """What a request has come through, told by httpcore's trace."""

    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    moments: dict[str, float] = field(default_factory=dict)

    async def trace(self, event: str, _info: dict[str, Any]) -> None:
        """Note when `event`, such as ``connection.connect_tcp.started``, happened."""
        self.moments[event] = asyncio.get_running_loop().time()

    def forget(self) -> None:
        """Begin anew, for a further try of the same request."""
        self.moments.clear()

    def has(self, event: str) -> bool:
        """Whether `event` has begun."""
        return f"{event}.started" in self.moments

    def timeout_message(self, limit: int) -> str:
        """Where the time went. The resolver's share is not known apart, and counts as handshake."""
        total = asyncio.get_running_loop().time() - self.began
        sent = self.moments.get("http11.send_request_headers.started")
        handshake = total if sent is None else sent - self.moments.get("connection.connect_tcp.started", sent)
        exchange = 0 if sent is None else total - (sent - self.began)
        return (
            f"Timeout of {limit} ms reached. Total time: {total * 1000:f} ms (DNS time: {0:f} ms, "
            f"TCP/SSL handshake time: {handshake * 1000:f} ms, HTTP Request/Response time: {exchange * 1000:f} ms)"
        )


async def _exchange(client: httpx.AsyncClient, request: Request, progress: _Progress) -> Response:
    response = await _first_answer(client, request, progress)
    try:
        body = b"".join([chunk async for chunk in response.aiter_raw()])
    finally:
        await response.aclose()
    first = response.history[0] if response.history else response
    return Response(
        status_code=response.status_code,
        content_type=response.headers.get("content-type"),
        headers={_text(name): _text(value) for name, value in first.headers.raw},  # pg_net keeps those of the first hop
        content=_text(body) or None,
    )


async def _first_answer(client: httpx.AsyncClient, request: Request, progress: _Progress) -> httpx.Response:
    """Send, and send again where a kept connection turns out to be dead: the server may see the request six times."""
    for _ in range(1 + MAX_RESENDS):
        progress.forget()
        try:
            return await client.send(_build(request, progress), stream=True)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if progress.has("connection.connect_tcp"):
                raise
    raise httpx.WriteError("every kept connection was dead")


def _build(request: Request, progress: _Progress) -> httpx.Request:
    method = request.method.upper()
    headers = [(name.encode(), value.encode()) for name, value in request.headers.items() if value.strip()]
    headers.append((b"User-Agent", USER_AGENT.encode()))
    given = {name.lower() for name, _ in headers}
    if b"accept" not in given:
        headers.append((b"Accept", b"*/*"))
    if b"content-type" not in given and (request.body is not None or method == "POST"):
        headers.append((b"Content-Type", FORM.encode()))
    body = None if request.body is None else _until_nul(request.body)
    return httpx.Request(method, request.url, headers=headers, content=body, extensions={"trace": progress.trace})


def _until_nul(data: bytes) -> bytes:
    """What is left of `data` where it passes through C strings."""
    return data.partition(b"\0")[0]


def _text(data: bytes) -> str:
    return _until_nul(data).decode(errors="replace")


def _reason(error: Exception, progress: _Progress) -> str:
    if isinstance(error, httpx.ConnectError):
        return _why_no_connection(error, progress)
    if isinstance(error, httpx.RemoteProtocolError):
        return _why_no_answer(error)
    return next((words for kind, words in _WORDS.items() if isinstance(error, kind)), str(error))


def _why_no_connection(error: Exception, progress: _Progress) -> str:
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "Couldn't resolve host name"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "SSL peer certificate or SSH remote key was not OK"
    return "SSL connect error" if progress.has("connection.start_tls") else "Couldn't connect to server"


def _why_no_answer(error: Exception) -> str:
    words = str(error)
    if "without sending a response" in words:
        return "Server returned nothing (no headers, no data)"
    if "without sending complete message body" in words:
        return "Transferred a partial file"
    return "Weird server reply"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
