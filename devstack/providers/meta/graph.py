"""The Graph API's manners: parameters from anywhere, tokens, and the shape of a refusal."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from devstack.providers.double import Double, Refusal
from devstack.providers.world import account_of


class GraphError(Refusal):
    """A request is refused, in the words of the Graph API."""

    def __init__(self, code: int, subcode: int | None, message: str, **more: Any) -> None:
        super().__init__(message, failure(code, subcode, message, **more))


def failure(code: int, subcode: int | None, message: str, *, status: int = 400, **more: Any) -> Response:
    """An answer of the Graph API that is not a success; `more` are further fields of the error."""
    body: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "double", **more}
    if subcode is not None:
        body["error_subcode"] = subcode
    return JSONResponse({"error": body}, status_code=status)


class GraphDouble(Double):
    """A platform behind the Graph API."""

    def server_error(self) -> Response:
        """The Graph API broke."""
        return failure(1, None, "An unknown error has occurred.", status=500)

    def rate_limited(self) -> Response:
        """The Graph API was asked too often."""
        return failure(4, None, "Application request limit reached")


async def read_parameters(request: Request) -> dict[str, Any]:
    """Query, and a body of JSON or of form fields, as the Graph API takes them."""
    parameters: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            body = await request.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            body = None
        if not isinstance(body, dict):
            raise GraphError(100, None, "The body must be a JSON object")
        return parameters | body
    return parameters | dict(await request.form())


def authorize(request: Request, parameters: Mapping[str, Any], account: str | None, scheme: str = "bearer") -> str:
    """The account of the token, which must be `account` unless that is None."""
    given, _, token = request.headers.get("authorization", "").partition(" ")
    if given.lower() != scheme:
        token = str(parameters.get("access_token", ""))
    owner = account_of(token)
    if owner is None:
        raise GraphError(190, 463, "Error validating access token: the session has expired")
    if account not in (None, owner):
        raise GraphError(10, None, "Application does not have permission for this action")
    return owner


def is_true(value: object) -> bool:
    """Whether a parameter says yes: as JSON, or as text from a form."""
    return value in (True, "true")
