"""Reads for live views: pages of a table, and single rows, which many views ask for in the same moment."""

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from filaviva.rpc import Row, Rpc
from filaviva.transport import may_be_cut

# PostgREST answers at most 1,000 rows unless the project allows more; ids travel in the URL.
_PAGE_ROWS = 1000
_IDS = 100
# Views that learn of something at once ask at once: after a rejoin, hundreds within a few milliseconds.
_GATHER_SECONDS = 0.005


class Reads:
    """Reads rows of tables as the signed-in user."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self._batches: dict[tuple[str, str], _Batch] = {}
        self._phase = random.random()  # noqa: S311 - spreads load, guards no secret

    async def pages(
        self,
        table: str,
        *,
        columns: str,
        where: Mapping[str, Any],
        order_by: str,
        limit: int,
        above: Any = None,
    ) -> AsyncIterator[list[Row]]:
        """The first `limit` rows in falling order of `order_by`, a unique column that never changes, page by page.

        `above`: only rows whose `order_by` is greater.
        """
        below, left = None, limit
        while left > 0:
            size = min(left, _PAGE_ROWS)
            rows = await self._rpc.select(
                table,
                columns=columns,
                where=where,
                above={order_by: above} if above is not None else None,
                below={order_by: below} if below is not None else None,
                order=order_by,
                descending=True,
                limit=size,
            )
            yield rows
            left -= len(rows)
            if len(rows) < size and not may_be_cut(len(rows), size):
                return
            below = rows[-1][order_by]

    async def by_ids(self, table: str, columns: str, ids: Collection[str]) -> list[Row]:
        """The rows with these ids, as far as they are there; one call for all who ask in the same moment."""
        batch = self._batches.get((table, columns))
        if batch is None:
            batch = self._batches[table, columns] = _Batch(asyncio.create_task(self._gather(table, columns)))
            batch.task.add_done_callback(_look_at_error)
        batch.ids.update(ids)
        found = await asyncio.shield(batch.task)
        return [found[row_id] for row_id in ids if row_id in found]

    def common_pause(self, seconds: float) -> float:
        """About `seconds`, a fifth more or less, and ending for all views of a client in few common moments.

        Views that poll, or read after a silence, then share their calls; other clients have other moments.
        """
        now, step = asyncio.get_running_loop().time(), 0.4 * seconds
        steps = math.ceil((now + 0.8 * seconds) / step - self._phase)
        return (steps + self._phase) * step - now

    async def _gather(self, table: str, columns: str) -> dict[str, Row]:
        await asyncio.sleep(_GATHER_SECONDS)
        ids = sorted(self._batches.pop((table, columns)).ids)
        found: dict[str, Row] = {}
        for start in range(0, len(ids), _IDS):
            left, is_cut = ids[start : start + _IDS], True
            while is_cut:
                rows = await self._rpc.select(table, columns=columns, where={"id": left})
                found |= {str(row["id"]): row for row in rows}
                is_cut = may_be_cut(len(rows), len(left))
                left = [row_id for row_id in left if row_id not in found]
        return found


def _look_at_error(task: "asyncio.Task[dict[str, Row]]") -> None:
    """Whoever asked may have left meanwhile; then nobody else looks at it."""
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()


class _Batch:
    """Ids to be read together."""

    def __init__(self, task: "asyncio.Task[dict[str, Row]]") -> None:
        self.task = task
        self.ids: set[str] = set()
