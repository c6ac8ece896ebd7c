"""Pieces of SQL. User text gets in as a parameter or as a quoted identifier, and in no other way."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devstack.rest.syntax import Condition, Field, Filter, JsonStep, Logic, OrderTerm, Presence, SelectField

_OPERATORS = {
    "eq": "=",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
    "like": "like",
    "ilike": "ilike",
    "match": "~",
    "imatch": "~*",
    "isdistinct": "is distinct from",
    "cs": "@>",
    "cd": "<@",
    "ov": "&&",
    "sl": "<<",
    "sr": ">>",
    "nxr": "&<",
    "nxl": "&>",
    "adj": "-|-",
}
_FULL_TEXT = {
    "fts": "to_tsquery",
    "plfts": "plainto_tsquery",
    "phfts": "phraseto_tsquery",
    "wfts": "websearch_to_tsquery",
}
_IS = {"null": "null", "not_null": "not null", "true": "true", "false": "false", "unknown": "unknown"}
_ORDER = {"": "", "asc": " asc", "desc": " desc", "nullsfirst": " nulls first", "nullslast": " nulls last"}

_SPACES = re.compile(r"\s+")
_BUILT_IN_TYPES = frozenset(
    {"bigint", "bit", "bit varying", "boolean", "char", "character", "character varying", "dec", "decimal"}
    | {"double precision", "float", "int", "integer", "interval", "nchar", "numeric", "real", "smallint", "varchar"}
    | {f"{name}{zone}" for name in ("time", "timestamp") for zone in ("", " with time zone", " without time zone")}
)
"""Types that SQL's grammar knows by words of its own, which quotes would turn into other names."""


class Parameters:
    """The parameters of one statement, in order."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def add(self, value: str | bytes) -> str:
        """Take a value, and return what stands for it in the SQL."""
        self.values.append(encoded(value))
        return f"${len(self.values)}"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its parameters, all of unknown type so that PostgreSQL infers it.

    `lasting` marks a text that depends on the catalogue alone: worth preparing, since it comes again.
    """

    text: bytes
    values: Sequence[bytes] = ()
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where fields are taken from: the quoted name of a table or alias, and the types of its columns."""

    name: str
    types: Callable[[str], str | None]


def encoded(value: str | bytes) -> bytes:
    """A value as PostgreSQL takes it, which knows no NUL character."""
    raw = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return raw.replace(b"\0", b"") if b"\0" in raw else raw


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace("\0", "").replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text that comes from the catalogue as a string constant."""
    escaped = text.replace("'", "''")
    return "E'" + escaped.replace("\\", "\\\\") + "'" if "\\" in text else f"'{escaped}'"


def array_of(values: Sequence[str]) -> str:
    """Values as the text of an array, each of them quoted."""
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in escaped) + "}"


def column(source: Source, name: str) -> str:
    """A column, or `*`. Qualified, so that `f(row)` is found under the name of a column, too."""
    return f"{source.name}.{'*' if name == '*' else quoted(name)}"


def field(source: Source, wanted: Field, parameters: Parameters) -> str:
    """A column, or what a JSON path finds in it."""
    found = column(source, wanted.name)
    if not wanted.path:
        return found
    if source.types(wanted.name) not in ("json", "jsonb"):
        found = f"to_jsonb({found})"
    return found + "".join(_step(step, parameters) for step in wanted.path)


def _step(step: JsonStep, parameters: Parameters) -> str:
    if isinstance(step.key, int):
        return f"{step.arrow}{parameters.add(str(step.key))}::int"
    return f"{step.arrow}{parameters.add(step.key)}"


def select_item(source: Source, item: SelectField, parameters: Parameters) -> str:
    """One item of a select list, under the name it has in the answer."""
    text = field(source, item.field, parameters)
    if item.cast:
        text = f"cast({text} as {_type(item.cast)})"
    named = item.alias or item.field.path or (item.cast and item.field.name != "*")
    return f"{text} as {quoted(output_name(item))}" if named else text


def output_name(item: SelectField) -> str:
    """What an item is called in the answer: a JSON path by its last key, or the column if it has only indexes."""
    keys = [step.key for step in item.field.path if isinstance(step.key, str) and step.key]
    return item.alias or (keys[-1] if keys else item.field.name)


def _type(name: str) -> str:
    """The name of a type: the grammar's own words, or an identifier, which cannot be a syntax error."""
    folded = _SPACES.sub(" ", name).lower()
    return folded if folded in _BUILT_IN_TYPES else quoted(folded)


def _joined(key: str) -> str:
    return f"({key} is distinct from null)"


def condition(
    source: Source, wanted: Condition, parameters: Parameters, present: Callable[[str], str] = _joined
) -> str:
    """A filter or a tree of them; `present` says of an embedded relation, by its name in SQL, whether it has rows."""
    if isinstance(wanted, Presence):
        return f"not {present(wanted.key)}" if not wanted.negated else present(wanted.key)
    if isinstance(wanted, Logic):
        operator = f" {wanted.operator} "
        text = f"({operator.join(condition(source, term, parameters, present) for term in wanted.terms)})"
    else:
        text = _comparison(source, wanted, parameters)
    return f"not {text}" if wanted.negated else text


def _comparison(source: Source, wanted: Filter, parameters: Parameters) -> str:
    left = field(source, wanted.field, parameters)
    if isinstance(wanted.value, tuple):
        values = array_of(() if wanted.value == ("",) else wanted.value)
        return f"({left} = any({parameters.add(values)}))"
    if wanted.operator == "is":
        return f"({left} is {_IS[wanted.value]})"
    if wanted.operator in _FULL_TEXT:
        return _text_search(source, wanted, left, parameters)
    value = wanted.value.replace("*", "%") if wanted.operator in ("like", "ilike") else wanted.value
    right = parameters.add(value)
    if wanted.modifier:
        right = f"{wanted.modifier}({right})"
    return f"({left} {_OPERATORS[wanted.operator]} {right})"


def _text_search(source: Source, wanted: Filter, left: str, parameters: Parameters) -> str:
    language = f"{parameters.add(wanted.modifier)}, " if wanted.modifier else ""
    known = source.types(wanted.field.name)
    if known is not None and known != "tsvector":
        left = f"to_tsvector({language}{left})"
    query = parameters.add(str(wanted.value))
    return f"({left} @@ {_FULL_TEXT[wanted.operator]}({language}{query}))"


def where(terms: Sequence[str]) -> str:
    """A `where` clause of conditions in SQL; empty without any."""
    return f" where {' and '.join(terms)}" if terms else ""


def order_by(source: Source, terms: Sequence[OrderTerm], parameters: Parameters) -> str:
    """An `order by` clause; empty without terms."""
    told = [_order_term(source, term, parameters) for term in terms]
    return f" order by {', '.join(told)}" if told else ""


def _order_term(source: Source, term: OrderTerm, parameters: Parameters) -> str:
    if term.relation is None:
        wanted = field(source, term.field, parameters)
    else:
        # What is embedded goes by its name in SQL by now; of its columns only the names are known.
        steps = "".join(_step(step, parameters) for step in term.field.path)
        wanted = f"{term.relation}.{quoted(term.field.name)}{steps}"
    return wanted + _ORDER[term.direction] + _ORDER[term.nulls]


def limited(limit: int | None, offset: int) -> str:
    """A `limit` and `offset` clause; empty when all rows are wanted."""
    # Both are numbers of ours by now, not text of the user's.
    return (f" limit {limit}" if limit is not None else "") + (f" offset {offset}" if offset else "")
