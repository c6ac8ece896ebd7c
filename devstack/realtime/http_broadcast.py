"""Broadcast over HTTP: for those who only want to say something, without a socket."""

from collections.abc import Coroutine, Mapping
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.realtime.broadcasts import UserBroadcast
from devstack.realtime.frames import parse_json
from devstack.realtime.limits import Rates
from devstack.realtime.policies import BROADCAST, AccessError, Policies, own_headers
from devstack.realtime.settings import RealtimeSettings
from devstack.realtime.tokens import Identity, TokenError, read_token
from devstack.realtime.topics import Room, Topics

_PATH = "/api/broadcast"
_MOST_BODY_BYTES = 8_000_000
_BLANK, _INVALID, _TOO_LARGE = ["can't be blank"], ["is invalid"], ["Payload size exceeds tenant limit"]
_KINDS: Mapping[str, type] = {"topic": str, "event": str, "payload": dict}
_BYTES, _JSON = "application/octet-stream", "application/json"


class _RefusedError(Exception):
    """A request is answered with an error and broadcasts nothing."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(status)
        self.response = JSONResponse(content, status_code=status)


class HttpBroadcast:
    """The two paths: a batch of messages, or one whose topic and event stand in the path."""

    def __init__(self, settings: RealtimeSettings, topics: Topics, policies: Policies, rates: Rates) -> None:
        """Broadcast in `topics`, in private ones as far as `policies` allow."""
        self._jwt_secret = settings.jwt_secret
        self._most_bytes = settings.limits.broadcast_bytes
        self._limit = settings.limits.messages_per_second
        self._rates = rates
        self._topics = topics
        self._policies = policies

    def routes(self) -> list[Route]:
        """The routes to serve."""
        return [
            Route(_PATH, self._answer_batch, methods=["POST"]),
            Route(_PATH + "/{rest:path}", self._answer_single, methods=["POST"]),
        ]

    async def _answer_batch(self, request: Request) -> Response:
        return await self._answered(self._batch(request))

    async def _answer_single(self, request: Request) -> Response:
        return await self._answered(self._single(request))

    async def _answered(self, doing: Coroutine[Any, Any, None]) -> Response:
        try:
            await doing
            response = Response(status_code=202)
        except _RefusedError as error:
            response = error.response
        response.headers.update(self._rate_headers())
        return response

    def _rate_headers(self) -> dict[str, str]:
        """How near the sender is to the limit, if there is one."""
        if self._limit is None:
            return {}
        average = self._rates.messages.average()
        return {
            "x-rate-rolling": f"{average:.2f}",
            "x-rate-limit": str(self._limit),
            "x-rate-limit-remaining": f"{max(self._limit - average, 0):.2f}",
        }

    async def _batch(self, request: Request) -> None:
        """Send every message; private ones that the sender may not write are skipped without a word."""
        identity = self._identity(request)
        self._check_rate(1, "You have exceeded your rate limit")
        messages = _messages(_parsed(await _body(request)), self._most_bytes)
        self._check_rate(len(messages), "Too many messages to broadcast, please reduce the batch size")
        for message in messages:
            room = Room(message["topic"], message.get("private") in (True, "true"))
            if await self._may_write(request, room, identity):
                content = {"event": message["event"], "payload": message["payload"], "type": "broadcast"}
                self._topics.broadcast(room, orjson.Fragment(orjson.dumps(content)), None)

    async def _single(self, request: Request) -> None:
        identity = self._identity(request)
        self._check_rate(1, "Too many requests")
        topic, event = _named_in(request)
        room = Room(topic, request.query_params.get("private") == "true")
        broadcast = _broadcast(event, request.headers.get("content-type"), await _body(request), self._most_bytes)
        if not await self._may_write(request, room, identity):
            raise _RefusedError(403, {"message": "Unauthorized"})
        self._topics.broadcast(room, broadcast, None)

    def _check_rate(self, messages: int, message: str) -> None:
        if not self._rates.messages.has_room_for(messages):
            raise _RefusedError(429, {"message": message})

    def _identity(self, request: Request) -> Identity:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            return read_token(
                token if scheme.lower() == "bearer" else request.headers.get("apikey", ""), self._jwt_secret
            )
        except TokenError as error:
            raise _RefusedError(401, {"message": "Unauthorized"}) from error

    async def _may_write(self, request: Request, room: Room, identity: Identity) -> bool:
        if not room.private:
            return True
        try:
            return await self._policies.may_write(room.name, BROADCAST, identity, own_headers(request.headers))
        except AccessError as error:
            raise _RefusedError(503, {"message": str(error)}) from error


async def _body(request: Request) -> bytes:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > _MOST_BODY_BYTES:
            raise _RefusedError(413, {"error": f"Request body is larger than {_MOST_BODY_BYTES} bytes"})
    return bytes(data)


def _parsed(body: bytes) -> Any:
    try:
        return parse_json(body or b"{}")
    except ValueError as error:
        raise _RefusedError(400, {"error": "The body is not valid JSON, or nested too deeply"}) from error


def _messages(content: Any, most_bytes: int) -> list[dict[str, Any]]:
    """The messages of a batch, all of them in order, or none."""
    messages = content.get("messages") if isinstance(content, dict) else None
    if not messages:
        raise _RefusedError(422, {"errors": {"messages": _BLANK}})
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise _RefusedError(422, {"errors": {"messages": _INVALID}})
    errors = [_faults(message, most_bytes) for message in messages]
    if any(errors):
        raise _RefusedError(422, {"errors": {"messages": errors}})
    return messages


def _faults(message: Mapping[str, Any], most_bytes: int) -> dict[str, list[str]]:
    faults = {}
    for name, kind in _KINDS.items():
        value = message.get(name)
        if value is None or value == "":
            faults[name] = _BLANK
        elif not isinstance(value, kind):
            faults[name] = _INVALID
        elif kind is dict and len(orjson.dumps(value)) > most_bytes:
            faults[name] = _TOO_LARGE
    return faults


def _named_in(request: Request) -> tuple[str, str]:
    """Topic and event of the path, which may have encoded slashes in them."""
    path: str = request.scope["raw_path"].decode("ascii")
    match path.partition(_PATH + "/")[2].split("/"):
        case [topic, "events", event] if topic and event:
            return unquote(topic), unquote(event)
    raise _RefusedError(404, {"error": f"Not found; the path is {_PATH}/<topic>/events/<event>"})


def _broadcast(event: str, content_type: str | None, body: bytes, most_bytes: int) -> UserBroadcast:
    kind = (content_type or _JSON).partition(";")[0].strip().lower()
    if kind not in (_JSON, _BYTES):
        raise _RefusedError(415, {"error": f"Unsupported Media Type. Use {_JSON} or {_BYTES}"})
    if kind == _JSON:
        content = _parsed(body)
        body = (body or b"{}") if isinstance(content, dict) else orjson.dumps({"_json": content})
    if len(body) > most_bytes:
        raise _RefusedError(422, {"errors": {"payload": _TOO_LARGE}})
    return UserBroadcast(event, body, kind == _JSON, {})
