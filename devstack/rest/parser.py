"""The grammar of `select`, `order`, column lists, and of what filters apply to."""

import re
from collections.abc import Callable
from typing import Literal, NoReturn, TypeVar

from devstack.rest.scanner import Scanner
from devstack.rest.syntax import JSON_ARROWS, Embed, Field, JsonStep, OrderTerm, SelectField, SelectItem

T = TypeVar("T")

AGGREGATES = ("sum", "avg", "count", "max", "min")

_JSON_KEY = re.compile(r"[^(\-:.,>)]+")
_INDEX = re.compile(r"-?[0-9]+(?=->|::|\.|,|\)|$)")

MAX_DEPTH = 50
"""How deep select lists and logic trees may nest; deeper ones are an attack on the stack."""


def parse_select(text: str) -> tuple[SelectItem, ...]:
    """The items of a `select` parameter; none for an empty one. As by PostgREST, `)` and what follows it is passed over
    where no list is open, and anything is after the end of an embedded list.
    """
    return _select_items(Scanner(text, "select parameter"), 0) if text else ()


def parse_columns(text: str, what: str) -> tuple[str, ...]:
    """The names in a `columns` or `on_conflict` parameter."""
    scanner = Scanner(text, f"{what} parameter")
    names = separated(scanner, scanner.name)
    scanner.end('"," or end of input')
    return names


def parse_order(text: str) -> tuple[OrderTerm, ...]:
    """The terms of an `order` parameter."""
    scanner = Scanner(text, "order")
    terms = separated(scanner, lambda: _order_term(scanner))
    scanner.end('delimiter (.), "," or end of input')
    return terms


def parse_path(key: str) -> tuple[tuple[str, ...], Field]:
    """The key of a filter: names of embedded relations, then the field."""
    scanner = Scanner(key, "tree path")
    names = [scanner.name()]
    while scanner.accept("."):
        names.append(scanner.name())
    field = Field(names[-1], _json_path(scanner))
    scanner.end('delimiter (.), "->" or end of input')
    return tuple(names[:-1]), field


def separated(scanner: Scanner, parse: Callable[[], T]) -> tuple[T, ...]:
    """Take one or more of what `parse` takes, with commas between them."""
    found: list[T] = []
    while not found or scanner.accept(","):
        scanner.skip_space()
        found.append(parse())
        scanner.skip_space()
    return tuple(found)


def _select_items(scanner: Scanner, depth: int) -> tuple[SelectItem, ...]:
    if depth > MAX_DEPTH:
        scanner.fail(f"at most {MAX_DEPTH} levels")
    return separated(scanner, lambda: _select_item(scanner, depth))


def _select_item(scanner: Scanner, depth: int) -> SelectItem:
    if scanner.accept("..."):
        return _embed(scanner, scanner.name(), None, depth, spread=True)
    if scanner.accept("*"):
        _check_item_ends(scanner, '"," or end of input')
        return SelectField(Field("*"))
    name, alias = scanner.name(), None
    if scanner.peek() == ":" and scanner.peek(2) != "::":
        scanner.expect(":")
        alias, name = name, scanner.name()
    if name == "count" and scanner.accept("()"):
        cast = _cast(scanner)
        _check_item_ends(scanner, '"," or end of input')
        return SelectField(Field("*"), alias, cast, "count")
    if scanner.peek() in ("(", "!"):
        return _embed(scanner, name, alias, depth)
    return _select_field(scanner, name, alias)


def _select_field(scanner: Scanner, name: str, alias: str | None) -> SelectField:
    field = Field(name, _json_path(scanner))
    cast, aggregate = _cast(scanner), None
    if scanner.accept("."):
        aggregate = scanner.expect(*AGGREGATES, name="an aggregate function")
        scanner.expect("()")
        _cast(scanner)
    _check_item_ends(scanner, 'letter, digit, "-", "->>", "->", "::", ".", ")", "," or end of input')
    return SelectField(field, alias, cast, aggregate)


def _check_item_ends(scanner: Scanner, expected: str) -> None:
    scanner.skip_space()
    if scanner.peek() not in ("", ",", ")"):
        scanner.fail(expected)


def _cast(scanner: Scanner) -> str | None:
    return scanner.word("letter or digit") if scanner.accept("::") else None


def _embed(scanner: Scanner, relation: str, alias: str | None, depth: int, *, spread: bool = False) -> Embed:
    hint, inner = None, False
    while scanner.accept("!"):
        name = scanner.name()
        if name in ("inner", "left"):
            inner = name == "inner"
        else:
            hint = name
    scanner.expect("(")
    items = () if scanner.peek() == ")" else _select_items(scanner, depth + 1)
    scanner.expect(")", name='",", ")" or a field name')
    return Embed(relation, items, alias, hint, inner, spread)


def _json_path(scanner: Scanner) -> tuple[JsonStep, ...]:
    steps = []
    while arrow := scanner.accept(*JSON_ARROWS):
        index = scanner.match(_INDEX)
        steps.append(JsonStep(arrow, _json_key(scanner) if index is None else int(index)))
    return tuple(steps)


def _json_key(scanner: Scanner) -> str:
    quoted = scanner.quoted()
    if quoted is not None:
        return quoted
    if scanner.accept("-"):  # of an index, which this is not
        scanner.fail("digit")
    expected = "any non reserved character different from: .,>()"
    parts = [scanner.match(_JSON_KEY) or scanner.fail(f'"-", digit or {expected}')]
    while scanner.peek() == "-" and scanner.peek(2) != "->":
        scanner.expect("-")
        parts.append(scanner.match(_JSON_KEY) or scanner.fail(expected))
    return "-".join(part.strip() for part in parts)


def field_at(scanner: Scanner) -> Field:
    """Take a column, or a JSON path into one, and the blanks around it."""
    scanner.skip_space()
    field = Field(scanner.name(), _json_path(scanner))
    scanner.skip_space()
    return field


def _order_term(scanner: Scanner) -> OrderTerm:
    field, relation = field_at(scanner), None
    if not field.path and scanner.accept("("):
        relation, field = field.name, field_at(scanner)
        scanner.expect(")")
    direction: Literal["", "asc", "desc"] = ""
    nulls: Literal["", "nullsfirst", "nullslast"] = ""
    if scanner.accept(".asc"):
        direction = "asc"
    elif scanner.accept(".desc"):
        direction = "desc"
    if scanner.accept(".nullsfirst"):
        nulls = "nullsfirst"
    elif scanner.accept(".nullslast"):
        nulls = "nullslast"
    if nulls:
        _check_term_ends(scanner, '"," or end of input')
    elif scanner.peek() == ".":
        _fail_at_order(scanner, after_direction=bool(direction))
    elif direction:
        _check_term_ends(scanner, 'delimiter (.), "," or end of input')
    return OrderTerm(field, direction, nulls, relation)


def _check_term_ends(scanner: Scanner, expected: str) -> None:
    scanner.skip_space()
    if scanner.peek() not in ("", ","):
        scanner.fail(expected, unread=True)


def _fail_at_order(scanner: Scanner, *, after_direction: bool) -> NoReturn:
    like, also = ("nullsfirst", "") if after_direction else ("asc", '"asc", "desc", ')
    scanner.expect(".")
    scanner.fail(f'{also}"nullsfirst" or "nullslast"', like=like)
