"""Plans for POST, PATCH and DELETE of a table or view."""

# ruff: noqa: S608 - user text gets into SQL as sql.py lets it: a parameter or a quoted identifier

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from devstack.rest.catalogue import Catalogue, Column, Relation
from devstack.rest.errors import RestError
from devstack.rest.media import negotiate
from devstack.rest.payload import Payload
from devstack.rest.plans import (
    RESPONSE_SETTINGS,
    ROWS,
    Intent,
    Plan,
    answer_of,
    check_preferences,
)
from devstack.rest.responses import wrong_key
from devstack.rest.sql import Parameters, Statement, column, condition, literal, quoted, where
from devstack.rest.tree_sql import rows_text
from devstack.rest.trees import Node, relation_source, tree_of

# Names that stand beside the table's own in one statement.
_PAYLOAD, _BODY, _SOURCE = '"rest payload"', '"rest body"', '"rest source"'

Action = Literal["insert", "put", "update", "delete"]
Kinds = tuple[str, ...]

_INSERTED = "nullif(current_setting('rest.inserted', true), '')"
_COUNT_ROW = f"set_config('rest.inserted', (coalesce({_INSERTED}::int, 0) + 1)::text, true) is not null"
_UNCOUNT_ROW = f"set_config('rest.inserted', ({_INSERTED}::int - 1)::text, true) is not null"


def plan_insert(intent: Intent, payload: Payload, relation: Relation, catalogue: Catalogue) -> Plan:
    """Insert the body's rows, or merge or ignore those that are there already.

    Raises:
        RestError: PGRST204, a key of the body is no column; and as for reading.
    """
    parameters = Parameters()
    columns = _columns_of(payload, relation)
    target = intent.query.on_conflict or relation.primary_key
    resolution = intent.preferences.get("resolution") if target else None
    rows = _body_rows(payload, columns, parameters, defaults=_wants_defaults(intent))
    names = f" ({', '.join(quoted(one.name) for one in columns)})" if columns else ""
    values = ", ".join(f"{_BODY}.{quoted(one.name)}" for one in columns)
    text = f"insert into {_table(relation)}{names} select {values} from {rows}"
    if resolution:
        text += _on_conflict(resolution, target, columns)
    applied = ("return", "count", "tx", "missing", "handling", "timezone", *(("resolution",) if resolution else ()))
    plan = _plan(intent, relation, catalogue, parameters, text, "insert", applied)
    return replace(plan, merges=resolution == "merge-duplicates")


def plan_put(intent: Intent, payload: Payload, relation: Relation, catalogue: Catalogue) -> Plan:
    """Insert the one row that the filters name by its primary key, or change it to what the body says.

    Raises:
        RestError: PGRST105, the filters are anything else than the key; PGRST115, the body lacks it; else as for
            inserting.
    """
    keys = set(relation.primary_key)
    filters = [found for path, found in intent.query.filters if not path]
    plain = all(one.operator == "eq" and not (one.negated or one.modifier or one.field.path) for one in filters)
    if not keys or not plain or intent.query.logic or {one.field.name for one in filters} != keys:
        message = "Filters must include all and only primary key columns with 'eq' operators"
        raise RestError(405, "PGRST105", message)
    columns = _columns_of(payload, relation)
    if not keys <= set(payload.keys):
        raise wrong_key()
    parameters = Parameters()
    body = relation_source(relation, _BODY.strip('"'))
    rows = _body_rows(payload, columns, parameters, defaults=False)
    named = where([condition(body, one, parameters) for one in filters])
    names = ", ".join(quoted(one.name) for one in columns)
    # Rows are counted on their way in, so that those which the URL does not name must be gone before.
    text = f"insert into {_table(relation)} ({names}) select {names} from"
    text += f" (select {_BODY}.* from {rows}{named} offset 0) {_BODY}"
    text += _on_conflict("merge-duplicates", relation.primary_key, columns)
    return _plan(intent, relation, catalogue, parameters, text, "put", ("return", "tx", "handling", "timezone"))


def plan_update(intent: Intent, payload: Payload, relation: Relation, catalogue: Catalogue, *, safe: bool) -> Plan:
    """Change the rows that the filters find.

    Raises:
        RestError: 21000, `safe` and there is no filter; else as for inserting.
    """
    parameters = Parameters()
    columns = _columns_of(payload, relation)
    found = _filters(intent, relation, parameters)
    if columns:
        _check_safe(found, "UPDATE", safe=safe)
        rows = _body_rows(payload, columns, parameters, defaults=_wants_defaults(intent))
        changes = ", ".join(f"{quoted(one.name)} = {_BODY}.{quoted(one.name)}" for one in columns)
        text = f"update {_table(relation)} set {changes} from {rows}{found}"
    else:
        text, parameters = "", Parameters()  # an object without keys names nothing that SQL could set
    applied = ("return", "count", "tx", "missing", "handling", "timezone", "max-affected")
    return _plan(intent, relation, catalogue, parameters, text, "update", applied)


def plan_delete(intent: Intent, relation: Relation, catalogue: Catalogue, *, safe: bool) -> Plan:
    """Delete the rows that the filters find.

    Raises:
        RestError: 21000, `safe` and there is no filter; else as for reading.
    """
    parameters = Parameters()
    found = _filters(intent, relation, parameters)
    _check_safe(found, "DELETE", safe=safe)
    applied = ("return", "count", "tx", "handling", "timezone", "max-affected")
    text = f"delete from {_table(relation)}{found}"
    return _plan(intent, relation, catalogue, parameters, text, "delete", applied)


