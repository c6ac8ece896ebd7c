"""Replay: what the database has broadcast to a private channel before someone joined it."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from devstack.realtime.broadcasts import UserBroadcast
from devstack.realtime.database import Database
from devstack.realtime.messages import broadcast_of

MOST_MESSAGES = 25


class ReplayError(Exception):
    """The messages could not be read."""


@dataclass(frozen=True, slots=True)
class ReplayWish:
    """What a join wants replayed.

    Attributes:
        since: the earliest time of a message, in milliseconds since 1970.
        limit: how many messages, the newest, from 1 to `MOST_MESSAGES`.
    """

    since: int
    limit: int


class Replay:
    """Reads stored messages. Only those sent by the database are stored."""

    def __init__(self, database: Database) -> None:
        """Read through `database`, whose sessions own the table."""
        self._database = database

    async def read(self, topic: str, wish: ReplayWish) -> list[UserBroadcast]:
        """The messages to the private channel `topic`, oldest first.

        Raises:
            ReplayError: the database cannot be asked.
        """
        query = sql.SQL(_NEWEST).format(sql.Literal(topic), sql.Literal(wish.since), sql.Literal(wish.limit))
        try:
            rows = await self._database.rows(query)
        except psycopg.Error as error:
            raise ReplayError(str(error)) from error
        names = ("id", "event", "payload", "binary_payload")
        found = [broadcast_of(dict(zip(names, row, strict=True)), replayed=True) for row in reversed(rows)]
        return [broadcast for broadcast in found if broadcast is not None]


_NEWEST = """
select id::text, event, payload::text, binary_payload::text
from realtime.messages
where topic = {} and private and extension = 'broadcast'
  and inserted_at >= to_timestamp({} / 1000.0) at time zone 'utc'
  and inserted_at < now() at time zone 'utc' + interval '1 minute'
order by inserted_at desc
limit {}
"""
