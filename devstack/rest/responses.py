"""From the row that the main statement yields to an HTTP response: status, ranges, what was applied."""

from dataclasses import dataclass
from urllib.parse import quote

import orjson
from psycopg.pq.abc import PGresult

from devstack.rest.errors import RestError
from devstack.rest.messages import Headers, Response
from devstack.rest.plans import Plan
from devstack.rest.ranges import content_range, read_status


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the main statement says.

    Attributes:
        total: how many rows there are without a limit; None when nobody counted.
        rows: how many rows the answer holds, or the change touched.
        body: JSON.
        headers, status: what SQL set in `response.headers` and `response.status`.
        inserted: how many rows an upsert inserted; None when it was not one.
    """

    total: int | None
    rows: int
    body: bytes
    headers: bytes | None
    status: bytes | None
    inserted: int | None


def outcome_of(result: PGresult, estimate: PGresult | None, max_rows: int | None) -> Outcome:
    """The outcome in the results of the main statement and, if there was one, of the estimate."""
    value = result.get_value
    total, inserted = value(0, 0), value(0, 5) if result.nfields > 5 else None
    return Outcome(
        total=_total(None if total is None else int(total), estimate, max_rows),
        rows=int(value(0, 1) or 0),
        body=value(0, 2) or b"",
        headers=value(0, 3),
        status=value(0, 4),
        inserted=None if inserted is None else int(inserted),
    )


def _total(counted: int | None, estimate: PGresult | None, max_rows: int | None) -> int | None:
    """The count; the planner's guess where it was asked for alone, or where the count stopped at its bound."""
    if estimate is None:
        return counted
    guess: int = orjson.loads(estimate.get_value(0, 0) or b"")[0]["Plan"]["Plan Rows"]
    if counted is None:
        return guess
    return max(counted, guess) if max_rows is None or counted > max_rows else counted


def check(plan: Plan, outcome: Outcome) -> None:
    """Refuse an outcome that the client ruled out beforehand; the transaction must be undone.

    Raises:
        RestError: PGRST115 or PGRST116, not exactly one row; PGRST124, too many rows were touched.
    """
    if plan.media.singular and outcome.rows != 1:
        message = "Cannot coerce the result to a single JSON object"
        raise RestError(406, "PGRST116", message, details=f"The result contains {outcome.rows} rows")
    if plan.action == "put" and outcome.rows != 1:
        raise wrong_key()
    most = plan.preferences.max_affected
    if most is not None and plan.action in ("update", "delete", "call") and outcome.rows > most:
        message = "Query result exceeds max-affected preference constraint"
        raise RestError(400, "PGRST124", message, details=f"The query affects {outcome.rows} rows")


def wrong_key() -> RestError:
    """PGRST115: the body of a PUT is for another row than its URL."""
    return RestError(400, "PGRST115", "Payload values do not match URL in primary key column(s)")


def must_be_checked(plan: Plan) -> bool:
    """Whether `check` may refuse, so that the transaction must not end before it."""
    judged = plan.media.singular or plan.action == "put" or plan.preferences.max_affected is not None
    return judged and not plan.read_only


def respond(plan: Plan, outcome: Outcome, profile: str | None) -> Response:
    """The response.

    Args:
        plan: what was done.
        outcome: what came of it.
        profile: the schema, when several are exposed.

    Raises:
        RestError: PGRST103, the rows begin after the last one; PGRST111 or PGRST112, SQL set what is not a header
            or status.
    """
    headers: Headers = [(b"content-range", _content_range(plan, outcome).encode())]
    status = _status(plan, outcome)
    if plan.action == "read":
        location = f"/{quote(plan.target)}{'?' + plan.query if plan.query else ''}"
        headers.append((b"content-location", location.encode()))
    if plan.location_keys and outcome.body:
        headers.append((b"location", _location(plan, outcome.body)))
    if plan.has_body:
        headers.append((b"content-type", plan.media.content_type))
        if profile:
            headers.append((b"content-profile", profile.encode()))
    applied = plan.preferences.applied(plan.applied)
    if applied:
        headers.append((b"preference-applied", applied.encode()))
    return _overridden(Response(status, headers, outcome.body if plan.has_body else b""), outcome)


def _status(plan: Plan, outcome: Outcome) -> int:
    match plan.action:
        case "insert":
            return 200 if plan.merges and not outcome.inserted else 201
        case "put" if plan.has_body and outcome.inserted:
            return 201
        case "put" | "update" | "delete":
            return 200 if plan.has_body else 204
        case "call" if not plan.has_body:
            return 204
        case _:
            return read_status(plan.window.offset, outcome.rows, outcome.total)


def _content_range(plan: Plan, outcome: Outcome) -> str:
    if plan.action in ("read", "call"):
        return content_range(plan.window.offset, outcome.rows, outcome.total)
    total = outcome.rows if plan.preferences.get("count") in ("exact", "estimated") else None
    return content_range(0, outcome.rows if plan.action == "update" else 0, total)


def _location(plan: Plan, body: bytes) -> bytes:
    """Where the one inserted row is found."""
    values = orjson.loads(body)
    pairs = (
        f"{quote(key, '')}={'is.null' if value is None else 'eq.' + quote(value, '')}"
        for key, value in zip(plan.location_keys, values, strict=True)
    )
    return f"/{quote(plan.target)}?{'&'.join(pairs)}".encode()


def _overridden(response: Response, outcome: Outcome) -> Response:
    """The response with what SQL had to say about it."""
    if outcome.headers is None and outcome.status is None:
        return response
    told = _told_headers(outcome.headers)
    names = {name for name, _ in told}
    kept = [(name, value) for name, value in response.headers if name not in names]
    return Response(_told_status(outcome.status) or response.status, kept + told, response.body)


def _told_status(text: bytes | None) -> int | None:
    if text is None:
        return None
    if text.isdigit() and 200 <= int(text) <= 599:
        return int(text)
    raise RestError(500, "PGRST112", "response.status guc must be a valid status code")


def _told_headers(text: bytes | None) -> Headers:
    try:
        objects = orjson.loads(text or b"[]")
        pairs = [pair for one in objects for pair in _only_pair(one)]
        return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in pairs]
    except (ValueError, TypeError, AttributeError):
        message = "response.headers guc must be a JSON array composed of objects with a single key and a string value"
        raise RestError(500, "PGRST111", message) from None


def _only_pair(value: dict[str, str]) -> list[tuple[str, str]]:
    (pair,) = value.items()
    if not pair[0].isascii() or not pair[1].isprintable():
        raise ValueError(pair)
    return [pair]
