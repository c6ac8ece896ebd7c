"""Reads out of PostgreSQL's own catalogues how relations belong together."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import TupleRow

from devstack.rest.relationships import KeyInView, Name, Relationship, all_relationships

# A key is unique when a primary key or unique constraint has exactly its columns.
_FOREIGN_KEYS = """
select k.oid, n.nspname, c.relname, fn.nspname, fc.relname, k.conname,
  (select json_agg(json_build_array(a.attname, fa.attname) order by p.place)
   from unnest(k.conkey, k.confkey) with ordinality as p(here, there, place)
   join pg_attribute a on a.attrelid = k.conrelid and a.attnum = p.here
   join pg_attribute fa on fa.attrelid = k.confrelid and fa.attnum = p.there),
  exists (select from pg_constraint u
          where u.conrelid = k.conrelid and u.contype in ('p', 'u')
            and u.conkey @> k.conkey and u.conkey <@ k.conkey)
from pg_constraint k
join pg_class c on c.oid = k.conrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_class fc on fc.oid = k.confrelid
join pg_namespace fn on fn.oid = fc.relnamespace
where k.contype = 'f' and k.conparentid = 0
order by k.conrelid, k.conname
"""

# What the views of any schema may show: whole keys, and either side of foreign keys.
_KEYS = """
select k.oid, s.kind, s.relation, s.columns
from pg_constraint k
cross join lateral (values
  (k.contype::text, k.conrelid, k.conkey), ('r', k.confrelid, k.confkey)) as s(kind, relation, columns)
where k.contype = 'f' or (k.contype = 'p' and s.kind = 'p')
order by k.oid
"""

_PRIMARY_KEYS = """
select n.nspname, c.relname,
  (select json_agg(a.attname) from pg_attribute a where a.attrelid = c.oid and a.attnum = any(k.conkey))
from pg_constraint k
join pg_class c on c.oid = k.conrelid
join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'p'
"""

_VIEWS = """
select c.oid, n.nspname, c.relname,
  (select json_object_agg(a.attnum, a.attname) from pg_attribute a
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  r.ev_action::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_rewrite r on r.ev_class = c.oid and r.ev_type = '1'
where c.relkind in ('v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
order by n.nspname, c.relname
"""

_COMPUTED = """
select n.nspname, p.proname, an.nspname, ac.relname, rn.nspname, rc.relname, not p.proretset or p.prorows = 1
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_class ac on ac.reltype = p.proargtypes[0] and ac.relkind in ('r', 'v', 'm', 'f', 'p')
join pg_namespace an on an.oid = ac.relnamespace
join pg_class rc on rc.reltype = p.prorettype and rc.relkind in ('r', 'v', 'm', 'f', 'p')
join pg_namespace rn on rn.oid = rc.relnamespace
where p.pronargs = 1 and p.prokind = 'f' and n.nspname = any(%s)
order by n.nspname, p.proname, p.oid
"""

_PARSED = re.compile(r"\\.|([{}])(TARGETENTRY )?|:(resno|resorigtbl|resorigcol) (\d+)", re.DOTALL)


class _View(NamedTuple):
    name: Name
    columns: Mapping[str, str]
    origins: Mapping[int, tuple[int, int]]


async def read_relationships(
    connection: psycopg.AsyncConnection[TupleRow], schemas: Sequence[str]
) -> tuple[dict[Name, list[Relationship]], dict[Name, tuple[str, ...]]]:
    """The relationships between what `schemas` hold, and the primary keys that views show.

    Args:
        connection: with an empty search path.
        schemas: what is exposed; whatever leads out of them, or through a junction outside of them, is left out.
    """
    foreign_keys = {row[0]: _foreign_key(row) for row in await _rows(connection, _FOREIGN_KEYS)}
    views = {row[0]: _View((row[1], row[2]), row[3], _origins(row[4])) for row in await _rows(connection, _VIEWS)}
    in_views = _keys_in_views(views, await _rows(connection, _KEYS))
    computed = [_computed(row) for row in await _rows(connection, _COMPUTED, [list(schemas)])]
    of_views: defaultdict[Name, tuple[str, ...]] = defaultdict(tuple)
    for one in in_views:
        if one.kind == "p":
            of_views[one.view] += tuple(names[0] for names in one.columns)
    of_tables = {(row[0], row[1]): row[2] for row in await _rows(connection, _PRIMARY_KEYS)}
    found = all_relationships(foreign_keys, in_views, computed, {**of_views, **of_tables})
    exposed = {
        start: [one for one in there if _is_within(one, schemas)]
        for start, there in found.items()
        if start[0] in schemas
    }
    return exposed, dict(of_views)


async def _rows(
    connection: psycopg.AsyncConnection[TupleRow], text: str, parameters: Sequence[Any] | None = None
) -> list[TupleRow]:
    return await (await connection.execute(text.encode(), parameters)).fetchall()


def _is_within(one: Relationship, schemas: Sequence[str]) -> bool:
    return one.foreign[0] in schemas and (one.junction is None or one.junction.table[0] in schemas)


def _foreign_key(row: TupleRow) -> Relationship:
    _, schema, table, foreign_schema, foreign, constraint, columns, unique = row
    names = (schema, table), (foreign_schema, foreign)
    pairs = tuple((here, there) for here, there in columns)
    return Relationship(*names, "one-to-one" if unique else "many-to-one", constraint, pairs)


def _computed(row: TupleRow) -> Relationship:
    schema, function, table_schema, table, foreign_schema, foreign, to_one = row
    return Relationship(
        (table_schema, table),
        (foreign_schema, foreign),
        "computed",
        function,
        to_one=to_one,
        function_schema=schema,
    )


def _origins(parsed: str) -> dict[int, tuple[int, int]]:
    """Of each column of a view, by number: oid and column of the relation that it shows unchanged.

    `parsed` is the view's query as PostgreSQL stores it, nodes in braces, of which only those right inside the
    query itself are the columns; deeper ones belong to its subqueries.
    """
    origins = {}
    depth, column, table, is_column = 0, 0, 0, False
    for brace, entry, name, number in _PARSED.findall(parsed):
        if brace == "{":
            depth += 1
            is_column = bool(entry) if depth == 2 else is_column
        elif brace == "}":
            depth -= 1
        elif depth == 2 and is_column and name:
            if name == "resno":
                column = int(number)
            elif name == "resorigtbl":
                table = int(number)
            elif table:
                origins[column] = (table, int(number))
    return origins


def _keys_in_views(views: Mapping[int, _View], keys: Sequence[TupleRow]) -> list[KeyInView]:
    by_relation: defaultdict[int, list[tuple[int, str, Sequence[int]]]] = defaultdict(list)
    for oid, kind, relation, columns in keys:
        by_relation[relation].append((oid, kind, columns))
    found = []
    for view in views.values():
        shown = _shown(view, views)
        for relation in dict.fromkeys(relation for relation, _ in shown):
            for oid, kind, columns in by_relation[relation]:
                names = tuple(tuple(shown.get((relation, column), ())) for column in columns)
                if all(names):
                    found.append(KeyInView(view.name, oid, kind, names))
    return found


def _shown(view: _View, views: Mapping[int, _View]) -> dict[tuple[int, int], list[str]]:
    """The view's names for each column of a table that it shows, be it by way of other views."""
    shown: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for number, (relation, column) in view.origins.items():
        place, passed = (relation, column), set[tuple[int, int]]()
        while place[0] in views and place not in passed:
            passed.add(place)
            place = views[place[0]].origins.get(place[1], (0, 0))
        shown[place].append(view.columns[str(number)])
    return shown
