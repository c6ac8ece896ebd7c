"""How relations belong together: by foreign keys, through views and junctions, or by functions that say so."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

Name = tuple[str, str]
"""Schema and name of a relation or function."""

Pairs = tuple[tuple[str, str], ...]
"""Columns that must be equal: the first of each pair belongs to the relation that a relationship starts from."""


@dataclass(frozen=True, slots=True)
class Junction:
    """The table between two relations that belong to many of each other.

    Attributes:
        table: its name.
        source, target: the foreign keys to the two relations.
        to_target: pairs of its columns and the target's.
    """

    table: Name
    source: str
    target: str
    to_target: Pairs


@dataclass(frozen=True, slots=True)
class Relationship:
    """A way from one relation to another.

    Attributes:
        table, foreign: from where to where.
        kind: how many there are on either side; `computed` is a function that takes a row of `table`.
        constraint: the foreign key behind it; of a computed one, the function.
        columns: pairs of columns of `table` and of `foreign`, or of the junction.
        to_one: whether there is at most one row of `foreign` for one of `table`.
        table_is_view, foreign_is_view: whether the foreign key is only known through a view.
        junction: what is between the two.
        function_schema: where the function of a computed one is.
    """

    table: Name
    foreign: Name
    kind: Literal["many-to-one", "one-to-many", "one-to-one", "many-to-many", "computed"]
    constraint: str
    columns: Pairs = ()
    to_one: bool = True
    table_is_view: bool = False
    foreign_is_view: bool = False
    junction: Junction | None = None
    function_schema: str = ""

    @property
    def is_self(self) -> bool:
        """Whether it leads from a relation to itself."""
        return self.table == self.foreign

    def answers(self, target: str, hint: str | None) -> bool:
        """Whether a request for `target`, made precise by `hint`, can mean this one."""
        if self.kind == "computed":
            return target == self.constraint
        named = target == self.foreign[1]
        if self.is_self:
            return self._answers_self(target, hint, named=named)
        if hint is not None:
            through = self.junction is not None and hint == self.junction.table[1]
            return named and (through or self._is_keyed_by(hint) or self._refers_to(hint))
        return named or (not self.foreign_is_view and self._is_keyed_by(target))

    def _answers_self(self, target: str, hint: str | None, *, named: bool) -> bool:
        """A key to the own table makes two relationships: the table's name means the many, the column's the one."""
        if hint is not None:
            return named and self.kind == "one-to-many" and self._refers_to(hint)
        if self.kind == "one-to-many":
            return named
        return self.kind == "many-to-one" and len(self.columns) == 1 and self.columns[0][0] == target

    def _is_keyed_by(self, name: str) -> bool:
        """Whether `name` is the foreign key, or its only column on this side."""
        if self.junction is not None:
            return False
        return name == self.constraint or (len(self.columns) == 1 and self.columns[0][0] == name)

    def _refers_to(self, column: str) -> bool:
        return self.junction is None and len(self.columns) == 1 and self.columns[0][1] == column


@dataclass(frozen=True, slots=True)
class KeyInView:
    """A key of which a view shows every column.

    Attributes:
        view: the view.
        constraint: oid of the key.
        kind: `p` for a primary key, `f` for a foreign key, `r` for what a foreign key refers to.
        columns: for each column of the key, the view's columns that show it.
    """

    view: Name
    constraint: int
    kind: str
    columns: tuple[tuple[str, ...], ...]

    def combinations(self) -> Iterable[tuple[str, ...]]:
        """Every way in which columns of the view stand for the key."""
        return product(*self.columns)


def all_relationships(
    foreign_keys: Mapping[int, Relationship],
    in_views: Sequence[KeyInView],
    computed: Sequence[Relationship],
    primary_keys: Mapping[Name, Sequence[str]],
) -> dict[Name, list[Relationship]]:
    """Every relationship that follows from these, by the relation that it starts from.

    Args:
        foreign_keys: by the oid of the constraint, as relationships from the referring table to the other.
        in_views: the keys that views show.
        computed: functions that say which rows belong to a row; they win over a detected one of their name.
        primary_keys: of tables and views.
    """
    forward = [*foreign_keys.values(), *_through_views(foreign_keys, in_views)]
    detected = [*map(_inverse, forward), *forward, *_through_junctions(forward, primary_keys)]
    overridden = {(one.table, (one.function_schema, one.constraint)) for one in computed}
    found: defaultdict[Name, list[Relationship]] = defaultdict(list)
    for one in detected:
        if (one.table, one.foreign) not in overridden:
            found[one.table].append(one)
    for one in computed:
        found[one.table].append(one)
    return dict(found)


def _inverse(one: Relationship) -> Relationship:
    unique = one.kind == "one-to-one"
    return Relationship(
        one.foreign,
        one.table,
        "one-to-one" if unique else "one-to-many",
        one.constraint,
        _swapped(one.columns),
        to_one=unique,
        table_is_view=one.foreign_is_view,
        foreign_is_view=one.table_is_view,
    )


def _swapped(columns: Pairs) -> Pairs:
    return tuple((there, here) for here, there in columns)


def _through_views(keys: Mapping[int, Relationship], in_views: Sequence[KeyInView]) -> Iterable[Relationship]:
    """The foreign keys again, with a view in the place of either table or of both."""
    referring: defaultdict[int, list[KeyInView]] = defaultdict(list)
    referred: defaultdict[int, list[KeyInView]] = defaultdict(list)
    for one in in_views:
        if one.kind != "p":
            (referring if one.kind == "f" else referred)[one.constraint].append(one)
    for oid, key in keys.items():
        here = [
            replace(key, table=view.view, columns=_paired(names, key.columns, 1), table_is_view=True)
            for view in referring[oid]
            for names in view.combinations()
        ]
        yield from here
        for start in (key, *here):
            for view in referred[oid]:
                for names in view.combinations():
                    columns = _swapped(_paired(names, start.columns, 0))
                    yield replace(start, foreign=view.view, columns=columns, foreign_is_view=True)


def _paired(names: Sequence[str], columns: Pairs, side: int) -> Pairs:
    """`names`, each with what stands on that side of the columns."""
    return tuple((name, pair[side]) for name, pair in zip(names, columns, strict=True))


def _through_junctions(
    forward: Sequence[Relationship], primary_keys: Mapping[Name, Sequence[str]]
) -> Iterable[Relationship]:
    """Two foreign keys of one table join the tables they refer to, if the table's primary key holds them both."""
    by_table: defaultdict[Name, list[Relationship]] = defaultdict(list)
    for one in forward:
        if {here for here, _ in one.columns} <= set(primary_keys.get(one.table, ())) and one.kind == "many-to-one":
            by_table[one.table].append(one)
    for table, keys in by_table.items():
        for source, target in product(keys, keys):
            if source.constraint != target.constraint:
                yield Relationship(
                    source.foreign,
                    target.foreign,
                    "many-to-many",
                    source.constraint,
                    _swapped(source.columns),
                    to_one=False,
                    table_is_view=source.foreign_is_view,
                    foreign_is_view=target.foreign_is_view,
                    junction=Junction(table, source.constraint, target.constraint, target.columns),
                )
