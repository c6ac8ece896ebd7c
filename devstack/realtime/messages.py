"""Broadcast from the database: rows inserted in `realtime.messages` go to the members of their channel."""

import asyncio
from collections.abc import Sequence

from devstack.realtime.broadcasts import UserBroadcast
from devstack.realtime.database import Database
from devstack.realtime.follower import Follower
from devstack.realtime.pgoutput import Change, Relation, Row
from devstack.realtime.topics import Room, Topics

_PUBLICATION = "supabase_realtime_messages_publication"
_NEEDED = ("id", "topic", "event", "private", "inserted_at")


class Messages:
    """Reads the rows from the log as long as the gateway runs: who joins must miss nothing sent after that."""

    def __init__(self, dsn: str, database: Database, topics: Topics) -> None:
        """Nothing is done before `start`."""
        self._topics = topics
        self._follower = Follower(dsn, _PUBLICATION, database, self)

    def start(self) -> None:
        """Open the stream; the database must be open."""
        self._follower.wanted.set()
        self._follower.start()

    async def stop(self) -> None:
        """Close the stream, which removes its slot."""
        await self._follower.stop()

    async def wait_until_live(self) -> None:
        """Return once what is inserted will be broadcast."""
        await self._follower.live.wait()

    def wants(self, relation: Relation) -> bool:
        """The partitions of `realtime.messages`, and nothing that users add to the publication."""
        return relation.schema == "realtime" and relation.name.startswith("messages")

    def described(self, relation: Relation) -> None:
        """Its definition is known."""

    def interrupted(self, reason: str) -> None:
        """Nobody is told of that either."""

    def resumed(self) -> None:
        """Nobody is told: what was sent in between is lost, as with the real server."""

    async def deliver(self, changes: Sequence[Change]) -> None:
        """Broadcast the rows that were inserted."""
        for change in changes:
            if change.kind == "INSERT" and change.new is not None:
                self._broadcast(change.new)
        await asyncio.sleep(0)  # a long run of messages must let the sockets write

    def _broadcast(self, row: Row) -> None:
        broadcast = broadcast_of(row)
        topic = row.get("topic")
        if broadcast is not None and topic is not None and all(row.get(name) is not None for name in _NEEDED):
            self._topics.broadcast(Room(topic, row["private"] == "t"), broadcast, None)


def broadcast_of(row: Row, replayed: bool = False) -> UserBroadcast | None:
    """The broadcast in a row of `realtime.messages`, written as in the log; None without event or payload.

    `replayed`: say so in what goes with it.
    """
    event, text, binary = row.get("event"), row.get("payload"), row.get("binary_payload")
    meta = {"replayed": True, "id": row.get("id")} if replayed else {"id": row.get("id")}
    if event is None:
        return None
    if text is not None:
        return UserBroadcast(event, text.encode(), True, meta)
    if binary is not None:
        return UserBroadcast(event, bytes.fromhex(binary.removeprefix("\\x")), False, meta)
    return None
