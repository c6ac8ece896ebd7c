"""Changes of a table's rows, shared: however many views follow the same rows, the server sees one channel."""

import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from realtime.types import ChannelEvents

from filaviva.errors import FilaVivaError
from filaviva.realtime.channel import Channel
from filaviva.realtime.connection import Connection

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row.

    Attributes:
        kind: INSERT, UPDATE or DELETE.
        row_id: the row's key as text; None when the event does not tell.
        record: the new row, without large columns that did not change; None after a delete, and when the server
            cut the row because it was too large.
    """

    kind: str
    row_id: str | None
    record: Mapping[str, Any] | None


class Listener(Protocol):
    """Who follows a feed. None of these may wait; what `Member` says holds."""

    def joined(self) -> None:
        """From now on every change arrives: read what was before."""

    def lost(self) -> None:
        """No change arrives until the next `joined`: poll."""

    def refused(self, error: FilaVivaError) -> None:
        """The server refused the subscription, and will as long as nothing changes: poll, and show the error."""

    def renewed(self) -> None:
        """The token is another one now: what could not be read may be readable."""

    def changed(self, change: Change) -> None:
        """A row changed."""


class Feed:
    """The changes of `schema.table` that fit `row_filter`, such as ``id=eq.<uuid>``; made by `Feeds`."""

    def __init__(
        self, connection: Connection, schema: str, table: str, row_filter: str, numbers: Iterator[int]
    ) -> None:
        self._entry = {"event": "*", "schema": schema, "table": table, "filter": row_filter}
        self._of_all: dict[Listener, None] = {}
        self._of_row: dict[str, dict[Listener, None]] = {}
        # Every join has a topic of its own: what is late from a former one cannot be taken for this one's.
        self._channel = Channel(connection, lambda: f"filaviva:{table}:{next(numbers)}", self._config, self)

    @property
    def is_live(self) -> bool:
        """Whether changes arrive now."""
        return self._channel.is_joined

    @property
    def is_used(self) -> bool:
        """Whether anybody listens."""
        return bool(self._of_all or self._of_row)

    def open(self) -> None:
        """Join the channel."""
        self._channel.open()

    async def close(self) -> None:
        """Leave the channel."""
        await self._channel.close()

    def add(self, listener: Listener, row_ids: frozenset[str] | None) -> None:
        """Tell `listener` about every change, or about those of the rows `row_ids` only."""
        if row_ids is None:
            self._of_all[listener] = None
        for row_id in row_ids or ():
            self._of_row.setdefault(row_id, {})[listener] = None
        if self.is_live:
            listener.joined()

    def remove(self, listener: Listener, row_ids: frozenset[str] | None) -> None:
        """Tell `listener` nothing more."""
        self._of_all.pop(listener, None)
        for row_id in row_ids or ():
            listeners = self._of_row.get(row_id, {})
            listeners.pop(listener, None)
            if not listeners:
                self._of_row.pop(row_id, None)

    def joined(self) -> None:
        """Tell everyone."""
        for listener in self._everyone():
            listener.joined()

    def lost(self) -> None:
        """Tell everyone."""
        for listener in self._everyone():
            listener.lost()

    def refused(self, error: FilaVivaError) -> None:
        """Tell everyone."""
        for listener in self._everyone():
            listener.refused(error)

    def renewed(self) -> None:
        """Tell everyone."""
        for listener in self._everyone():
            listener.renewed()

    def heard(self, event: str, payload: Any) -> None:
        """Hand a change to those whom it concerns."""
        if event != ChannelEvents.postgres_changes:
            return
        change = read_change(payload["data"])
        listeners = self._everyone() if change.row_id is None else self._followers_of(change.row_id)
        for listener in listeners:
            try:
                listener.changed(change)
            except Exception:  # one view's fault is not the others'
                logger.exception("A change could not be taken")

    def _config(self) -> Mapping[str, Any]:
        return {
            "broadcast": {"ack": False, "self": False},
            "presence": {"key": "", "enabled": False},
            "private": False,
            "postgres_changes": [self._entry],
        }

    def _followers_of(self, row_id: str) -> list[Listener]:
        return [*self._of_all, *self._of_row.get(row_id, ())]

    def _everyone(self) -> list[Listener]:
        return list({**self._of_all, **{one: None for listeners in self._of_row.values() for one in listeners}})


def read_change(data: Mapping[str, Any]) -> Change:
    """The change that an event of Realtime tells."""
    record = data.get("record") or None
    row_id = (record or data.get("old_record") or {}).get("id")
    is_cut = bool(data.get("errors"))
    return Change(str(data["type"]), None if row_id is None else str(row_id), None if is_cut else record)


class Feeds:
    """The feeds of one client: each exists once, for as long as somebody follows it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._feeds: dict[tuple[str, str, str], Feed] = {}
        self._numbers = itertools.count(1)

    def follow(
        self,
        listener: Listener,
        table: str,
        row_filter: str,
        *,
        row_ids: frozenset[str] | None = None,
        schema: str = "public",
    ) -> "Following":
        """Tell `listener` about changes until the answer is closed; `row_ids` narrows a shared feed to some rows."""
        key = (schema, table, row_filter)
        feed = self._feeds.get(key)
        if feed is None:
            feed = Feed(self._connection, schema, table, row_filter, self._numbers)
            feed.open()
            self._feeds[key] = feed
        feed.add(listener, row_ids)
        return Following(self, key, feed, listener, row_ids)

    async def drop(self, key: tuple[str, str, str], feed: Feed) -> None:
        """Leave the feed's channel if nobody follows it any more."""
        if not feed.is_used and self._feeds.get(key) is feed:
            del self._feeds[key]
            await feed.close()


class Following:
    """One listener's place at a feed."""

    def __init__(
        self, feeds: Feeds, key: tuple[str, str, str], feed: Feed, listener: Listener, row_ids: frozenset[str] | None
    ) -> None:
        self._feeds = feeds
        self._key = key
        self._feed = feed
        self._listener = listener
        self._row_ids = row_ids

    @property
    def is_live(self) -> bool:
        """Whether changes arrive now."""
        return self._feed.is_live

    async def close(self) -> None:
        """Leave; the last one to leave frees the channel."""
        self._feed.remove(self._listener, self._row_ids)
        await self._feeds.drop(self._key, self._feed)
