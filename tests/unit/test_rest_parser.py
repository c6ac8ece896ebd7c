"""The grammar of query strings: what it understands, and where it says it stopped understanding."""

import pytest

from devstack.rest.errors import RestError
from devstack.rest.filters import parse_filter, parse_logic
from devstack.rest.parser import parse_columns, parse_order, parse_path, parse_select
from devstack.rest.query_string import parse_query
from devstack.rest.syntax import Embed, Field, Filter, JsonStep, Logic, OrderTerm, SelectField

A = Field("a")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", ()),
        ("*", (SelectField(Field("*")),)),
        ("a, b", (SelectField(A), SelectField(Field("b")))),
        ("x:a::text", (SelectField(A, "x", "text"),)),
        ("a::double precision", (SelectField(A, None, "double precision"),)),
        ("a->b->>0", (SelectField(Field("a", (JsonStep("->", "b"), JsonStep("->>", 0)))),)),
        ("a->-1", (SelectField(Field("a", (JsonStep("->", -1),))),)),
        ("a->1x", (SelectField(Field("a", (JsonStep("->", "1x"),))),)),
        ("a->b-c", (SelectField(Field("a", (JsonStep("->", "b-c"),))),)),
        ('"a,(b"->"c.d"', (SelectField(Field("a,(b", (JsonStep("->", "c.d"),))),)),
        ("a-b c", (SelectField(Field("a-b c")),)),
        ("ação", (SelectField(Field("ação")),)),
        ("count()", (SelectField(Field("*"), None, None, "count"),)),
        ("n:a.sum()::int", (SelectField(A, "n", None, "sum"),)),
        ("r(*)", (Embed("r", (SelectField(Field("*")),)),)),
        ("r()", (Embed("r", ()),)),
        (
            "x:r!h!inner(a,s(b))",
            (Embed("r", (SelectField(A), Embed("s", (SelectField(Field("b")),))), "x", "h", True),),
        ),
        ("...r(a)", (Embed("r", (SelectField(A),), spread=True),)),
    ],
)
def test_a_select_list_is_understood(text: str, items: tuple[object, ...]) -> None:
    assert parse_select(text) == items


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("eq.5", Filter(A, "eq", "5")),
        ("eq.", Filter(A, "eq", "")),
        ("not.eq.a.b", Filter(A, "eq", "a.b", True)),
        ("neq.x", Filter(A, "neq", "x")),
        ("eq(any).{1,2}", Filter(A, "eq", "{1,2}", False, "any")),
        ("not.ilike(all).{a*}", Filter(A, "ilike", "{a*}", True, "all")),
        ('in.(a,"b,c","d\\"e",q"r)', Filter(A, "in", ("a", "b,c", 'd"e', 'q"r'))),
        ("in.()", Filter(A, "in", ("",))),
        ("is.Null", Filter(A, "is", "null")),
        ("is.not_null", Filter(A, "is", "not_null")),
        ("fts.a&b", Filter(A, "fts", "a&b")),
        ("not.wfts(portuguese).a b", Filter(A, "wfts", "a b", True, "portuguese")),
        ("isdistinct.1", Filter(A, "isdistinct", "1")),
        ("adj.[1,2)", Filter(A, "adj", "[1,2)")),
    ],
)
def test_a_filter_is_understood(text: str, found: Filter) -> None:
    assert parse_filter(A, text) == found


