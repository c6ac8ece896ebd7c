"""Plans for calls of functions: the hot path, since the queue claims and settles through it."""

# ruff: noqa: S608 - user text gets into SQL as sql.py lets it: a parameter or a quoted identifier

from collections.abc import Sequence
from dataclasses import replace

from devstack.rest.catalogue import Catalogue, Function, Parameter
from devstack.rest.errors import RestError
from devstack.rest.media import negotiate
from devstack.rest.payload import Payload
from devstack.rest.plans import (
    RESPONSE_SETTINGS,
    ROWS,
    Intent,
    Plan,
    check_levels,
    check_preferences,
    rows_as_json,
    wanted_fields,
)
from devstack.rest.preferences import NONE
from devstack.rest.query_string import Query
from devstack.rest.ranges import ALL_ROWS
from devstack.rest.reads import filter_text, select_text
from devstack.rest.sql import Parameters, Source, Statement, array_of, limited, quoted

APPLIED = ("count", "tx", "handling", "timezone", "max-affected")

MAX_PLANS = 1000
"""How many plans are remembered: a function that takes any JSON has as many as clients think up keys."""

_BODY, _SOURCE, _SCALAR = '"rest body"', '"rest source"', "pgrst_scalar"
_NO_QUERY = Query()
_COUNTED = ("exact", "estimated")
"""The counts that functions know; nobody can plan what one will return."""


class CallPlanner:
    """Plans calls against one catalogue, and remembers the plan of each way to call each function."""

    def __init__(self, catalogue: Catalogue, max_rows: int | None) -> None:
        self._catalogue, self._max_rows = catalogue, max_rows
        self._plans: dict[tuple[object, ...], Plan] = {}

    def plan(self, intent: Intent) -> Plan:
        """Call a function.

        Raises:
            RestError: PGRST202 or PGRST203, there is no such function or several; and as for reading.
        """
        payload = intent.payload
        if payload is None or not _is_usual(intent):
            return self._plan(intent)
        key = (intent.schema, intent.name, payload.keys, payload.is_object)
        plan = self._plans.get(key) or self._remember(key, self._plan(intent))
        return replace(plan, main=replace(plan.main, values=(payload.raw,) if plan.main.values else ()))

    def _remember(self, key: tuple[object, ...], plan: Plan) -> Plan:
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        self._plans[key] = plan
        return plan

    def _plan(self, intent: Intent) -> Plan:
        function = _find(self._catalogue, intent)
        check_levels(intent.query)
        wanted_fields(intent.query.select)
        media = negotiate(intent.accept)
        check_preferences(intent.preferences)
        if intent.preferences.max_affected is not None and not function.returns_set:
            message = "Function must return SETOF or TABLE when max-affected preference is used with handling=strict"
            raise RestError(400, "PGRST128", message)
        plan = Plan(
            Statement(b""),
            "call",
            function.name,
            read_only=intent.payload is None or not function.volatile,
            media=media,
            preferences=intent.preferences,
            window=intent.window,
            settings=function.settings,
            isolation=function.isolation,
            has_body=function.shape != "void",
            applied=APPLIED,
        )
        return replace(plan, main=self._statement(plan, function, intent))

    def _statement(self, plan: Plan, function: Function, intent: Intent) -> Statement:
        parameters = Parameters()
        plain = not _shapes_rows(intent)
        if plain and not function.returns_set and function.shape != "columns":
            text = _value_text(plan, function, intent, parameters)
        else:
            source = self._source_of(function)
            text = _rows_text(plan, function, intent, source, parameters, self._max_rows)
        return Statement(text.encode(), parameters.values, lasting=plain)

    def _source_of(self, function: Function) -> Source:
        """What the function returns, named after the table whose rows they are, if so."""
        relation = self._catalogue.relations.get(function.relation) if function.relation else None
        columns = relation.columns if relation else {}
        name = relation.name if relation else function.name
        return Source(quoted(name), lambda wanted: found.type if (found := columns.get(wanted)) else None)


def _find(catalogue: Catalogue, intent: Intent) -> Function:
    payload = intent.payload
    names = payload.keys if payload else [name for name, _ in intent.query.arguments]
    return catalogue.function(intent.schema, intent.name, frozenset(names), with_body=payload is not None)


