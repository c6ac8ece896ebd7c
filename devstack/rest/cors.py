"""What browsers want to hear before they let a page call the gateway: anyone may, as with PostgREST."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devstack.rest.messages import Response, send_response

_ANYONE = (b"access-control-allow-origin", b"*")
_METHODS = b"GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD"
_EXPOSED = (
    b"Content-Encoding, Content-Location, Content-Range, Content-Type, "
    b"Date, Location, Server, Transfer-Encoding, Range-Unit"
)


class Cors:
    """An app around another one that answers preflight requests and marks every answer as open to all pages.

    Behind a gateway that does so itself it is not needed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = dict(scope.get("headers", ()))
        if scope.get("method") == "OPTIONS" and b"access-control-request-method" in headers:
            await send_response(send, _preflight(headers.get(b"access-control-request-headers", b"")), "OPTIONS")
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                marks = [_ANYONE, (b"access-control-expose-headers", _EXPOSED)]
                message = {**message, "headers": [*message["headers"], *marks]}
            await send(message)

        await self._app(scope, receive, send_marked)


def _preflight(wanted: bytes) -> Response:
    names = [name.strip() for name in wanted.split(b",") if name.strip()]
    allowed = b", ".join((b"Authorization", *names, b"Accept", b"Accept-Language", b"Content-Language"))
    headers = [
        _ANYONE,
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", allowed),
        (b"access-control-max-age", b"86400"),
    ]
    return Response(200, headers)
