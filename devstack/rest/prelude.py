"""What is set at the start of a transaction, and for it alone: role, claims, request, search path."""

from functools import lru_cache
from http.cookies import CookieError, SimpleCookie

import orjson

from devstack.rest.catalogue import RoleSettings
from devstack.rest.messages import Request
from devstack.rest.plans import Plan
from devstack.rest.settings import RestSettings
from devstack.rest.sql import Statement, encoded, literal, quoted
from devstack.rest.tokens import Identity

_ISOLATIONS = ("serializable", "repeatable read", "read committed", "read uncommitted")


def begin(plan: Plan, role: RoleSettings) -> Statement:
    """The start of the transaction, with the isolation that the function or the role asks for."""
    isolation = plan.isolation or role.isolation
    level = f" isolation level {isolation}" if isolation in _ISOLATIONS else ""
    return Statement(f"begin{level}{' read only' if plan.read_only else ''}".encode())


def prelude(
    request: Request, plan: Plan, identity: Identity, role: RoleSettings, schema: str, settings: RestSettings
) -> Statement:
    """All settings in one statement. Those of the role come before the role, which may not be allowed to set them."""
    search_path = (schema, *settings.extra_search_path)
    wanted: list[tuple[str, str | bytes]] = [
        ("search_path", ", ".join(quoted(name) for name in search_path)),
        *role.settings,
        ("role", identity.role),
        ("request.jwt.claims", identity.claims),
        ("request.method", request.method),
        ("request.path", request.path),
        ("request.headers", _headers(request)),
        ("request.cookies", _cookies(request.headers.get("cookie"))),
    ]
    timezone = plan.preferences.get("timezone")
    if timezone:
        wanted.append(("timezone", timezone))
    wanted += [*plan.settings, *settings.app_settings]
    text = _text(tuple([name for name, _ in wanted]))
    return Statement(text, [encoded(value) for _, value in wanted], lasting=True)


@lru_cache(maxsize=256)
def _text(names: tuple[str, ...]) -> bytes:
    calls = (f"set_config({literal(name)}, ${place}, true)" for place, name in enumerate(names, 1))
    return f"select {', '.join(calls)}".encode()


def pre_request_call(function: str) -> Statement:
    """The call of the configured function, `name` or `schema.name`."""
    name = ".".join(quoted(part) for part in function.split("."))
    return Statement(f"select {name}()".encode(), lasting=True)


def _headers(request: Request) -> bytes:
    return orjson.dumps({name: value for name, value in request.headers.items() if name != "cookie"})


def _cookies(header: str | None) -> bytes:
    if header is None:
        return b"{}"
    cookies = SimpleCookie()
    try:
        cookies.load(header)
    except CookieError:
        return b"{}"
    return orjson.dumps({name: morsel.value for name, morsel in cookies.items()})
