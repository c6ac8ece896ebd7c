"""What a request asks for, as far as that can be said without the catalogue."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from devstack.rest.errors import RestError, not_implemented
from devstack.rest.messages import Request
from devstack.rest.payload import read_payload
from devstack.rest.plans import Intent
from devstack.rest.preferences import NONE, parse_preferences
from devstack.rest.query_string import Query, parse_query
from devstack.rest.ranges import ALL_ROWS, window_of
from devstack.rest.settings import RestSettings

_READING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Target:
    """What a path points to."""

    kind: Literal["relation", "function", "root"]
    name: str


def target_of(request: Request) -> Target:
    """The relation or function that the path names.

    Raises:
        RestError: PGRST125, 404 for any other path; PGRST101 or PGRST117, 405 for a method that it does not take.
    """
    method = request.method
    match request.path.split("/")[1:]:
        case [""] if method == "OPTIONS":
            return Target("root", "")
        case [""]:
            raise not_implemented("OpenAPI")
        case ["rpc", name] if name:
            if method not in ("GET", "HEAD", "POST", "OPTIONS"):
                raise RestError(405, "PGRST101", f"Cannot use the {method} method on RPC")
            return Target("function", name)
        case [name]:
            if method not in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                raise RestError(405, "PGRST117", f"Unsupported HTTP method: {method}")
            return Target("relation", name)
        case _:
            raise RestError(404, "PGRST125", "Invalid path specified in request URL")


def intent_of(request: Request, target: Target, settings: RestSettings, timezones: Collection[str]) -> Intent:
    """The request, understood.

    Raises:
        RestError: PGRST100, PGRST102, PGRST103, PGRST106 or PGRST114, for what does not make sense in it.
    """
    method, headers = request.method, request.headers
    schema = _schema_of(request, settings.schemas)
    calls = target.kind == "function"
    query = parse_query(request.query, with_arguments=calls and method in _READING) if request.query else Query()
    window = window_of(query, headers.get("range") if method == "GET" else None)
    prefer = request.all_of(b"prefer")
    preferences = NONE
    if prefer:
        may_end = settings.tx_end.endswith("allow-override")
        preferences = parse_preferences(prefer, timezones=timezones, may_end=may_end)
    payload = None
    if method == "PUT" and window != ALL_ROWS:
        raise RestError(400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT")
    if method in ("POST", "PUT", "PATCH"):
        payload = read_payload(request.body, headers.get("content-type"), query.columns, for_call=calls)
    return Intent(method, schema, target.name, query, window, preferences, headers.get("accept"), payload)


def _schema_of(request: Request, schemas: tuple[str, ...]) -> str:
    header = "accept-profile" if request.method in _READING else "content-profile"
    named = request.headers.get(header)
    if named is None:
        return schemas[0]
    if named in schemas:
        return named
    hint = f"Only the following schemas are exposed: {', '.join(schemas)}"
    raise RestError(406, "PGRST106", f"Invalid schema: {named}", hint=hint)
