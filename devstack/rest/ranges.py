"""Which rows of a result are wanted, and how an answer says which it holds."""

import re
from dataclasses import dataclass

from devstack.rest.errors import RestError
from devstack.rest.query_string import Query

_RANGE = re.compile(r"([0-9]{1,100})-([0-9]{0,100})", re.ASCII)


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

    A negative offset begins before the first row, so that what it skips counts against the limit.

    Raises:
        RestError: PGRST103, the window is empty though `limit=0` was not asked for.
    """
    limit, offset = query.limits.get(()), query.offsets.get((), 0)
    if limit == 0:
        return Window(max(offset, 0), 0)
    found = _RANGE.fullmatch(range_header or "")
    lower, upper = (int(found[1]), int(found[2]) if found[2] else None) if found else (0, None)
    if upper is not None and lower > upper:
        raise _unsatisfiable(
            "The lower boundary must be lower than or equal to the upper boundary in the Range header."
        )
    ends = [end for end in (upper, None if limit is None else offset + limit - 1) if end is not None]
    start = max(offset, lower)
    if ends and start > min(ends):
        raise _unsatisfiable("Limit should be greater than or equal to zero.")
    return Window(start, min(ends) - start + 1 if ends else None)


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
