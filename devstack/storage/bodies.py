"""JSON bodies of requests."""

import json
from typing import Any

from starlette.requests import Request

from devstack.storage.errors import invalid


async def read_body(request: Request) -> dict[str, Any]:
    """The JSON object in the body.

    Raises:
        StorageError: it is anything else.
    """
    try:
        wish = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise invalid("The body must be a JSON object") from None
    if not isinstance(wish, dict):
        raise invalid("The body must be a JSON object")
    return wish


def names_in(body: dict[str, Any], field: str) -> list[str]:
    """The names of objects under `field`.

    Raises:
        StorageError: there are none.
    """
    names = body.get(field)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise invalid(f"body/{field} must be an array of names")
    return names
