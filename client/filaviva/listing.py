"""A list of jobs, page by page: the newest first, each page beginning where the former one ended."""

from collections.abc import Iterable, Mapping
from typing import Any

from filaviva.errors import InvalidRequest
from filaviva.filters import check_filter
from filaviva.models import Job, JobStatus, Page, from_row
from filaviva.rpc import Rpc
from filaviva.transport import may_be_cut

MAX_PAGE = 500
"""The most jobs that one page holds."""


async def list_jobs(
    rpc: Rpc,
    conditions: Mapping[str, Any],
    status: JobStatus | str | Iterable[JobStatus | str] | None,
    limit: int,
    cursor: str | None,
) -> Page[Job]:
    """The page of jobs that begins at `cursor`. A page is cut by the order of enqueue, so new jobs shift nothing.

    Where the project gives fewer rows in one answer than `limit`, the page is that much shorter.

    Raises:
        InvalidRequest: a condition, the limit or the cursor is wrong.
    """
    where, above, below = check_filter(conditions).to_columns()
    if status is not None:
        statuses = [status] if isinstance(status, str) else list(status)
        where["status"] = [check_filter({"status": one}).to_json()["status"] for one in statuses]
    if not 1 <= limit <= MAX_PAGE:
        raise _wrong("limit", f"1 to {MAX_PAGE}", limit)
    if cursor is not None:
        below["seq"] = _seq(cursor)
    rows = await rpc.list_jobs(where, above=above, below=below, newest_first=True, limit=limit + 1)
    shown, has_more = rows[:limit], len(rows) > limit
    if may_be_cut(len(rows), limit + 1):
        older = {**below, "seq": rows[-1]["seq"]}
        has_more = bool(await rpc.list_jobs(where, above=above, below=older, newest_first=True, limit=1))
    return Page(items=[from_row(Job, row) for row in shown], next_cursor=str(shown[-1]["seq"]) if has_more else None)


def _seq(cursor: str) -> int:
    if not (isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise _wrong("cursor", "the next_cursor of a page", cursor)
    return int(cursor)


def _wrong(name: str, expected: str, found: object) -> InvalidRequest:
    return InvalidRequest(
        f"{name}: expected {expected}, found {found!r}.",
        code="invalid_field",
        hint="Correct the argument and call again.",
    )