def _is_usual(intent: Intent) -> bool:
    """Whether nothing but the function's name and arguments decides about the plan."""
    plain = intent.query == _NO_QUERY and intent.preferences == NONE and intent.window == ALL_ROWS
    return plain and intent.accept in (None, "*/*", "application/json")


def _shapes_rows(intent: Intent) -> bool:
    """Whether the query asks for anything else than the whole result."""
    query = intent.query
    wanted = query.select or query.filters or query.logic or query.order or query.limits or query.offsets
    return bool(wanted) or intent.window != ALL_ROWS


def _value_text(plan: Plan, function: Function, intent: Intent, parameters: Parameters) -> str:
    """One value: called in the select list, where a null row is null and not a row of nulls."""
    tables, call = _call(function, intent, parameters)
    value = f"to_json({call})"
    if plan.media.stripped:
        value = f"json_strip_nulls({value})"
    body = f"({call})::text" if function.shape == "void" else f"coalesce({value}::text, 'null')"
    total = "1" if plan.preferences.get("count") in _COUNTED else "null"
    return f"select {total}, 1, {body}, {RESPONSE_SETTINGS}{' from ' + tables if tables else ''}"


def _rows_text(
    plan: Plan,
    function: Function,
    intent: Intent,
    source: Source,
    parameters: Parameters,
    max_rows: int | None,
) -> str:
    """Rows or many values, which the query may select from, filter and order."""
    tables, call = _call(function, intent, parameters)
    if function.shape == "scalar":
        called = f"select {call} as {_SCALAR}{' from ' + tables if tables else ''}"
    else:
        called = f"select c.* from {tables + ', lateral ' if tables else ''}{call} c"
    query, window = intent.query, intent.window.at_most(max_rows)
    from_source = f"{_SOURCE} as {source.name}"
    rows = select_text(query, source, from_source, parameters) + limited(window.limit, window.offset)
    total = "null"
    if plan.preferences.get("count") in _COUNTED:
        total = f"(select count(*) from {from_source}{filter_text(query, source, parameters)})"
    item = f"{ROWS}.{_SCALAR}" if function.shape == "scalar" and not query.select else ROWS
    body = rows_as_json(plan.media, item, one=not function.returns_set)
    held = "count(*)" if function.returns_set else "1"
    result = f"{total}, {held}, {body}, {RESPONSE_SETTINGS}"
    return f"with {_SOURCE} as ({called}) select {result} from ({rows}) {ROWS}"


def _call(function: Function, intent: Intent, parameters: Parameters) -> tuple[str, str]:
    """The call, and the tables that its arguments come from."""
    name = f"{quoted(function.schema)}.{quoted(function.name)}"
    payload = intent.payload
    if payload is None:
        return "", f"{name}({', '.join(_arguments(function, intent.query.arguments, parameters))})"
    if function.takes_whole_body:
        return "", f"{name}({parameters.add(payload.raw)}::{function.parameters[0].type})"
    given = [one for one in function.parameters if one.name in payload.keys]
    if not given:
        return "", f"{name}()"
    arguments = (_named(one, f"{_BODY}.{quoted(one.name)}") for one in given)
    return _body_table(payload, given, parameters), f"{name}({', '.join(arguments)})"


def _arguments(function: Function, pairs: Sequence[tuple[str, str]], parameters: Parameters) -> list[str]:
    """Arguments out of a query string: of one that is repeated the last counts, or all if it is variadic."""
    found = []
    for one in function.parameters:
        values = [value for name, value in pairs if name == one.name]
        if values:
            value = array_of(values) if one.variadic else values[-1]
            found.append(_named(one, parameters.add(value)))
    return found


def _named(parameter: Parameter, value: str) -> str:
    return f"{'variadic ' if parameter.variadic else ''}{quoted(parameter.name)} => {value}"


def _body_table(payload: Payload, given: Sequence[Parameter], parameters: Parameters) -> str:
    """The arguments in a JSON object, or in the first object of an array, as a table of one row."""
    names = ", ".join(quoted(one.name) for one in given)
    types = ", ".join(f"{quoted(one.name)} {one.type}" for one in given)
    read, first = ("json_to_record", "") if payload.is_object else ("json_to_recordset", " limit 1")
    return f"(select {names} from {read}({parameters.add(payload.raw)}::json) as _({types}){first}) {_BODY}"
