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
    answer_of,
    check_preferences,
)
from devstack.rest.preferences import NONE
from devstack.rest.query_string import Query
from devstack.rest.ranges import ALL_ROWS
from devstack.rest.sql import Parameters, Source, Statement, array_of, column, quoted
from devstack.rest.tree_sql import matches_text, rows_text
from devstack.rest.trees import Node, relation_source, tree_of

APPLIED = ("count", "tx", "handling", "timezone", "max-affected")

MAX_PLANS = 1000
"""How many plans are remembered: a function that takes any JSON has as many as clients think up keys."""

_BODY, _SOURCE, _SCALAR = '"rest body"', '"rest source"', "pgrst_scalar"
_CALLED = Source('"rest call"', lambda _: None)
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
        if payload is None or not payload.is_json or not _is_usual(intent):
            return self._plan(intent)
        key = (intent.schema, intent.name, payload.keys, payload.is_object)
        plan = self._plans.get(key) or self._remember(key, self._plan(intent))
        return replace(plan, main=replace(plan.main, values=(payload.raw,) if plan.main.values else ()))

    def _remember(self, key: tuple[object, ...], plan: Plan) -> Plan:
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        self._plans[key] = plan
        return plan

    def changes(self, intent: Intent) -> bool:
        """Whether the function may write.

        Raises:
            RestError: PGRST202 or PGRST203, there is no such function or several.
        """
        return _find(self._catalogue, intent).volatile

    def _plan(self, intent: Intent) -> Plan:
        function = _find(self._catalogue, intent)
        root = self._root(function, intent)
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
        return replace(plan, main=_statement(plan, function, intent, root))

    def _root(self, function: Function, intent: Intent) -> Node:
        """What the function returns, as the top of a tree: named after the table whose rows they are, if so."""
        relation = self._catalogue.relations.get(function.relation) if function.relation else None
        source = relation_source(relation) if relation else Source(quoted(function.name), lambda _: None)
        name = relation.name if relation else function.name
        window = intent.window.at_most(self._max_rows)
        root = Node(name, source, f"{_SOURCE} as {source.name}", window=window)
        return tree_of(intent.query, self._catalogue, intent.schema, root, max_rows=self._max_rows)


def _find(catalogue: Catalogue, intent: Intent) -> Function:
    payload = intent.payload
    if payload is None:
        names = frozenset([name for name, _ in intent.query.arguments])
        return catalogue.function(intent.schema, intent.name, names, (), raw=False)
    return catalogue.function(intent.schema, intent.name, frozenset(payload.keys), payload.whole, raw=payload.is_raw)


def _is_usual(intent: Intent) -> bool:
    """Whether nothing but the function's name and arguments decides about the plan."""
    plain = intent.query == _NO_QUERY and intent.preferences == NONE and intent.window == ALL_ROWS
    return plain and intent.accept in (None, "*/*", "application/json")


def _shapes_rows(intent: Intent) -> bool:
    """Whether the query asks for anything else than the whole result."""
    query = intent.query
    wanted = query.select or query.filters or query.logic or query.order or query.limits or query.offsets
    return bool(wanted) or intent.window != ALL_ROWS


def _statement(plan: Plan, function: Function, intent: Intent, root: Node) -> Statement:
    parameters = Parameters()
    plain = not _shapes_rows(intent)
    if plain and not (function.returns_set or function.shape == "columns" or plan.media.table):
        text = _value_text(plan, function, intent, parameters)
    else:
        text = _rows_text(plan, function, intent, root, parameters)
    return Statement(text.encode(), parameters.values, lasting=plain)


def _value_text(plan: Plan, function: Function, intent: Intent, parameters: Parameters) -> str:
    """One value: called in the select list, where a null row is null and not a row of nulls."""
    tables, call = _call(function, intent, parameters)
    value = f"to_json({call})"
    if plan.media.stripped:
        value = f"json_strip_nulls({value})"
    body = f"({call})::text" if function.shape == "void" else f"coalesce({value}::text, 'null')"
    total = "1" if plan.preferences.get("count") in _COUNTED else "null"
    return f"select {total}, 1, {body}, {RESPONSE_SETTINGS}{' from ' + tables if tables else ''}"


def _rows_text(plan: Plan, function: Function, intent: Intent, root: Node, parameters: Parameters) -> str:
    """Rows or many values, which the query may select from, filter and order."""
    tables, call = _call(function, intent, parameters)
    if function.shape == "scalar":
        called = f"select {call} as {_SCALAR}{' from ' + tables if tables else ''}"
    else:
        needed = ", ".join(column(_CALLED, name) for name in root.needed())
        called = f"select {needed} from {tables + ', lateral ' if tables else ''}{call} {_CALLED.name}"
    rows, total = rows_text(root, None, parameters), "null"
    if plan.preferences.get("count") in _COUNTED:
        total = f"(select count(*) from ({matches_text(root, None, parameters)}) c)"
    item = f"{ROWS}.{_SCALAR}" if function.shape == "scalar" and not root.fields else ROWS
    body = answer_of(plan.media, item, one=not function.returns_set)
    held = "count(*)" if function.returns_set else "1"
    result = f"{total}, {held}, {body}, {RESPONSE_SETTINGS}"
    return f"with {_SOURCE} as ({called}) select {result} from ({rows}) {ROWS}"


def _call(function: Function, intent: Intent, parameters: Parameters) -> tuple[str, str]:
    """The call, and the tables that its arguments come from."""
    name = f"{quoted(function.schema)}.{quoted(function.name)}"
    payload = intent.payload
    if function.whole_type and payload:
        return "", f"{name}({parameters.add(payload.raw)}::{function.whole_type})"
    if payload is None or payload.arguments is not None:
        pairs = payload.arguments if payload and payload.arguments is not None else intent.query.arguments
        return "", f"{name}({', '.join(_arguments(function, pairs, parameters))})"
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