def _filters(intent: Intent, relation: Relation, parameters: Parameters) -> str:
    """The `where` clause of the filters that choose the rows to change."""
    source = relation_source(relation)
    conditions = [one for path, one in intent.query.conditions if not path]
    return where([condition(source, one, parameters) for one in conditions])


def _plan(
    intent: Intent,
    relation: Relation,
    catalogue: Catalogue,
    parameters: Parameters,
    text: str,
    action: Action,
    applied: Kinds,
) -> Plan:
    """The plan around a changing statement, or around none (`text` empty), which then finds no rows."""
    source = relation_source(relation)
    root = Node(relation.name, source, f"{_SOURCE} as {source.name}")
    tree_of(intent.query, catalogue, intent.schema, root, changing=True)
    check_preferences(intent.preferences)
    media = negotiate(intent.accept)
    wanted = intent.preferences.get("return")
    has_body = wanted == "representation"
    told = action == "insert" and wanted == "headers-only"
    keys = tuple([name for name in relation.columns if told and name in relation.primary_key])
    needed = root.needed() if has_body else keys
    returned = ", ".join(column(source, name) for name in needed) or "1"
    changed = f"{text} returning {returned}" if text else f"select {returned} from {_table(relation)} where false"
    rows = rows_text(root, None, parameters) if has_body else f"select * from {_SOURCE}"
    body = answer_of(media) if has_body else _location(keys)
    result = f"null, count(*), {body}, {RESPONSE_SETTINGS}, {_INSERTED}"
    main = f"with {_SOURCE} as ({changed}) select {result} from ({rows}) {ROWS}"
    return Plan(
        Statement(main.encode(), parameters.values),
        action,
        relation.name,
        read_only=False,
        media=media,
        preferences=intent.preferences,
        has_body=has_body,
        location_keys=keys,
        applied=applied,
    )


def _location(keys: Sequence[str]) -> str:
    """The key of the one row that was inserted, as a JSON array of texts; empty for several rows."""
    if not keys:
        return "''"
    values = ", ".join(f"{ROWS}.{quoted(key)}::text" for key in keys)
    return f"case when count(*) = 1 then (json_agg(json_build_array({values}))->0)::text end"


def _table(relation: Relation) -> str:
    return f"{quoted(relation.schema)}.{quoted(relation.name)}"


def _columns_of(payload: Payload, relation: Relation) -> list[Column]:
    for key in payload.keys:
        if key not in relation.columns:
            message = f"Could not find the '{key}' column of '{relation.name}' in the schema cache"
            raise RestError(400, "PGRST204", message)
    return [relation.columns[key] for key in payload.keys]


def _wants_defaults(intent: Intent) -> bool:
    return intent.preferences.get("missing") == "default"


def _check_safe(conditions: str, verb: str, *, safe: bool) -> None:
    """Refuse to touch a whole table, as the safeupdate extension does for the API roles of a hosted project."""
    if safe and not conditions:
        raise RestError(400, "21000", f"{verb} requires a WHERE clause")


def _on_conflict(resolution: str, target: Sequence[str], columns: Sequence[Column]) -> str:
    """The conflict clause. Rows are counted on their way in, and discounted when they were there already:
    views have no `xmax` to tell the two apart."""
    key = ", ".join(quoted(name) for name in target)
    if resolution == "ignore-duplicates" or not columns:
        return f" on conflict ({key}) do nothing"
    changes = ", ".join(f"{quoted(one.name)} = excluded.{quoted(one.name)}" for one in columns)
    return f" where {_COUNT_ROW} on conflict ({key}) do update set {changes} where {_UNCOUNT_ROW}"


def _body_rows(payload: Payload, columns: Sequence[Column], parameters: Parameters, *, defaults: bool) -> str:
    """The rows of a JSON body as a table, for `from`."""
    if not columns and payload.is_object:
        return f"(values (1)) {_BODY}"
    kind = "jsonb" if defaults else "json"
    given = f"(select {parameters.add(payload.raw)}::{kind} as d) {_PAYLOAD}"
    if not columns:
        return f"{given}, {kind}_array_elements({_PAYLOAD}.d) {_BODY}"
    completed, value = (_completed(payload, columns), '"rest completed".d') if defaults else ("", f"{_PAYLOAD}.d")
    names = ", ".join(quoted(one.name) for one in columns)
    types = ", ".join(f"{quoted(one.name)} {one.type}" for one in columns)
    read = f"{kind}_to_record{'' if payload.is_object else 'set'}"
    return f"{given}{completed}, lateral (select {names} from {read}({value}) as _({types})) {_BODY}"


def _completed(payload: Payload, columns: Sequence[Column]) -> str:
    """The body with the defaults of columns where an object has no such key."""
    pairs = ", ".join(f"{literal(one.name)}, {one.default}" for one in columns if one.default is not None)
    base = f"jsonb_build_object({pairs})"
    if payload.is_object:
        return f', lateral (select {base} || {_PAYLOAD}.d as d) "rest completed"'
    every = f"select jsonb_agg({base} || e) as d from jsonb_array_elements({_PAYLOAD}.d) e"
    return f', lateral ({every}) "rest completed"'
