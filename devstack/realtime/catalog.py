"""What the database's catalog says about published tables, remembered until it changes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import psycopg
from psycopg import sql

from devstack.realtime.database import Database
from devstack.realtime.pgoutput import Relation

_REMEMBER_SECONDS = 10.0  # a changed table announces itself in the stream; a changed role membership does not

# Types that write equal values alike, so that texts can be compared instead of values.
_ALIKE = frozenset({16, 17, 18, 19, 20, 21, 23, 25, 26, 1043, 1082, 1083, 1114, 1184, 2950})
_TEXT_LIKE = "S"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a published table.

    Attributes:
        name: its name.
        type_oid: number of its type.
        type_name: how the message calls the type (`int4`, `_text`).
        sql_type: the type in SQL, without its modifier.
        full_type: the type in SQL with its modifier.
        is_enum: the type is an enumeration.
        is_text: the type is text-like, so that patterns apply.
        key_position: place in the primary key, from 1; None outside it.
        generated: expression of a stored generated column, which the log leaves out.
    """

    name: str
    type_oid: int
    type_name: str
    sql_type: str
    full_type: str
    is_enum: bool
    is_text: bool
    key_position: int | None
    generated: str | None

    @property
    def writes_equal_alike(self) -> bool:
        """Whether two values are equal exactly when their texts are."""
        return self.is_enum or self.type_oid in _ALIKE


@dataclass(frozen=True, eq=False)
class Table:
    """A published table: its columns in order, and whether row-level security is on."""

    oid: int
    schema: str
    name: str
    has_rls: bool
    columns: tuple[Column, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def key(self) -> tuple[Column, ...]:
        """The columns of the primary key, in its order; empty without one."""
        found = [(column.key_position, column) for column in self.columns if column.key_position is not None]
        return tuple(column for _, column in sorted(found, key=lambda pair: pair[0]))

    @cached_property
    def key_names(self) -> frozenset[str]:
        """The names of the key's columns."""
        return frozenset(column.name for column in self.key)

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name for a query."""
        return sql.Identifier(self.schema, self.name)


class Catalog:
    """Tables by number, and the columns each role may read."""

    def __init__(self, database: Database) -> None:
        """Nothing is read before it is asked for."""
        self._database = database
        self._tables: dict[int, tuple[float, Table | None]] = {}
        self._readable: dict[tuple[int, str], tuple[float, frozenset[str]]] = {}

    def forget(self, relation: Relation) -> None:
        """Read this table anew: the stream has described it, so a definition or a grant may have changed."""
        self._tables.pop(relation.oid, None)
        for key in [key for key in self._readable if key[0] == relation.oid]:
            del self._readable[key]

    async def table(self, oid: int) -> Table | None:
        """The table with this number; None once it is dropped."""
        known = self._tables.get(oid)
        if known is None or known[0] < time.monotonic():
            known = (time.monotonic() + _REMEMBER_SECONDS, await self._read_table(oid))
            self._tables[oid] = known
        return known[1]

    async def readable(self, table: Table, role: str) -> frozenset[str]:
        """Names of the columns of `table` that `role` may select; none for a role that does not exist."""
        known = self._readable.get((table.oid, role))
        if known is None or known[0] < time.monotonic():
            known = (time.monotonic() + _REMEMBER_SECONDS, await self._read_readable(table, role))
            self._readable[table.oid, role] = known
        return known[1]

    async def role_exists(self, role: str) -> bool:
        """Whether the database has this role."""
        query = sql.SQL("select from pg_catalog.pg_roles where rolname = {}").format(sql.Literal(role))
        return bool(await self._database.rows(query))

    async def published(self, publication: str, schema: str, table: str) -> list[int]:
        """Numbers of the published tables whose names are like these, of which either may be `*` for any."""
        patterns = ("%" if name == "*" else name for name in (schema, table))
        query = sql.SQL(_PUBLISHED).format(sql.Literal(publication), *map(sql.Literal, patterns))
        return [row[0] for row in await self._database.rows(query)]

    async def _read_table(self, oid: int) -> Table | None:
        rows = await self._database.rows(sql.SQL(_TABLE).format(sql.Literal(oid)))
        if not rows:
            return None
        schema, name, has_rls = rows[0][:3]
        return Table(oid, schema, name, has_rls, tuple(_column(row[3:]) for row in rows))

    async def _read_readable(self, table: Table, role: str) -> frozenset[str]:
        query = sql.SQL(_READABLE).format(sql.Literal(table.oid), sql.Literal(role))
        try:
            return frozenset(row[0] for row in await self._database.rows(query))
        except psycopg.errors.UndefinedObject:
            return frozenset()


def _column(row: tuple[str, int, str, str, str, str, str, int | None, str | None]) -> Column:
    name, type_oid, type_name, sql_type, full_type, kind, category, key_position, generated = row
    is_text = category == _TEXT_LIKE
    return Column(name, type_oid, type_name, sql_type, full_type, kind == "e", is_text, key_position, generated)


_TABLE = """
select n.nspname, c.relname, c.relrowsecurity, a.attname, t.oid::int8, t.typname,
  format_type(t.oid, null), format_type(t.oid, a.atttypmod), t.typtype::text, t.typcategory::text,
  case when array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts
    then array_position(i.indkey::int2[], a.attnum) + 1 end,
  case when a.attgenerated = 's' then pg_get_expr(d.adbin, d.adrelid) end
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_catalog.pg_type t on t.oid = a.atttypid
left join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary
left join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.oid = {}
order by a.attnum
"""

_READABLE = """
select a.attname from pg_catalog.pg_attribute a
where a.attrelid = {0} and a.attnum > 0 and not a.attisdropped
  and has_column_privilege({1}, a.attrelid, a.attnum, 'select')
"""

_PUBLISHED = """
select c.oid::int8 from pg_catalog.pg_publication_tables p
join pg_catalog.pg_namespace n on n.nspname = p.schemaname
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
where p.pubname = {} and p.schemaname like {} escape '' and p.tablename like {} escape ''
order by 1
"""
