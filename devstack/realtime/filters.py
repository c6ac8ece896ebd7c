r"""The filters of `postgres_changes`: `col=op.value`, joined by commas, `not.` in front to negate.

A NULL in the row never matches, negated or not, but for `is` and `isdistinct`, which know NULL.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from devstack.realtime.catalog import Column

OPERATORS = {
    "eq": "=",
    "neq": "<>",
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
    "in": "= any",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
    "isdistinct": "is distinct from",
    "is": "is",
}
PATTERNS = frozenset({"like", "ilike", "match", "imatch"})
TRUTHS = {"null": None, "true": "t", "false": "f", "unknown": None}
_MOST_VALUES = 100
_TERM = re.compile(r"(?P<negated>not\.)?(?P<op>[a-z]+)\.(?P<value>.*)", re.DOTALL)
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[^,()"]+|[,()"]', re.DOTALL)


class FilterError(ValueError):
    """A filter that cannot be read; the message is what the subscriber is told."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question for the database: does `value` stand in this relation to the operands?"""

    sql_type: str
    op: str
    operands: tuple[str, ...]
    value: str

    def expression(self) -> sql.Composable:
        """The question in SQL; true, false or null."""
        kind = sql.SQL(self.sql_type)
        value = sql.SQL("{}::{}").format(sql.Literal(self.value), kind)
        if self.op == "in":
            operands = sql.SQL(", ").join(sql.SQL("{}::{}").format(sql.Literal(text), kind) for text in self.operands)
            return sql.SQL("{} = any (array[{}])").format(value, operands)
        cast = sql.SQL("text") if self.op in PATTERNS else kind
        return sql.SQL("{}::{} {} {}::{}").format(
            value, cast, sql.SQL(OPERATORS[self.op]), sql.Literal(self.operands[0]), cast
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """One term of a filter.

    Attributes:
        column: name of the column.
        op: one of `OPERATORS`.
        operands: what to compare with; several for `in`, else one.
        negated: `not.` stood in front.
    """

    column: str
    op: str
    operands: tuple[str, ...]
    negated: bool = False

    def judge(self, column: Column, value: str | None) -> bool | Comparison:
        """Whether `value` matches; a `Comparison` when only the database can tell (see `settle`)."""
        if self.op == "is":
            return (value == TRUTHS[self.operands[0]]) is not self.negated
        if value is None:
            return self.op == "isdistinct" and not self.negated
        if column.writes_equal_alike and self.op in ("eq", "in"):
            return (value in self.operands) is not self.negated
        if column.writes_equal_alike and self.op in ("neq", "isdistinct"):
            return (value not in self.operands) is not self.negated
        return Comparison(column.sql_type, self.op, self.operands, value)

    def settle(self, answer: str | None) -> bool:
        """Whether the row matches, given the database's answer to the comparison."""
        return answer == ("false" if self.negated else "true")


def parse_filter(text: str | None) -> tuple[Condition, ...]:
    """The terms of a filter, all of which must hold; none for an empty one.

    Raises:
        FilterError: a term is not `col=op.value`, or its operator is unknown.
    """
    return tuple(_parse_term(term) for term in _split(text)) if text else ()


def _split(text: str) -> Iterator[str]:
    """The parts of `text` between commas that stand outside quotes and parentheses."""
    depth, part = 0, ""
    for piece in _PIECE.findall(text):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and depth <= 0:
            yield part
            part = ""
        else:
            part += piece
    yield part


def _parse_term(term: str) -> Condition:
    column, equals, rest = term.partition("=")
    found = _TERM.fullmatch(rest)
    if not equals or not column or found is None or found["op"] not in OPERATORS:
        raise _unreadable([column, rest] if equals else [term])
    op, value = found["op"], found["value"]
    return Condition(column, op, _operands(op, value, [column, rest]), bool(found["negated"]))


def _operands(op: str, value: str, parts: Sequence[str]) -> tuple[str, ...]:
    if op == "is":
        if value.lower() not in TRUTHS:
            raise _unreadable(parts)
        return (value.lower(),)
    if op != "in":
        return (_unquote(value),)
    if not (value.startswith("(") and value.endswith(")")):
        raise FilterError("Error parsing `filter` params: `in` filter value must be wrapped by parentheses")
    values = tuple(_unquote(part.strip()) for part in _split(value[1:-1]))
    if len(values) > _MOST_VALUES:
        raise FilterError(f"Error parsing `filter` params: `in` takes at most {_MOST_VALUES} values, not {len(values)}")
    return values


def _unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def _unreadable(parts: Sequence[str]) -> FilterError:
    listed = ", ".join(f'"{part}"' for part in parts)
    return FilterError(f"Error parsing `filter` params: [{listed}]")
