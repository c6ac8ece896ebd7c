"""Plans for GET and HEAD of a table or view."""

# ruff: noqa: S608 - user text gets into SQL as sql.py lets it: a parameter or a quoted identifier

from devstack.rest.catalogue import Catalogue, Relation
from devstack.rest.media import negotiate
from devstack.rest.plans import RESPONSE_SETTINGS, ROWS, Intent, Plan, answer_of, check_preferences
from devstack.rest.sql import Parameters, Statement, limited, quoted
from devstack.rest.tree_sql import matches_text, rows_text
from devstack.rest.trees import Node, relation_source, tree_of

APPLIED = ("count", "tx", "handling", "timezone")


def plan_read(intent: Intent, relation: Relation, catalogue: Catalogue, max_rows: int | None) -> Plan:
    """Read rows.

    Raises:
        RestError: the query does not fit the catalogue, a preference or the media type cannot be served.
    """
    table = f"{quoted(relation.schema)}.{quoted(relation.name)}"
    root = Node(relation.name, relation_source(relation), table, window=intent.window.at_most(max_rows))
    tree_of(intent.query, catalogue, intent.schema, root, max_rows=max_rows)
    media = negotiate(intent.accept)
    check_preferences(intent.preferences)
    parameters = Parameters()
    rows = rows_text(root, None, parameters)
    total, estimate = _counts(intent, root, parameters, max_rows)
    body = "''" if intent.method == "HEAD" else answer_of(media)
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
        query=intent.query.canonical,
    )


def _counts(intent: Intent, root: Node, parameters: Parameters, max_rows: int | None) -> tuple[str, Statement | None]:
    """How the rows without limit are counted: an expression in the statement, and a plan to be asked for."""
    kind = intent.preferences.get("count")
    if kind is None:
        return "null", None
    estimating = Parameters()
    estimate = f"explain (format json) {matches_text(root, None, estimating)}"
    planned = None if kind == "exact" else Statement(estimate.encode(), estimating.values)
    if kind == "planned":
        return "null", planned
    # An estimate is exact up to the most rows an answer may hold; only beyond does the planner's word count.
    bound = limited(max_rows + 1, 0) if kind == "estimated" and max_rows is not None else ""
    return f"(select count(*) from ({matches_text(root, None, parameters)}{bound}) c)", planned
