"""Who is subscribed to what: entries checked against the database, and the registry that delivery looks into."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import orjson
import psycopg
from psycopg import sql

from devstack.realtime.bindings import Binding
from devstack.realtime.catalog import Catalog, Column, Table
from devstack.realtime.database import AS_LOGGED, Database, is_connection_trouble
from devstack.realtime.filters import PATTERNS, Comparison, Condition
from devstack.realtime.pgoutput import Relation
from devstack.realtime.tokens import Identity

_BOOLEAN = 16


class Listener(Protocol):
    """Whom changes are delivered to: a joined channel."""

    def changed(self, ids: Sequence[int], data: orjson.Fragment) -> None:
        """Take one change, which matched the bindings with these ids. Must not wait."""

    def interrupted(self, reason: str) -> None:
        """No changes flow for the time being."""

    def resumed(self) -> None:
        """Changes flow again after a gap, in which some may have been lost."""

    def subscribe_again(self) -> None:
        """The published tables are others now: subscribe anew, as before."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One binding of one listener, with the identity that decides what it may see."""

    listener: Listener
    binding: Binding
    identity: Identity


class Registry:
    """The live subscriptions."""

    def __init__(self) -> None:
        """Nobody is subscribed."""
        self._subscriptions: dict[Listener, tuple[Subscription, ...]] = {}
        self._by_table: dict[tuple[str, str], list[Subscription]] = {}

    def put(self, listener: Listener, bindings: Iterable[Binding], identity: Identity) -> None:
        """Make these the listener's subscriptions, in place of those it had."""
        self._subscriptions[listener] = tuple(Subscription(listener, binding, identity) for binding in bindings)
        self._by_table.clear()

    def remove(self, listener: Listener) -> None:
        """End the listener's subscriptions."""
        self._subscriptions.pop(listener, None)
        self._by_table.clear()

    def listeners(self) -> list[Listener]:
        """Everyone who is subscribed."""
        return list(self._subscriptions)

    def of_table(self, relation: Relation) -> Sequence[Subscription]:
        """The subscriptions that cover this table."""
        key = (relation.schema, relation.name)
        if key not in self._by_table:
            everything = (one for own in self._subscriptions.values() for one in own)
            self._by_table[key] = [one for one in everything if one.binding.covers(relation)]
        return self._by_table[key]


class Resolver:
    """Checks bindings against the database before they become subscriptions."""

    def __init__(self, database: Database, catalog: Catalog, publication: str) -> None:
        """Only tables in `publication` can be subscribed to."""
        self._database = database
        self._catalog = catalog
        self._publication = publication

    async def resolve(self, bindings: Iterable[Binding], role: str) -> list[Binding]:
        """The bindings, checked for `role`, their operands written as the database writes such values.

        Raises:
            SubscriptionError: one of them is impossible; then none is made.
            psycopg.OperationalError: the database is away.
        """
        return [resolved for binding in bindings for resolved in await self._explained(binding, role)]

    async def _explained(self, binding: Binding, role: str) -> list[Binding]:
        try:
            return await self._resolve(binding, role)
        except psycopg.Error as error:
            if is_connection_trouble(error):
                raise
            raise binding.impossible(str(error).splitlines()[0]) from error

    async def _resolve(self, binding: Binding, role: str) -> list[Binding]:
        if not await self._catalog.role_exists(role):
            raise binding.impossible(f'role "{role}" does not exist')
        oids = await self._catalog.published(self._publication, binding.schema, binding.table)
        if not oids:
            raise binding.not_published()
        if not binding.conditions and binding.select is None:
            return [binding]
        tables = [table for oid in oids if (table := await self._catalog.table(oid)) is not None]
        if not tables:  # dropped since
            raise binding.not_published()
        return [await self._for_table(binding, table, role) for table in tables]

    async def _for_table(self, binding: Binding, table: Table, role: str) -> Binding:
        """The binding for one of the tables it names, of whose columns it says something."""
        readable = await self._catalog.readable(table, role)
        for name in sorted(binding.select or ()):
            _column(table, name, readable, binding)
        checked = [
            await self._check(condition, _column(table, condition.column, readable, binding), binding)
            for condition in binding.conditions
        ]
        return replace(binding, schema=table.schema, table=table.name, conditions=tuple(checked), is_exact=True)

    async def _check(self, condition: Condition, column: Column, binding: Binding) -> Condition:
        if condition.op in PATTERNS and not column.is_text:
            raise binding.impossible(f"`{condition.op}` needs a text column, {column.name} is {column.sql_type}")
        if condition.op == "is":
            if condition.operands != ("null",) and column.type_oid != _BOOLEAN:
                raise binding.impossible(
                    f"`is.{condition.operands[0]}` needs a boolean column, {column.name} is {column.sql_type}"
                )
            return condition
        return replace(condition, operands=await self._as_written(condition, column))

    async def _as_written(self, condition: Condition, column: Column) -> tuple[str, ...]:
        """The operands in the database's own spelling; an error if they or the operator do not fit the type."""
        if condition.op in PATTERNS:
            await self._database.evaluate([Comparison("text", condition.op, condition.operands, "").expression()])
            return condition.operands
        kind = sql.SQL(column.sql_type)
        trial = Comparison(column.sql_type, condition.op, condition.operands, condition.operands[0])
        values = [sql.SQL("{}::{}").format(sql.Literal(operand), kind) for operand in condition.operands]
        spelled = [AS_LOGGED.format(value) for value in values]
        _, *operands = await self._database.evaluate([trial.expression(), *spelled])
        return tuple(operand or "" for operand in operands)


def _column(table: Table, name: str, readable: frozenset[str], binding: Binding) -> Column:
    column = table.by_name.get(name)
    if column is None or name not in readable:
        raise binding.impossible(f"invalid column for filter {name}")
    return column
