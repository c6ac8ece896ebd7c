"""The grammar of `select`, filters, `and`/`or` trees, `order` and column lists."""

import re
from collections.abc import Callable
from typing import Literal, TypeVar

from devstack.rest.scanner import Scanner
from devstack.rest.syntax import (
    JSON_ARROWS,
    Condition,
    Embed,
    Field,
    Filter,
    JsonStep,
    Logic,
    OrderTerm,
    SelectField,
    SelectItem,
)

T = TypeVar("T")

QUANTIFIED = ("eq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch")
SIMPLE = ("neq", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj", "isdistinct")
FULL_TEXT = ("fts", "plfts", "phfts", "wfts")
IS_VALUES = ("not_null", "null", "true", "false", "unknown")
AGGREGATES = ("sum", "avg", "count", "max", "min")

_JSON_KEY = re.compile(r"[^(\-:.,>)]+")
_ANYTHING = re.compile(r".*", re.DOTALL)
_GROUP = re.compile(r"(not\.)?(and|or)[ \t]*\(")
_INDEX = re.compile(r"-?[0-9]+(?=->|::|\.|,|\)|$)")
_UNTIL_COMMA = re.compile(r"[^,)]*")
_BRACES = re.compile(r"\{[^{}]*\}")

MAX_DEPTH = 50
"""How deep select lists and logic trees may nest; deeper ones are an attack on the stack."""


def parse_select(text: str) -> tuple[SelectItem, ...]:
    """The items of a `select` parameter; none for an empty one."""
    scanner = Scanner(text, "select parameter")
    items = _select_items(scanner, 0) if text else ()
    scanner.end('"," or end of input')
    return items


def parse_columns(text: str, what: str) -> tuple[str, ...]:
    """The names in a `columns` or `on_conflict` parameter."""
    scanner = Scanner(text, f"{what} parameter")
    names = _separated(scanner, scanner.name)
    scanner.end('"," or end of input')
    return names


def parse_order(text: str) -> tuple[OrderTerm, ...]:
    """The terms of an `order` parameter."""
    scanner = Scanner(text, "order")
    terms = _separated(scanner, lambda: _order_term(scanner))
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


def parse_filter(field: Field, text: str) -> Filter:
    """The value of a filter, `not.eq.5`, for `field`."""
    scanner = Scanner(text, "filter")
    found = _operation(scanner, field, lambda: scanner.match(_ANYTHING) or "")
    scanner.end()
    return found


def parse_logic(key: str, text: str) -> tuple[tuple[str, ...], Logic]:
    """A logic parameter, `or=(a.eq.1,b.gt.2)`, `rel.not.and=(…)`: where it applies, and the tree."""
    path = key.split(".")
    negated = "not" in path
    operator: Literal["and", "or"] = "and" if path[-1] == "and" else "or"
    scanner = Scanner(text, "logic tree")
    terms = _logic_terms(scanner, 0)
    scanner.end()
    return tuple(name for name in path[:-1] if name != "not"), Logic(operator, terms, negated)


def _separated(scanner: Scanner, parse: Callable[[], T]) -> tuple[T, ...]:
    """One or more of what `parse` takes, with commas between them."""
    found: list[T] = []
    while not found or scanner.accept(","):
        scanner.skip_space()
        found.append(parse())
        scanner.skip_space()
    return tuple(found)


def _select_items(scanner: Scanner, depth: int) -> tuple[SelectItem, ...]:
    if depth > MAX_DEPTH:
        scanner.fail(f"at most {MAX_DEPTH} levels")
    return _separated(scanner, lambda: _select_item(scanner, depth))


def _select_item(scanner: Scanner, depth: int) -> SelectItem:
    if scanner.accept("..."):
        return _embed(scanner, scanner.name(), None, depth, spread=True)
    if scanner.accept("*"):
        return SelectField(Field("*"))
    name, alias = scanner.name(), None
    if scanner.peek() == ":" and scanner.peek(2) != "::":
        scanner.expect(":")
        alias, name = name, scanner.name()
    if name == "count" and scanner.accept("()"):
        return SelectField(Field("*"), alias, _cast(scanner), "count")
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
    if scanner.peek() not in ("", ",", ")"):
        scanner.fail('letter, digit, "-", "->>", "->", "::", ".", ")", "," or end of input')
    return SelectField(field, alias, cast, aggregate)


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
    expected = "any non reserved character different from: .,>()"
    parts = [scanner.match(_JSON_KEY) or scanner.fail(expected)]
    while scanner.peek() == "-" and scanner.peek(2) != "->":
        scanner.expect("-")
        parts.append(scanner.match(_JSON_KEY) or scanner.fail(expected))
    return "-".join(part.strip() for part in parts)


def _field(scanner: Scanner) -> Field:
    scanner.skip_space()
    field = Field(scanner.name(), _json_path(scanner))
    scanner.skip_space()
    return field


def _order_term(scanner: Scanner) -> OrderTerm:
    field, relation = _field(scanner), None
    if not field.path and scanner.accept("("):
        relation, field = field.name, _field(scanner)
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
    elif scanner.accept("."):
        scanner.fail('"nullsfirst" or "nullslast"' if direction else '"asc", "desc", "nullsfirst" or "nullslast"')
    return OrderTerm(field, direction, nulls, relation)


def _operation(scanner: Scanner, field: Field, value: Callable[[], str]) -> Filter:
    """`not.` if it is there, an operator, and its value, read with `value` where no list or keyword is due."""
    negated = bool(scanner.accept("not."))
    if scanner.accept("in."):
        return Filter(field, "in", _list(scanner), negated)
    if scanner.accept("is."):
        return Filter(field, "is", _is_value(scanner), negated)
    operator, modifier = _operator(scanner)
    scanner.expect(".", name="delimiter (.)")
    return Filter(field, operator, value(), negated, modifier)


def _operator(scanner: Scanner) -> tuple[str, str | None]:
    """An operator's name, and the quantifier or language in parentheses after it."""
    start = scanner.position
    for operator in (*FULL_TEXT, *SIMPLE, *QUANTIFIED):
        scanner.position = start
        if scanner.accept(operator) and scanner.peek() in (".", "("):
            break
    else:
        scanner.position = start
        scanner.fail("operator (eq, gt, ...)")
    if operator in SIMPLE or not scanner.accept("("):
        return operator, None
    modifier = (
        scanner.word("a language")
        if operator in FULL_TEXT
        else scanner.expect("any", "all", name="operator (eq, gt, ...)")
    )
    scanner.expect(")")
    return operator, modifier


def _is_value(scanner: Scanner) -> str:
    for value in IS_VALUES:
        following = scanner.peek(len(value) + 1).lower()
        if following[: len(value)] == value and following[len(value) :] in ("", ",", ")"):
            scanner.position += len(value)
            return value
    return scanner.fail("isVal: (null, not_null, true, false, unknown)")


def _list(scanner: Scanner) -> tuple[str, ...]:
    scanner.skip_space()
    scanner.expect("(")
    elements = [_element(scanner)]
    while scanner.accept(","):
        elements.append(_element(scanner))
    scanner.expect(")")
    scanner.skip_space()
    return tuple(elements)


def _element(scanner: Scanner) -> str:
    """One element of a list: in quotes up to the next comma, or bare, when a quote in it is only a character."""
    start = scanner.position
    quoted = scanner.quoted()
    if quoted is not None and scanner.peek() in ("", ",", ")"):
        return quoted
    scanner.position = start
    return scanner.match(_UNTIL_COMMA) or ""


def _logic_terms(scanner: Scanner, depth: int) -> tuple[Condition, ...]:
    if depth > MAX_DEPTH:
        scanner.fail(f"at most {MAX_DEPTH} levels")
    scanner.skip_space()
    scanner.expect("(")
    terms = _separated(scanner, lambda: _logic_term(scanner, depth))
    scanner.expect(")")
    scanner.skip_space()
    return terms


def _logic_term(scanner: Scanner, depth: int) -> Condition:
    group = _GROUP.match(scanner.text, scanner.position)
    if group is None:
        field = _field(scanner)
        scanner.expect(".", name="delimiter (.)")
        return _operation(scanner, field, lambda: _logic_value(scanner))
    negated = bool(scanner.accept("not."))
    operator: Literal["and", "or"] = "and" if scanner.expect("and", "or") == "and" else "or"
    return Logic(operator, _logic_terms(scanner, depth + 1), negated)


def _logic_value(scanner: Scanner) -> str:
    start = scanner.position
    braces = scanner.match(_BRACES)
    if braces is not None and scanner.peek() in ("", ",", ")"):
        return braces
    scanner.position = start
    return _element(scanner)
