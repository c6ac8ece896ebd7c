"""Which rows of a result are wanted, and how an answer says which it holds."""

import re
from dataclasses import dataclass

from devstack.rest.errors import RestError
from devstack.rest.query_string import Query

_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Window:
    """Rows `offset` to `offset + limit - 1` of a result; no limit means all that follow."""

    offset: int = 0
    limit: int | None = None

    def at_most(self, rows: int | None) -> "Window":
        """This window, with no more than `rows` rows."""
        if rows is None:
            return self
        return Window(self.offset, rows if self.limit is None else min(self.limit, rows))


ALL_ROWS = Window()


def window_of(query: Query, range_header: str | None) -> Window:
    """The window for the top level: `limit` and `offset`, and what they share with the `Range` header.

    Raises:
        RestError: PGRST103, the window is empty though `limit=0` was not asked for.
    """
    limit, offset = query.limits.get(()), query.offsets.get((), 0)
    if limit is not None and limit < 0:
        raise _unsatisfiable("Limit should be greater than or equal to zero.")
    found = _RANGE.fullmatch(range_header or "")
    if limit == 0 or not found:
        return Window(offset, limit)
    return _shared(Window(offset, limit), int(found[1]), int(found[2]) if found[2] else None)


def _shared(window: Window, lower: int, upper: int | None) -> Window:
    ends = [] if window.limit is None else [window.offset + window.limit - 1]
    ends += [] if upper is None else [upper]
    start = max(window.offset, lower)
    if not ends:
        return Window(start)
    if start > min(ends):
        raise _unsatisfiable(
            "The lower boundary must be lower than or equal to the upper boundary in the Range header."
        )
    return Window(start, min(ends) - start + 1)


def content_range(offset: int, rows: int, total: int | None) -> str:
    """The `Content-Range` of an answer that holds `rows` rows from `offset` on."""
    held = "*" if rows == 0 or total == 0 else f"{offset}-{offset + rows - 1}"
    return f"{held}/{'*' if total is None else total}"


def read_status(offset: int, rows: int, total: int | None) -> int:
    """200, or 206 when the whole is known to be larger than the answer.

    Raises:
        RestError: PGRST103, the window begins after the last row.
    """
    if total is None:
        return 200
    if offset > total:
        raise _unsatisfiable(
            f"An offset of {offset} was requested, but there are only {total} rows.",
            headers={"Content-Range": f"*/{total}"},
        )
    return 206 if rows < total else 200


def _unsatisfiable(details: str, headers: dict[str, str] | None = None) -> RestError:
    return RestError(416, "PGRST103", "Requested range not satisfiable", details=details, headers=headers)
