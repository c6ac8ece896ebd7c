"""The SQL of a tree: each embedded relation is a lateral join that yields JSON, so that all is one statement."""

# ruff: noqa: S608 - user text gets into SQL as sql.py lets it: a parameter or a quoted identifier

from devstack.rest.sql import Parameters, column, condition, limited, order_by, quoted, select_item, where
from devstack.rest.trees import Node

_JUNCTION = '"rest junction"'


def rows_text(node: Node, parent: Node | None, parameters: Parameters) -> str:
    """A `select` of the node's rows: all of them at the top, those that belong to the parent's row below."""
    source = node.source
    selected = [select_item(source, item, parameters) for item in node.fields]
    if not node.fields and not node.children:
        selected = [column(source, "*")]
    joins = []
    for child in node.children:
        joins.append(_join(child, node, parameters))
        selected += _selected(child)
    terms = [condition(source, one, parameters) for one in node.conditions] + _links(node, parent)
    sorted_by = order_by(source, node.order, parameters) + limited(node.window.limit, node.window.offset)
    return f"select {', '.join(selected)} from {_tables(node)}{''.join(joins)}{where(terms)}{sorted_by}"


def matches_text(node: Node, parent: Node | None, parameters: Parameters) -> str:
    """A `select` of no columns with a row for each that matches, without windows: for counting, and for `exists`."""
    by_key = {child.key: child for child in node.children}

    def present(key: str) -> str:
        return f"exists ({matches_text(by_key[key], node, parameters)})"

    terms = [condition(node.source, one, parameters, present) for one in node.conditions] + _links(node, parent)
    terms += [present(child.key) for child in node.children if child.inner]
    return f"select from {_tables(node)}{where(terms)}"


def _tables(node: Node) -> str:
    if node.link is None or node.link.junction is None:
        return node.table
    schema, name = node.link.junction.table
    return f"{node.table} join {quoted(schema)}.{quoted(name)} as {_JUNCTION} on {_to_junction(node)}"


def _to_junction(node: Node) -> str:
    junction = node.link.junction if node.link else None
    pairs = junction.to_target if junction else ()
    return " and ".join(f"{node.source.name}.{quoted(there)} = {_JUNCTION}.{quoted(here)}" for here, there in pairs)


def _links(node: Node, parent: Node | None) -> list[str]:
    """What makes a row belong to the parent's."""
    if node.link is None or parent is None:
        return []
    here = _JUNCTION if node.link.junction else node.source.name
    return [f"{here}.{quoted(own)} = {parent.source.name}.{quoted(parents)}" for parents, own in node.link.columns]


def _join(child: Node, parent: Node, parameters: Parameters) -> str:
    rows, kind = rows_text(child, parent, parameters), "inner" if child.inner else "left"
    if child.to_one:
        return f" {kind} join lateral ({rows}) {child.key} on true"
    on = f"{child.key}.{child.key} is not null" if child.inner else "true"
    return f" {kind} join lateral (select {_gathered(child)} from ({rows}) {child.key}) {child.key} on {on}"


def _gathered(child: Node) -> str:
    """All rows of a relation as one JSON array, or one for each of the columns that are spread; null without any."""
    arrays = [f"json_agg({child.key}) as {child.key}"]
    if child.spread:
        arrays += [f"json_agg({child.key}.{quoted(name)}) as {quoted(name)}" for name in child.outputs]
    return ", ".join(arrays)


def _selected(child: Node) -> list[str]:
    if child.blank:
        return []
    if child.spread and child.to_one:
        return [f"{child.key}.*"]
    if child.spread:
        names = (quoted(name) for name in child.outputs)
        return [f"coalesce({child.key}.{name}, '[]') as {name}" for name in names]
    if child.to_one:
        return [f"row_to_json({child.key}.*) as {quoted(child.label)}"]
    return [f"coalesce({child.key}.{child.key}, '[]') as {quoted(child.label)}"]