@pytest.mark.parametrize(
    ("key", "text", "path", "tree"),
    [
        ("or", "(a.eq.1,a.eq.2)", (), Logic("or", (Filter(A, "eq", "1"), Filter(A, "eq", "2")))),
        ("not.and", "(a.eq.1)", (), Logic("and", (Filter(A, "eq", "1"),), True)),
        ("r.not.or", "(a.eq.1)", ("r",), Logic("or", (Filter(A, "eq", "1"),), True)),
        (
            "or",
            '( a.not.in.(1,2) , not.and(a.eq.",)",a.cs.{1,2}) )',
            (),
            Logic(
                "or",
                (
                    Filter(A, "in", ("1", "2"), True),
                    Logic("and", (Filter(A, "eq", ",)"), Filter(A, "cs", "{1,2}")), True),
                ),
            ),
        ),
        (
            "or",
            "(or.eq.1,not.eq.2)",
            (),
            Logic("or", (Filter(Field("or"), "eq", "1"), Filter(Field("not"), "eq", "2"))),
        ),
    ],
)
def test_a_logic_tree_is_understood(key: str, text: str, path: tuple[str, ...], tree: Logic) -> None:
    assert parse_logic(key, text) == (path, tree)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("a", (OrderTerm(A),)),
        ("a.desc.nullslast,b.nullsfirst", (OrderTerm(A, "desc", "nullslast"), OrderTerm(Field("b"), "", "nullsfirst"))),
        ("a->>b.asc", (OrderTerm(Field("a", (JsonStep("->>", "b"),)), "asc"),)),
        ("r(a).desc", (OrderTerm(A, "desc", "", "r"),)),
    ],
)
def test_an_order_is_understood(text: str, terms: tuple[OrderTerm, ...]) -> None:
    assert parse_order(text) == terms


def test_paths_and_columns_are_understood() -> None:
    assert parse_path("r.s.a->>b") == (("r", "s"), Field("a", (JsonStep("->>", "b"),)))
    assert parse_path('"r.s".a') == (("r.s",), A)
    assert parse_columns('"a","b c", d', "columns") == ("a", "b c", "d")


@pytest.mark.parametrize(
    ("query", "column"),
    [
        ("a=noop.0", 1),
        ("a=eq", 1),
        ("a=5", 1),
        ("a=", 1),
        ("a=not.", 5),
        ("a=is.maybe", 4),
        ("a=in.1,2", 4),
        ("a=in.(1,2", 8),
        ("a=eq(some).1", 4),
        ("a=cs(any).1", 3),
        ("a=fts().x", 5),
        ("select=a,", 3),
        ("select=a!", 3),
        ("select=a::", 4),
        ("select=a->", 4),
        ("select=a:: ", 5),
        ("select=+", 2),
        ("select=a->>--1", 6),
        ("select=a,b(c", 6),
        ("select=(a)", 1),
        ("select=a b!c", 6),
        ("order=a.up", 3),
        ("order=a.asc.up", 7),
        ("order=a.desc.nullslastt", 17),
        ("or=()", 4),
        ("or=a.eq.1", 3),
        ("not.and=(a.eq.1", 15),
        ("or=(a.xx.1)", 6),
        ("columns=a,,b", 3),
        ("on_conflict=(a)", 1),
        ("=eq.1", 1),
        ('""=eq.1', 3),
        ("a!b=eq.1", 2),
    ],
)
def test_a_text_that_makes_no_sense_is_refused_where_it_stops(query: str, column: int) -> None:
    with pytest.raises(RestError) as refused:
        parse_query(query.encode())
    error = refused.value
    assert (error.status, error.code) == (400, "PGRST100")
    assert error.message.startswith('"failed to parse ')
    assert error.message.endswith(f"(line 1, column {column})")
    assert str(error.details).startswith("unexpected ")


@pytest.mark.parametrize(
    "text", ["or=" + "(and" * 500, "select=" + "a(" * 500, "or=" + "(not.or" * 60 + "(a.eq.1" + ")" * 61]
)
def test_nesting_has_an_end(text: str) -> None:
    with pytest.raises(RestError) as refused:
        parse_query(text.encode())
    assert refused.value.code == "PGRST100"


def test_parameters_are_sorted_out_by_name_and_value() -> None:
    query = parse_query(
        b"select=a&b=eq.1&r.c=eq.2&order=a&r.order=c&limit=5&r.limit=1&offset=2&or=(a.eq.1)&columns=x,y&on_conflict=x"
    )
    assert [path for path, _ in query.filters] == [(), ("r",)]
    assert (query.limits, query.offsets) == ({(): 5, ("r",): 1}, {(): 2})
    assert list(query.order) == [(), ("r",)]
    assert (query.columns, query.on_conflict) == (("x", "y"), ("x",))


