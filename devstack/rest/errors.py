"""Refusals in PostgREST's words: one exception, and which HTTP status an SQLSTATE becomes."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from devstack.rest.messages import JSON_TYPE, Headers, Response

_EXACT = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "53400": 500,
    "57P01": 503,
    "P0001": 400,
}
_BY_CLASS = {
    "08": 503,
    "0L": 403,
    "0P": 403,
    "28": 403,
    "53": 503,
    **dict.fromkeys(("09", "25", "2D", "38", "39", "3B", "40", "54", "55", "57", "58", "F0", "HV", "P0", "XX"), 500),
}


class RestError(Exception):
    """A request that cannot be served.

    Attributes:
        code: PostgREST's code (`PGRST…`) or the SQLSTATE.
        message: what went wrong.
        details: more about it; usually text, for PGRST201 a list.
        hint: what to do about it.
        status: HTTP status.
        headers: extra response headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Any = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.details, self.hint = details, hint
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer: all four keys are always there, since the official Python client insists on them."""
        body = {"code": self.code, "message": self.message, "details": self.details, "hint": self.hint}
        # A code raised by the user's own SQL is the one part of a header that is not ours.
        code = re.sub(r"[^\w.-]", "?", self.code, flags=re.ASCII)
        headers: Headers = [(b"content-type", JSON_TYPE), (b"proxy-status", f"PostgREST; error={code}".encode())]
        headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        return Response(self.status, headers, orjson.dumps(body))


def not_implemented(feature: str) -> RestError:
    """What is outside the subset that devstack serves is named, never answered wrongly."""
    return RestError(501, "PGRST127", "Feature not implemented", details=f"devstack does not serve {feature}")


def database_error(fields: Mapping[str, str | None], *, anonymous: bool) -> RestError:
    """The refusal for an error that PostgreSQL reported.

    Args:
        fields: `sqlstate`, `message`, `detail` and `hint` of the error.
        anonymous: whether the request ran as the anonymous role, who may get further by signing in.
    """
    code, message = fields["sqlstate"] or "XX000", fields["message"] or ""
    detail = fields["detail"]
    if code == "PGRST":
        return _raised_response(message, detail)
    status = _status_of(code, message, anonymous=anonymous)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return RestError(status, code, message, details=detail, hint=fields["hint"], headers=headers)


def _status_of(code: str, message: str, *, anonymous: bool) -> int:
    match code:
        case "42501":
            return 401 if anonymous else 403
        case "21000":
            return 400 if message.endswith("requires a WHERE clause") else 500
        case "22023":
            return 401 if message.startswith("role") and message.endswith("does not exist") else 400
        case "42883" if message.startswith("function xmlagg("):
            return 406
    if code.startswith("PT"):
        return int(code[2:]) if code[2:].isdecimal() and 200 <= int(code[2:]) <= 599 else 500
    return _EXACT.get(code) or _BY_CLASS.get(code[:2], 400)


def _raised_response(message: str, detail: str | None) -> RestError:
    """`raise sqlstate 'PGRST'`: message and detail are JSON and say the whole answer."""
    body = _object_in(message, required=("code", "message"))
    if body is None:
        return _unreadable(
            f"Invalid JSON value for MESSAGE: '{message}'",
            "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' "
            "and optional keys: 'details', 'hint'.",
        )
    told = _object_in(detail or "", required=("status", "headers"))
    if told is None or not _is_reply(told):
        return _unreadable(
            f"Invalid JSON value for DETAIL: '{detail}'" if detail else "DETAIL is missing in the RAISE statement",
            "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'.",
        )
    return RestError(
        told["status"],
        str(body["code"]),
        str(body["message"]),
        details=body.get("details"),
        hint=body.get("hint"),
        headers=told["headers"],
    )


def _unreadable(details: str, hint: str) -> RestError:
    message = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"
    return RestError(500, "PGRST121", message, details=details, hint=hint)


def _object_in(text: str, *, required: tuple[str, ...]) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) and all(key in value for key in required) else None


def _is_reply(told: Mapping[str, Any]) -> bool:
    status, headers = told["status"], told["headers"]
    return (
        isinstance(status, int)
        and 200 <= status <= 599
        and isinstance(headers, dict)
        and all(isinstance(value, str) and value.isprintable() and value.isascii() for value in headers.values())
        and all(re.fullmatch(r"[\w-]+", name, re.ASCII) for name in headers)
    )
