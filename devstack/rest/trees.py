"""A query as a tree: the relation itself, those that are embedded in it, and what each of them is asked for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from devstack.rest.catalogue import Catalogue, Relation
from devstack.rest.embeds import find_relationship
from devstack.rest.errors import RestError
from devstack.rest.query_string import Path, Query
from devstack.rest.ranges import ALL_ROWS, Window
from devstack.rest.relationships import Relationship
from devstack.rest.sql import Source, output_name, quoted
from devstack.rest.syntax import Condition, Embed, Field, Filter, Logic, OrderTerm, Presence, SelectField, SelectItem


@dataclass(slots=True)
class Node:
    """A relation in a query.

    Attributes:
        name: what it is called in URLs.
        source: what its fields are taken from.
        table: the same, for `from`.
        fields: what is selected of it; empty for all, or for nothing when something is embedded in it.
        conditions, order, window: which rows, and how they are sorted.
        children: what is embedded in it.
        label: what the parent's rows call it.
        key: its name in SQL, for the parent.
        link: how it belongs to its parent; None at the top.
        inner: whether a parent without any is left out.
        spread: whether its fields become the parent's own.
        columns: of the relation, for all.
    """

    name: str
    source: Source
    table: str
    fields: tuple[SelectField, ...] = ()
    conditions: list[Condition] = field(default_factory=list)
    order: tuple[OrderTerm, ...] = ()
    window: Window = ALL_ROWS
    children: list["Node"] = field(default_factory=list)
    label: str = ""
    key: str = ""
    link: Relationship | None = None
    inner: bool = False
    spread: bool = False
    columns: tuple[str, ...] = ()

    @property
    def to_one(self) -> bool:
        """Whether there is at most one row of it for each of the parent's."""
        return self.link is None or self.link.to_one

    @property
    def blank(self) -> bool:
        """Whether nothing of it was asked for, neither below."""
        return not self.fields and all(child.blank for child in self.children)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What its rows call what they hold."""
        names = [] if self.fields or self.children else [*self.columns]
        for one in self.fields:
            names += self.columns if one.field.name == "*" else [output_name(one)]
        for child in self.children:
            names += child.outputs if child.spread else [] if child.blank else [child.label]
        return tuple(dict.fromkeys(names))

    def child(self, name: str) -> "Node | None":
        """The first relation embedded here that goes by this name, its own or an alias."""
        return next((one for one in self.children if name in (one.name, one.label)), None)

    def needed(self) -> tuple[str, ...]:
        """The columns without which neither this node nor what is embedded in it can be made."""
        names = dict.fromkeys(one.field.name for one in self.fields)
        links = [child.link for child in self.children if child.link]
        if not self.fields and not self.children:
            return ("*",)
        if "*" in names or any(link.kind == "computed" for link in links):
            return ("*",)
        names |= dict.fromkeys(here for link in links for here, _ in link.columns)
        names |= dict.fromkeys(one.name for one in _fields_in(self.conditions))
        names |= dict.fromkeys(term.field.name for term in self.order if term.relation is None)
        return tuple(names)


def _fields_in(conditions: Iterable[Condition]) -> Iterable[Field]:
    for one in conditions:
        if isinstance(one, Logic):
            yield from _fields_in(one.terms)
        elif isinstance(one, Filter):
            yield one.field


def relation_source(relation: Relation, name: str = "") -> Source:
    """The relation, or what goes by `name` in SQL and has its columns, as what fields are taken from."""
    columns = relation.columns
    return Source(quoted(name or relation.name), lambda wanted: found.type if (found := columns.get(wanted)) else None)


def tree_of(
    query: Query,
    catalogue: Catalogue,
    schema: str,
    root: Node,
    *,
    changing: bool = False,
    max_rows: int | None = None,
) -> Node:
    """`root`, completed by what the query says.

    Args:
        query: select list, filters, order and windows of all levels.
        catalogue: says what can be embedded.
        schema: the selected one, in which embedded relations are.
        root: the relation itself, with its window.
        changing: the rows are changed ones, all of which are told: filters of the top level found them already.
        max_rows: the most rows of each embedded relation.

    Raises:
        RestError: PGRST108, PGRST118, PGRST123, PGRST200, PGRST201 or 42712, as the query does not fit together.
    """
    _Grower(catalogue, schema).grow(root, query.select, 0)
    for path, condition in query.conditions:
        if path or not changing:
            _at(root, path).conditions.append(condition)
    for path, terms in query.order.items():
        _at(root, path).order = terms
    if not changing:
        _set_windows(root, query.limits, query.offsets)
    _finish(root, None if changing else max_rows)
    _check_labels(root)
    return root


class _Grower:
    """Grows the branches of a tree, counting them: their names in SQL must differ."""

    def __init__(self, catalogue: Catalogue, schema: str) -> None:
        self._catalogue, self._schema = catalogue, schema
        self._grown = 0

    def grow(self, node: Node, items: Sequence[SelectItem], depth: int) -> None:
        """Give a node its fields and children."""
        node.fields = tuple(item for item in items if isinstance(item, SelectField))
        if any(item.aggregate for item in node.fields):
            raise RestError(400, "PGRST123", "Use of aggregate functions is not allowed")
        for item in items:
            if isinstance(item, Embed):
                child = self._child(node, item, depth + 1)
                node.children.append(child)
                self.grow(child, item.items, depth + 1)

    def _child(self, parent: Node, wanted: Embed, depth: int) -> Node:
        origin = parent.link.foreign[1] if parent.link else parent.name
        link = find_relationship(self._catalogue.relationships, self._schema, origin, wanted.relation, wanted.hint)
        relation = self._catalogue.relations.get(link.foreign) or Relation(*link.foreign, {}, (), ())
        # Where there is a table between the two, both go by their own names; else the name says how deep it is.
        source = relation_source(relation, relation.name if link.junction else f"{relation.name}_{depth}")
        table = f"{quoted(relation.schema)}.{quoted(relation.name)}"
        if link.kind == "computed":
            row = f"{parent.source.name}::{quoted(link.table[0])}.{quoted(link.table[1])}"
            table = f"{quoted(link.function_schema)}.{quoted(link.constraint)}({row})"
        self._grown += 1
        return Node(
            wanted.relation,
            source,
            f"{table} as {source.name}",
            label=wanted.alias or wanted.relation,
            key=f'"rest embed {self._grown}"',
            link=link,
            inner=wanted.inner,
            spread=wanted.spread,
            columns=tuple(relation.columns),
        )


def _check_labels(node: Node, depth: int = 1) -> None:
    """Refuse two relations embedded side by side by one name, as SQL does for PostgREST, which names them so."""
    labels: set[str] = set()
    for child in node.children:
        if child.label in labels and child.link:
            name = f"{child.link.table[1]}_{child.label}_{depth}"
            raise RestError(400, "42712", f'table name "{name}" specified more than once')
        labels.add(child.label)
        _check_labels(child, depth + 1)


def _at(root: Node, path: Path) -> Node:
    """The node at the end of a path.

    Raises:
        RestError: PGRST108, there is none.
    """
    node = root
    for name in path:
        node = node.child(name) or _not_embedded(name)
    return node


def _not_embedded(name: str) -> Node:
    message = f"'{name}' is not an embedded resource in this request"
    hint = f"Verify that '{name}' is included in the 'select' query parameter."
    raise RestError(400, "PGRST108", message, hint=hint)


def _set_windows(root: Node, limits: Mapping[Path, int], offsets: Mapping[Path, int]) -> None:
    """Windows of the embedded relations; that of the root depends on more than the query."""
    for path in {**limits, **offsets}:
        node = _at(root, path)
        if path:
            node.window = Window(offsets.get(path, 0), limits.get(path))


def _finish(node: Node, max_rows: int | None) -> None:
    """What can only be said once every level is there."""
    node.conditions = [_with_presence(one, node) for one in node.conditions]
    node.order = tuple(_with_key(term, node) for term in node.order)
    for child in node.children:
        child.window = child.window.at_most(max_rows)
        _finish(child, max_rows)


def _with_presence(condition: Condition, node: Node) -> Condition:
    """The condition, in which `rel=is.null` asks whether anything is embedded."""
    if isinstance(condition, Logic):
        return replace(condition, terms=tuple(_with_presence(term, node) for term in condition.terms))
    if isinstance(condition, Filter) and condition.value == "null" and condition.operator == "is":
        for child in node.children:
            if child.label == condition.field.name and not condition.field.path:
                return Presence(child.key, condition.negated)
    return condition


def _with_key(term: OrderTerm, node: Node) -> OrderTerm:
    """The term, with the embedded relation's name in SQL in the place of that in the URL."""
    if term.relation is None:
        return term
    child = next((one for one in node.children if one.label == term.relation), None) or _not_embedded(term.relation)
    if not child.to_one:
        details = f"'{node.name}' and '{child.label}' do not form a many-to-one or one-to-one relationship"
        message = f"A related order on '{child.label}' is not possible"
        raise RestError(400, "PGRST118", message, details=details)
    return replace(term, relation=child.key)
