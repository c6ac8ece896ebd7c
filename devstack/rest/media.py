"""Which form of the answer the client accepts."""

from collections.abc import Iterable
from dataclasses import dataclass

from devstack.rest.errors import RestError, not_implemented
from devstack.rest.messages import JSON_TYPE

_NOT_SERVED = {
    "application/geo+json": "GeoJSON output",
}


@dataclass(frozen=True, slots=True)
class Media:
    """A form of the answer.

    Attributes:
        content_type: of the answer.
        singular: one object is wanted, and any other number of rows is an error.
        stripped: keys with null values are left out.
        table: lines of values with commas between them, instead of JSON.
    """

    content_type: bytes = JSON_TYPE
    singular: bool = False
    stripped: bool = False
    table: bool = False


JSON = Media()
_CSV = Media(b"text/csv; charset=utf-8", table=True)
_ARRAY_STRIPPED = Media(b"application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8", stripped=True)
_OBJECT = Media(b"application/vnd.pgrst.object+json; charset=utf-8", singular=True)
_OBJECT_STRIPPED = Media(
    b"application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8", singular=True, stripped=True
)


def negotiate(accept: str | None) -> Media:
    """The first form in an `Accept` header that can be served; JSON when there is no header.

    Raises:
        RestError: PGRST107, nothing in it can be served; 501 when PostgREST could.
    """
    if not accept or accept in ("*/*", "application/json"):
        return JSON
    ranges = _by_quality(accept)
    for name, parameters in ranges:
        media = _served(name, parameters)
        if media is not None:
            return media
    for name, _ in ranges:
        if name in _NOT_SERVED:
            raise not_implemented(_NOT_SERVED[name])
    told = ", ".join(name for name, _ in ranges)
    raise RestError(406, "PGRST107", f"None of these media types are available: {told}")


def _served(name: str, parameters: Iterable[str]) -> Media | None:
    stripped = "nulls=stripped" in parameters
    match name:
        case "*/*" | "application/*" | "application/json":
            return JSON
        case "application/vnd.pgrst.object+json" | "application/vnd.pgrst.object":
            return _OBJECT_STRIPPED if stripped else _OBJECT
        case "application/vnd.pgrst.array+json" | "application/vnd.pgrst.array":
            return _ARRAY_STRIPPED if stripped else JSON
        case "text/csv":
            return _CSV
    return None


def _by_quality(accept: str) -> list[tuple[str, list[str]]]:
    """Names and parameters of an `Accept` header, the most wanted first."""
    found = []
    for part in accept.split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((_number(value[2:]) for value in parameters if value.startswith("q=")), 1.0)
        if name:
            found.append((quality, name.lower(), parameters))
    found.sort(key=lambda entry: -entry[0])
    return [(name, parameters) for _, name, parameters in found]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
