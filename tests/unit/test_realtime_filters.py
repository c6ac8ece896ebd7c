import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.realtime.filters import Condition, FilterError, parse_filter


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        (None, []),
        ("", []),
        ("id=eq.1", [Condition("id", "eq", ("1",))]),
        ("id=not.eq.1", [Condition("id", "eq", ("1",), negated=True)]),
        ("name=eq.a.b=c", [Condition("name", "eq", ("a.b=c",))]),
        ("name=eq.", [Condition("name", "eq", ("",))]),
        ('name=eq."a,b"', [Condition("name", "eq", ("a,b",))]),
        ('name=eq."say \\"x\\" \\\\"', [Condition("name", "eq", ('say "x" \\',))]),
        ("id=in.(1, 2)", [Condition("id", "in", ("1", "2"))]),
        ('n=in.("a,b","(c)",d)', [Condition("n", "in", ("a,b", "(c)", "d"))]),
        ("a=gt.1,b=not.is.NULL", [Condition("a", "gt", ("1",)), Condition("b", "is", ("null",), negated=True)]),
        ("a=in.(1,2),b=lt.3", [Condition("a", "in", ("1", "2")), Condition("b", "lt", ("3",))]),
    ],
)
def test_a_filter_is_read_term_by_term(text: str | None, conditions: list[Condition]) -> None:
    assert list(parse_filter(text)) == conditions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id", '["id"]'),
        ("id=1", '["id", "1"]'),
        ("id=eq", '["id", "eq"]'),
        ("=eq.1", '["", "eq.1"]'),
        ("id=cs.{1}", '["id", "cs.{1}"]'),
        ("id=is.soon", '["id", "is.soon"]'),
        ("id=eq.1,", '[""]'),
        ("id=in.1,2", "`in` filter value must be wrapped by parentheses"),
        (f"id=in.({','.join('1' * 101)})", "`in` takes at most 100 values, not 101"),
    ],
)
def test_what_is_no_filter_is_named(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert str(caught.value) == f"Error parsing `filter` params: {message}"


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_every_value_survives_quoting(values: list[str]) -> None:
    quoted = ['"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values]
    [condition] = parse_filter(f"name=in.({','.join(quoted)})")
    assert condition.operands == tuple(values)


@given(st.text())
def test_any_text_is_either_a_filter_or_a_filter_error(text: str) -> None:
    try:
        parse_filter(text)
    except FilterError as error:
        assert str(error).startswith("Error parsing `filter` params: ")
