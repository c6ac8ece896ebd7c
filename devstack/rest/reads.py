"""Plans for GET and HEAD of a table or view."""

# ruff: noqa: S608 - user text gets into SQL as sql.py lets it: a parameter or a quoted identifier

from devstack.rest.catalogue import Relation
from devstack.rest.media import negotiate
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
from devstack.rest.query_string import Query
from devstack.rest.sql import Parameters, Source, Statement, limited, order_by, quoted, select_item, where
from devstack.rest.syntax import Field, SelectField

ALL = (SelectField(Field("*")),)
APPLIED = ("count", "tx", "handling", "timezone")


def plan_read(intent: Intent, relation: Relation, max_rows: int | None) -> Plan:
    """Read rows.

    Raises:
        RestError: the select list, a level, a preference or the media type cannot be served.
    """
    query = intent.query
    source = source_of(relation)
    check_levels(query)
    wanted_fields(query.select)
    media = negotiate(intent.accept)
    check_preferences(intent.preferences)
    parameters = Parameters()
    table = f"{quoted(relation.schema)}.{quoted(relation.name)}"
    window = intent.window.at_most(max_rows)
    rows = select_text(query, source, table, parameters) + limited(window.limit, window.offset)
    total, estimate = _counts(intent, source, table, parameters, max_rows)
    body = "''" if intent.method == "HEAD" else rows_as_json(media)
    main = f"select {total}, count(*), {body}, {RESPONSE_SETTINGS} from ({rows}) {ROWS}"
    return Plan(
        Statement(main.encode(), parameters.values),
        "read",
        relation.name,
        read_only=True,
        media=media,
        preferences=intent.preferences,
        window=intent.window,
        estimate=estimate,
        applied=APPLIED,
        query=query.canonical,
    )


def source_of(relation: Relation) -> Source:
    """The relation itself as what fields are taken from."""
    return Source(quoted(relation.name), lambda name: column.type if (column := relation.columns.get(name)) else None)


def select_text(query: Query, source: Source, table: str, parameters: Parameters) -> str:
    """A `select` from `table` with the query's fields, filters and order."""
    items = [select_item(source, item, parameters) for item in wanted_fields(query.select) or ALL]
    conditions = filter_text(query, source, parameters)
    ordered = order_by(source, query.order.get((), ()), parameters)
    return f"select {', '.join(items)} from {table}{conditions}{ordered}"


def filter_text(query: Query, source: Source, parameters: Parameters) -> str:
    """The `where` clause of the query's filters and trees at the top level."""
    filters = [found for path, found in query.filters if not path]
    trees = [found for path, found in query.logic if not path]
    return where(source, [*filters, *trees], parameters)


def _counts(
    intent: Intent, source: Source, table: str, parameters: Parameters, max_rows: int | None
) -> tuple[str, Statement | None]:
    """How the rows without limit are counted: an expression in the statement, and a plan to be asked for."""
    kind = intent.preferences.get("count")
    if kind is None:
        return "null", None
    estimating = Parameters()
    estimate = f"explain (format json) select from {table}{filter_text(intent.query, source, estimating)}"
    planned = None if kind == "exact" else Statement(estimate.encode(), estimating.values)
    if kind == "planned":
        return "null", planned
    # An estimate is exact up to the most rows an answer may hold; only beyond does the planner's word count.
    bound = limited(max_rows + 1, 0) if kind == "estimated" and max_rows is not None else ""
    counted = f"select from {table}{filter_text(intent.query, source, parameters)}{bound}"
    return f"(select count(*) from ({counted}) c)", planned
