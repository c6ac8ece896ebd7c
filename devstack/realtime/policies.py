"""Policies on `realtime.messages`: the database itself says who may hear and say what on a private channel.

Both questions are asked with rows that are rolled back, so nobody ever receives them.
"""

import json
import logging
import uuid
from collections.abc import Iterable, Mapping

import psycopg
from psycopg import sql

from devstack.realtime.database import Database, is_connection_trouble, settings
from devstack.realtime.tokens import Identity

BROADCAST, PRESENCE = "broadcast", "presence"

_log = logging.getLogger(__name__)


class AccessError(Exception):
    """A private channel is closed to someone. `code` is the prefix of the reason when a join is refused."""

    def __init__(self, code: str, message: str) -> None:
        """Keep both parts: a refused join shows `code: message`, a channel that is closed the message alone."""
        super().__init__(message)
        self.code = code


class Policies:
    """Asks the database on behalf of subscribers."""

    def __init__(self, database: Database) -> None:
        """Ask through `database`, whose sessions own the table."""
        self._database = database

    async def readable(self, topic: str, extensions: Iterable[str], identity: Identity, headers: str) -> frozenset[str]:
        """Which of `extensions` the subscriber may receive on `topic`; none if a policy raises.

        Raises:
            AccessError: the database cannot be asked.
        """
        ids = {str(uuid.uuid4()): extension for extension in extensions}
        rows = sql.SQL(", ").join(
            sql.SQL("({}, {}, {})").format(sql.Literal(number), sql.Literal(topic), sql.Literal(extension))
            for number, extension in ids.items()
        )
        probe = sql.SQL("insert into realtime.messages (id, topic, extension) values {}").format(rows)
        seen = sql.SQL("select id::text from realtime.messages where id = any({}::uuid[])").format(
            sql.Literal(list(ids))
        )
        answers = await self._ask([probe, _as_subscriber(topic, identity, headers), seen])
        return frozenset(ids[row[0]] for row in answers[-1]) if answers is not None else frozenset()

    async def may_write(self, topic: str, extension: str, identity: Identity, headers: str) -> bool:
        """Whether the subscriber may send this on `topic`; not if a policy raises.

        Raises:
            AccessError: the database cannot be asked.
        """
        row = sql.SQL("insert into realtime.messages (topic, extension) values ({}, {})").format(
            sql.Literal(topic), sql.Literal(extension)
        )
        return await self._ask([_as_subscriber(topic, identity, headers), row]) is not None

    async def _ask(self, statements: list[sql.Composed]) -> list[list[tuple[str]]] | None:
        """What the statements give; None if the database refuses one of them."""
        try:
            return await self._database.rolled_back(statements)
        except psycopg.errors.InsufficientPrivilege:
            return None
        except psycopg.Error as error:
            if is_connection_trouble(error):
                message = "Realtime was unable to connect to the project database"
                raise AccessError("UnableToConnectToProject", message) from error
            _log.warning("a private channel stays closed, its policies failed: %s", error)
            return None


def own_headers(headers: Mapping[str, str]) -> str:
    """The headers policies can read, those that begin with `x-`, as JSON text."""
    return json.dumps({name: value for name, value in headers.items() if name.startswith("x-")})


def _as_subscriber(topic: str, identity: Identity, headers: str) -> sql.Composed:
    return settings(
        {
            "role": identity.role,
            "realtime.topic": topic,
            "request.jwt.claims": identity.claims,
            "request.jwt.claim.sub": str(json.loads(identity.claims).get("sub") or ""),
            "request.jwt.claim.role": identity.role,
            "request.headers": headers,
        }
    )
