"""The grammar of filters and of `and`/`or` trees."""

import re
from collections.abc import Callable
from typing import Literal

from devstack.rest.parser import MAX_DEPTH, field_at, parse_path, separated
from devstack.rest.scanner import FIELD_NAME, Scanner
from devstack.rest.syntax import Condition, Field, Filter, Logic

QUANTIFIED = ("eq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch")
SIMPLE = ("neq", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj", "isdistinct")
FULL_TEXT = ("fts", "plfts", "phfts", "wfts")
IS_VALUES = ("not_null", "null", "true", "false", "unknown")
_ANYTHING = re.compile(r".*", re.DOTALL)
_GROUP = re.compile(r"(not\.)?(and|or)[ \t]*\(")
_NO_NAME = ("", "(", ")", ",")
_UNTIL_COMMA = re.compile(r"[^,)]*")
_BRACES = re.compile(r"\{[^{}]*\}")


def parse_filter(field: Field, text: str) -> Filter:
    """The value of a filter, `not.eq.5`, for `field`."""
    scanner = Scanner(text, "filter")
    return _operation(scanner, field, lambda: scanner.match(_ANYTHING) or "")


def parse_logic(key: str, text: str) -> tuple[tuple[str, ...], Logic]:
    """A logic parameter, `or=(a.eq.1,b.gt.2)`, `rel.not.and=(…)`: where it applies, and the tree."""
    path, last = parse_path(key)
    negated = "not" in path
    operator: Literal["and", "or"] = "and" if last.name == "and" else "or"
    scanner = Scanner(text, "logic tree", before=len(last.name) + (len("not.") if negated else 0))
    terms = _logic_terms(scanner, 0)
    return tuple(name for name in path if name != "not"), Logic(operator, terms, negated)


def _operation(scanner: Scanner, field: Field, value: Callable[[], str]) -> Filter:
    """`not.` if it is there, an operator, and its value, read with `value` where no list or keyword is due."""
    negated = bool(scanner.accept("not."))
    if scanner.accept("in."):
        return Filter(field, "in", _list(scanner), negated)
    if scanner.accept("is."):
        return Filter(field, "is", _is_value(scanner), negated)
    operator, modifier = _operator(scanner, "operator (eq, gt, ...)" if negated else '"not" or operator (eq, gt, ...)')
    scanner.expect(".", name="delimiter (.)")
    return Filter(field, operator, value(), negated, modifier)


def _operator(scanner: Scanner, expected: str) -> tuple[str, str | None]:
    """An operator's name, and the quantifier or language in parentheses after it; without one, `expected` was."""
    start = scanner.position
    for operator in (*FULL_TEXT, *SIMPLE, *QUANTIFIED):
        scanner.position = start
        if scanner.accept(operator) and scanner.peek() in (".", "("):
            break
    else:
        scanner.position = start
        scanner.fail(expected)
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
    scanner.skip_space()
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
    terms = separated(scanner, lambda: _logic_term(scanner, depth))
    scanner.expect(")")
    scanner.skip_space()
    return terms


def _logic_term(scanner: Scanner, depth: int) -> Condition:
    group = _GROUP.match(scanner.text, scanner.position)
    if group is None:
        if scanner.peek() in _NO_NAME:
            scanner.fail(f"{FIELD_NAME}, negation operator (not) or logic operator (and, or)")
        field = field_at(scanner)
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
