"""A table's rows, kept equal to the database: joined first, read second, merged by version.

When it reads:

* everything: after every join and every confirmation of the server's, which are the moments before which changes may
  have been missed; and every tenth time that it reads for another reason below;
* single rows: when a change left a gap, or was too large to be streamed;
* what may have changed unseen, that is rows that are not final and rows newer than all known ones, or everything where
  older rows may come to belong: about every 30 s, and while there is no socket after 1, 2, 4, 8, 16 and then every
  30 s, all with jitter.
"""

import asyncio
import contextlib
import itertools
import logging
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from filaviva.backoff import Backoff
from filaviva.errors import FilaVivaError, NotSignedIn
from filaviva.live.context import LiveContext
from filaviva.live.rows import Merged, Rows
from filaviva.live.selection import Selection
from filaviva.live.source import Source
from filaviva.realtime.feed import Change, Following
from filaviva.realtime.refusals import is_worth_repeating
from filaviva.rpc import Row

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)

# More unfinished rows than this are read faster as pages than one by one.
_MOST_BY_ID = 500
_WHOLE_EVERY = 10
# Each takes a channel, of which a client has 100.
_MOST_FOREIGN = 50
_REFILL_SECONDS = 0.25


class LiveTable(Source, Generic[M]):
    """The rows of a selection; a view's source.

    Args:
        on_update: called for each row that became newer or left, with ``INSERT``, ``UPDATE`` or ``DELETE`` as streamed,
            or ``READ`` when a read found it; the row is None when one left. Called in the loop, and must be quick.
    """

    def __init__(
        self,
        context: LiveContext,
        selection: Selection[M],
        on_update: Callable[[str, M | None], None] | None = None,
    ) -> None:
        super().__init__()
        self._context = context
        self._selection = selection
        self._on_update = on_update or (lambda _kind, _row: None)
        self.rows: Rows[M] = Rows(selection.model, selection.belongs, selection.order_by, selection.limit)
        self._columns = ",".join(selection.model.model_fields)
        settings = context.settings
        self.has_read = False
        self._polling = Backoff(settings.first_pause_seconds, settings.last_pause_seconds)
        self._wake = asyncio.Event()
        self._wants_all = False
        self._due: float | None = None
        self._wanted_ids: set[str] = set()
        self._turns = itertools.count(1)
        self._followings: list[Following] = []
        self._foreign: dict[str, Following] = {}
        self._feed_error: FilaVivaError | None = None
        self._read_error: FilaVivaError | None = None
        self._may_heal = True

    async def run(self) -> None:
        """Follow the rows until cancelled."""
        chosen, feeds = self._selection, self._context.feeds
        self._due = self._now() + self._poll_pause()
        for row_filter in chosen.row_filters:
            self._followings.append(feeds.follow(self, chosen.table, row_filter, row_ids=chosen.ids))
        self._note_state()
        try:
            while True:
                await self._rest()
                await self._read()
        finally:
            await asyncio.gather(*(following.close() for following in self._everywhere()))

    def joined(self) -> None:
        """Changes arrive from now on: read what was before."""
        self._feed_error = None
        self._wants_all = True
        self._read_soon()
        self._note_state()

    def joined_row(self, row_id: str) -> None:
        """The row's changes arrive from now on, through a channel of its own."""
        self._feed_error = None
        self.want_row(row_id)
        self._note_state()

    def lost(self) -> None:
        """Changes arrive no more: poll, with short pauses first."""
        self._polling.reset()
        self._due = self._now() + self._poll_pause()
        self._wake.set()
        self._note_state()

    def refused(self, error: FilaVivaError) -> None:
        """Realtime does not want to: polling goes on, and the error is shown."""
        self._feed_error = error
        self._note_state()

    def renewed(self) -> None:
        """There is a new token: what was refused may be allowed."""
        if self._read_error is not None:
            self._wants_all = True
            self._read_soon()

    def changed(self, change: Change) -> None:
        """Merge a streamed change."""
        if change.kind == "DELETE":
            self._take_delete(change.row_id)
        elif change.record is None:
            self.want_row(change.row_id)
        else:
            self._take_record(change.kind, change.record)

    def _take_delete(self, row_id: str | None) -> None:
        if row_id is not None and self.rows.take_delete(row_id):
            self._on_update("DELETE", None)
            self._note_rows()

    def _take_record(self, kind: str, record: Mapping[str, Any]) -> None:
        row_id = str(record.get("id"))
        try:
            merged = self.rows.take_change(record, is_whole=kind == "INSERT")
        except FilaVivaError as error:
            self._note_failure(error)
            self.want_row(row_id)
            return
        if merged is Merged.GAP:
            self.want_row(row_id)
        elif merged is Merged.NEWER:
            self._on_update(kind, self.rows.get(row_id))
            self._note_rows()

    def want_row(self, row_id: str | None) -> None:
        """Read the row, or everything when it is not known which, as soon as reading is possible."""
        if row_id is None:
            self._wants_all = True
        else:
            self._wanted_ids.add(row_id)
        if self._read_error is None:  # otherwise the next attempt has its time
            self._wake.set()

    def _read_soon(self) -> None:
        """Whatever kept reads from succeeding may be over."""
        self._polling.reset()
        self._due = self._now()
        self._wake.set()

    async def _rest(self) -> None:
        """Wait until there is something to read, and a failed read has had its pause."""
        if self.rows.was_thinned:  # rows may be leaving in great number: read once for many
            await asyncio.sleep(_REFILL_SECONDS)
        while self._read_error is not None or not (self._wants_all or self._wanted_ids):
            left = None if self._due is None else self._due - self._now()
            if left is not None and left <= 0:
                return
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()

    def _patience(self) -> float | None:
        """How long to wait before the next read that nothing asks for; None for ever."""
        if not self.is_live or self._read_error is not None:
            return self._poll_pause()
        if self._selection.ids is not None and not self._unfinished():
            return None
        return self._context.reads.common_pause(self._context.settings.silence_seconds)

    def _poll_pause(self) -> float:
        return self._context.reads.common_pause(self._polling.next_whole())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _read(self) -> None:
        """Read what is wanted; without a wish, what may have changed unseen."""
        ids, wants_all = frozenset(self._wanted_ids), self._wants_all or not self.has_read
        if not ids and not wants_all:
            wants_all = next(self._turns) % _WHOLE_EVERY == 0
        self._wants_all = False
        self._wanted_ids.clear()
        try:
            if wants_all:
                await self._read_all()
            elif ids:
                await self._read_ids(ids)
            else:
                await self._read_recent()
        except FilaVivaError as error:
            self._wants_all |= wants_all
            self._wanted_ids |= ids
            self._note_failure(error)
        else:
            self.has_read, self._read_error = True, None
            self._wants_all |= self.rows.was_thinned
            await self._follow_foreign()
            self._note_state()
        self._due = None if (patience := self._patience()) is None else self._now() + patience

    async def _read_all(self) -> None:
        chosen = self._selection
        if chosen.ids is not None:
            await self._read_ids(chosen.ids)
            return
        with self._reading():
            await self._take_pages(limit=chosen.limit or sys.maxsize)
            self._end_read(None)

    async def _read_recent(self) -> None:
        """Read what may have changed without our hearing of it, as far as that is cheap."""
        unfinished = self._unfinished()
        if self._selection.ids is not None:
            await self._read_ids(frozenset(unfinished))
        elif self._selection.may_gain or len(unfinished) > _MOST_BY_ID or not self.rows.newest:
            await self._read_all()
        else:
            newest = getattr(self.rows.newest[0], self._selection.order_by)
            with self._reading():
                await self._take_pages(limit=self._selection.limit or sys.maxsize, above=newest)
                await self._take_ids(frozenset(unfinished))
                self._end_read(unfinished)

    async def _read_ids(self, ids: frozenset[str]) -> None:
        with self._reading():
            await self._take_ids(ids)
            self._end_read(ids)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        self.rows.begin_read()
        try:
            yield
        finally:
            self.rows.abandon_read()

    async def _take_pages(self, *, limit: int, above: Any = None) -> None:
        chosen = self._selection
        pages = self._context.reads.pages(
            chosen.table, columns=self._columns, where=chosen.where, order_by=chosen.order_by, limit=limit, above=above
        )
        async for rows in pages:
            self._take_read(rows)

    async def _take_ids(self, ids: frozenset[str]) -> None:
        if ids:
            self._take_read(await self._context.reads.by_ids(self._selection.table, self._columns, ids))

    def _take_read(self, rows: list[Row]) -> None:
        newer = self.rows.take_read(rows)
        for row in newer:
            self._on_update("READ", row)
        if newer and self.has_read:  # the first read is shown when it is whole
            self._note_rows()

    def _end_read(self, scope: Collection[str] | None) -> None:
        if self.rows.end_read(scope):
            self._on_update("READ", None)
            self.notify()

    def _unfinished(self) -> list[str]:
        """The rows that may still change by themselves, and those that are wanted but were not there."""
        rows, is_final = self.rows.by_id, self._selection.is_final
        wanted = rows.keys() if self._selection.ids is None else self._selection.ids
        return [row_id for row_id in wanted if row_id not in rows or not is_final(rows[row_id])]

    async def _follow_foreign(self) -> None:
        """Have a channel for each row whose changes the feed does not bring, and for no other."""
        foreign = {row_id for row_id, row in self.rows.by_id.items() if self._selection.is_foreign(row)}
        for row_id in self._foreign.keys() - foreign:
            await self._foreign.pop(row_id).close()
        for row_id in sorted(foreign - self._foreign.keys())[: _MOST_FOREIGN - len(self._foreign)]:
            listener = _ForeignRow(self, row_id)
            self._foreign[row_id] = self._context.feeds.follow(listener, self._selection.table, f"id=eq.{row_id}")

    def _everywhere(self) -> list[Following]:
        return [*self._followings, *self._foreign.values()]

    def _note_failure(self, error: FilaVivaError) -> None:
        logger.info("%s cannot be read: %s", self._selection.table, error)
        self._may_heal = is_worth_repeating(error)
        if isinstance(error, NotSignedIn):
            self._may_heal = self._context.connection.renew_token()
        self._read_error = error
        self._note_state()

    def _note_rows(self) -> None:
        if self.rows.was_thinned:
            self._wants_all = True
            self._wake.set()
        if self.has_read:
            self.notify()

    def _note_state(self) -> None:
        """Bring what a view is told of this table up to date."""
        before = (self.is_live, self.is_loading, self.is_refused, str(self.error))
        self.is_live = all(following.is_live for following in self._everywhere())
        self.error = self._read_error or self._feed_error
        self.is_refused = self._read_error is not None and not self._may_heal
        self.is_loading = not self.has_read and not self.is_refused
        if before != (self.is_live, self.is_loading, self.is_refused, str(self.error)):
            self.notify()


class _ForeignRow:
    """Hears of one row of a table through a channel of its own."""

    def __init__(self, table: LiveTable[Any], row_id: str) -> None:
        self._table = table
        self._row_id = row_id
        self.lost = table.lost
        self.refused = table.refused
        self.renewed = table.renewed
        self.changed = table.changed

    def joined(self) -> None:
        """Read this row; the others are not concerned."""
        self._table.joined_row(self._row_id)