def test_a_parameter_without_a_value_says_nothing() -> None:
    query = parse_query(b"id&select&or&order&a=eq.1", with_arguments=True)
    assert (len(query.filters), query.select, query.logic, query.order, query.arguments) == (1, (), [], {}, [])
    assert query.canonical == "a=eq.1&id=&or=&order=&select="


def test_for_a_call_the_value_decides_between_filter_and_argument() -> None:
    query = parse_query(b"a=5&b=eq.1&c=in.(1)&d=in.1&e=not.x&f=eq&r.g=eq.1&limit=1", with_arguments=True)
    assert query.arguments == [("a", "5"), ("d", "in.1"), ("e", "not.x"), ("f", "eq")]
    assert [(*path, found.field.name) for path, found in query.filters] == [("b",), ("c",), ("r", "g")]


def test_what_follows_a_closed_list_or_tree_is_passed_over_as_by_postgrest() -> None:
    assert parse_filter(A, "in.(1,2)x").value == ("1", "2")
    assert parse_logic("or", "(a.eq.1))") == ((), Logic("or", (Filter(A, "eq", "1"),)))


@pytest.mark.parametrize("text", ["r(a))", "r(a)x", "r(a)(", "a)", "a)x", "*)"])
def test_what_follows_the_end_of_a_select_list_is_passed_over_as_by_postgrest(text: str) -> None:
    assert parse_select(text) == parse_select(text[: text.index(")") + 1] if "(" in text else text[0])


@pytest.mark.parametrize("text", ["*x", "count()x", "r(*x)", "r(a(b)x)"])
def test_what_follows_an_item_of_a_select_list_is_not(text: str) -> None:
    with pytest.raises(RestError):
        parse_select(text)


@pytest.mark.parametrize(
    ("query", "details"),
    [
        ("a=5", 'unexpected "5" expecting "not" or operator (eq, gt, ...)'),
        ("a=not.5", 'unexpected "5" expecting operator (eq, gt, ...)'),
        ("select=a->>--1", 'unexpected "-" expecting digit'),
        (
            "select=a->>.",
            'unexpected "." expecting "-", digit or any non reserved character different from: .,>()',
        ),
    ],
)
def test_what_could_have_come_is_said_in_postgrests_words(query: str, details: str) -> None:
    with pytest.raises(RestError) as refused:
        parse_query(query.encode())
    assert refused.value.details == details


def test_blanks_in_a_list_or_tree_are_no_part_of_the_first_value() -> None:
    assert parse_filter(A, "in.(  )").value == ("",)
    tree = Logic("and", (Logic("or", (Filter(A, "in", ("1", " 2 ")), Filter(A, "eq", "3"))),))
    assert parse_logic("and", "( or ( a.in.( 1, 2 ) , a.eq.3) )") == ((), tree)


@pytest.mark.parametrize(
    ("text", "details"),
    [
        ("a.up", 'unexpected "u" expecting "asc", "desc", "nullsfirst" or "nullslast"'),
        ("a.ac", 'unexpected "c" expecting "asc", "desc", "nullsfirst" or "nullslast"'),
        ("a.asc.nul", 'unexpected end of input expecting "nullsfirst" or "nullslast"'),
        ("a.descending", "unexpected 'e' expecting delimiter (.), \",\" or end of input"),
        ("a.nullslastt", "unexpected 't' expecting \",\" or end of input"),
    ],
)
def test_a_misspelt_order_is_refused_in_postgrests_words(text: str, details: str) -> None:
    with pytest.raises(RestError) as refused:
        parse_order(text)
    assert refused.value.details == details


def test_values_are_decoded_once() -> None:
    query = parse_query(b"a=eq.x+y%20z%2B%2525%00&%61b=eq.%ff")
    assert [(found.field.name, found.value) for _, found in query.filters] == [("a", "x y z+%25"), ("ab", "\ufffd")]


def test_the_canonical_query_is_sorted() -> None:
    assert parse_query(b"b=eq.1&a=eq.%C3%BC&select=").canonical == "a=eq.%C3%BC&b=eq.1&select="
