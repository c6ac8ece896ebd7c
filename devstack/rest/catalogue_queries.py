"""Reads a `Catalogue` out of PostgreSQL's own catalogues."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from devstack.rest.catalogue import Catalogue, Column, Function, Parameter, Relation, RoleSettings, Settings
from devstack.rest.relationship_queries import read_relationships

_HOISTED = ("statement_timeout", "plan_filter.statement_cost_limit")
"""Settings of a function that must be in force before it is called, or they come too late."""

_TAKING_BODIES = ("json", "jsonb", "text", "xml", "bytea")
"""Types of an unnamed parameter that can take a request's body as a whole."""

_ISOLATION = "default_transaction_isolation"

_RELATIONS = """
select n.nspname, c.relname,
  (select coalesce(json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), case
      when a.attidentity <> '' then  -- not by pg_get_serial_sequence, which wants rights on the schema
        (select format('nextval(%%L)', format('%%I.%%I', sn.nspname, s.relname))
         from pg_depend o join pg_class s on s.oid = o.objid join pg_namespace sn on sn.oid = s.relnamespace
         where o.classid = 'pg_class'::regclass and o.refclassid = 'pg_class'::regclass and o.deptype = 'i'
           and o.refobjid = a.attrelid and o.refobjsubid = a.attnum and s.relkind = 'S')
      when a.attgenerated = '' then coalesce(pg_get_expr(d.adbin, d.adrelid), pg_get_expr(t.typdefaultbin, 0))
    end) order by a.attnum), '[]')
   from pg_attribute a
   join pg_type t on t.oid = a.atttypid
   left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  (select coalesce(json_agg(a.attname order by k.place), '[]')
   from pg_index i, unnest(i.indkey) with ordinality as k(attnum, place), pg_attribute a
   where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum),
  pg_relation_is_updatable(c.oid, true)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any(%s) and c.relkind in ('r', 'v', 'm', 'f', 'p') and not c.relispartition
"""

_FUNCTIONS = """
select n.nspname, p.proname,
  case
    when p.prorettype = 'void'::regtype then 'void'
    when p.proargmodes && '{t,b,o}'::"char"[] then 'columns'
    when coalesce(b.typtype, t.typtype) = 'c' then 'composite'
    else 'scalar'
  end,
  p.proretset,
  case when c.relkind in ('r', 'v', 'm', 'f', 'p') then json_build_array(cn.nspname, c.relname) end,
  p.provolatile = 'v',
  (select coalesce(json_agg(json_build_array(coalesce(a.name, ''), case
        when a.type = 'bit'::regtype then 'bit varying'
        when a.type = 'bit[]'::regtype then 'bit varying[]'
        when a.type = 'character'::regtype then 'character varying'
        when a.type = 'character[]'::regtype then 'character varying[]'
        else format_type(a.type, null)
      end, a.place <= p.pronargs - p.pronargdefaults, a.mode = 'v') order by a.place), '[]')
   from (select u.name, u.type, coalesce(u.mode, 'i') as mode, row_number() over (order by u.place) as place
         from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes)
           with ordinality as u(type, name, mode, place)
         where coalesce(u.mode, 'i') in ('i', 'b', 'v')) as a),
  coalesce(to_json(p.proconfig), '[]')
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_type t on t.oid = p.prorettype
left join pg_type b on b.oid = t.typbasetype and t.typtype = 'd'
left join pg_class c on c.oid = coalesce(b.typrelid, t.typrelid)
left join pg_namespace cn on cn.oid = c.relnamespace
where n.nspname = any(%s) and p.prokind = 'f'
  and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
"""

_ROLES = """
select r.rolname, s.entry
from pg_auth_members m
join pg_roles me on me.oid = m.member and me.rolname = current_user
join pg_roles r on r.oid = m.roleid
cross join unnest(r.rolconfig) as s(entry)
left join pg_settings k on k.name = split_part(s.entry, '=', 1)
where k.context is distinct from 'superuser' or has_parameter_privilege(k.name, 'set')
"""

_TIMEZONES = "select name from pg_timezone_names"

_UPDATABLE = (("POST", 8), ("PATCH", 4), ("DELETE", 16))
"""The bits of pg_relation_is_updatable, and the method that each allows."""


async def read_catalogue(connection: psycopg.AsyncConnection[TupleRow], schemas: Sequence[str]) -> Catalogue:
    """What `schemas` hold, and the settings of the roles that this connection may take."""
    await connection.execute("select set_config('search_path', '', false)")  # so that types come out qualified
    relations = await (await connection.execute(_RELATIONS, [list(schemas)])).fetchall()
    functions = await (await connection.execute(_FUNCTIONS, [list(schemas)])).fetchall()
    roles = await (await connection.execute(_ROLES)).fetchall()
    overloads: defaultdict[tuple[str, str], list[Function]] = defaultdict(list)
    for function in sorted(filter(None, map(_function, functions)), key=_by_parameters):
        overloads[function.schema, function.name].append(function)
    found = {(row[0], row[1]): _relation(row) for row in relations}
    relationships, of_views = await read_relationships(connection, schemas)
    for name, primary_key in of_views.items():
        if name in found:
            found[name] = replace(found[name], primary_key=primary_key)
    return Catalogue(found, relationships, dict(overloads), _roles(roles))


async def read_timezones(connection: psycopg.AsyncConnection[TupleRow]) -> frozenset[str]:
    """The names of time zones that the server knows."""
    cursor = await connection.execute(_TIMEZONES)
    return frozenset([name for (name,) in await cursor.fetchall()])


def _relation(row: TupleRow) -> Relation:
    schema, name, columns, primary_key, updatable = row
    return Relation(
        schema,
        name,
        {column[0]: Column(*column) for column in columns},
        tuple(primary_key),
        tuple(method for method, bit in _UPDATABLE if updatable & bit),
    )


def _function(row: TupleRow) -> Function | None:
    """The function in a row; None for one that cannot be called, having unnamed parameters."""
    schema, name, shape, returns_set, relation, volatile, parameters, config = row
    function = Function(
        schema,
        name,
        tuple(Parameter(*parameter) for parameter in parameters),
        shape,
        returns_set,
        tuple(relation) if relation else None,
        volatile,
        *_settings_of(config, _HOISTED),
    )
    named = all(parameter.name for parameter in function.parameters)
    return function if named or function.whole_type in _TAKING_BODIES else None


def _by_parameters(function: Function) -> tuple[int, list[tuple[str, str]]]:
    """The fewer parameters the sooner: the order in which overloads are told."""
    return len(function.parameters), [(one.name, one.type) for one in function.parameters]


def _roles(rows: Iterable[TupleRow]) -> dict[str, RoleSettings]:
    entries: defaultdict[str, list[str]] = defaultdict(list)
    for role, entry in rows:
        entries[role].append(entry)
    return {role: RoleSettings(*_settings_of(config)) for role, config in entries.items()}


def _settings_of(config: Iterable[str], wanted: Sequence[str] | None = None) -> tuple[Settings, str | None]:
    """`name=value` entries as pairs, and apart from them the isolation level."""
    pairs: list[Any] = [tuple(entry.split("=", 1)) for entry in config]
    isolation = dict(pairs).get(_ISOLATION)
    kept = [pair for pair in pairs if pair[0] != _ISOLATION and (wanted is None or pair[0] in wanted)]
    return tuple(kept), isolation
