"""Request headers: preferences, accepted forms, ranges."""

import pytest

from devstack.rest.errors import RestError
from devstack.rest.media import negotiate
from devstack.rest.payload import read_payload
from devstack.rest.preferences import parse_preferences
from devstack.rest.query_string import parse_query
from devstack.rest.ranges import Window, content_range, read_status, window_of


def test_preferences_come_in_any_number_of_headers_and_the_first_counts() -> None:
    found = parse_preferences(["return=minimal,  count=exact ", "return=representation, anything", ""])
    assert found.values == {"return": "minimal", "count": "exact"}
    assert found.unknown == ("anything",)


def test_applied_preferences_are_told_in_their_order() -> None:
    found = parse_preferences(["max-affected=5, handling=strict, count=exact, return=minimal, missing=null"])
    kinds = ("return", "count", "missing", "handling", "max-affected")
    told = "missing=null, return=minimal, count=exact, handling=strict, max-affected=5"
    assert found.applied(kinds) == told
    assert found.applied(("count",)) == "count=exact"


def test_the_most_affected_needs_strict_handling() -> None:
    lenient = parse_preferences(["max-affected=5"])
    assert (lenient.max_affected, lenient.applied(("max-affected",))) == (None, "")
    assert parse_preferences(["max-affected=5, handling=strict"]).max_affected == 5


@pytest.mark.parametrize(
    "text", ["max-affected=x", "max-affected=-1", "max-affected=9" + "9" * 30, "timezone=Mars", "return="]
)
def test_values_that_mean_nothing_are_unknown(text: str) -> None:
    assert parse_preferences([text], timezones={"UTC"}).unknown == (text,)


def test_the_end_of_the_transaction_is_only_heard_where_it_is_allowed() -> None:
    assert parse_preferences(["tx=rollback"]).get("tx") is None
    assert parse_preferences(["tx=rollback"]).unknown == ()
    assert parse_preferences(["tx=rollback"], may_end=True).get("tx") == "rollback"


@pytest.mark.parametrize(
    ("accept", "singular", "stripped"),
    [
        (None, False, False),
        ("", False, False),
        ("application/json; charset=utf-8", False, False),
        ("text/csv, */*", False, False),
        ("application/vnd.pgrst.object+json", True, False),
        ("application/vnd.pgrst.object;nulls=stripped", True, True),
        ("application/vnd.pgrst.array+json; nulls=stripped", False, True),
        ("application/vnd.pgrst.array", False, False),
        ("application/vnd.pgrst.object+json;q=0.1, application/json", False, False),
        ("text/html;q=oops, application/json", False, False),
    ],
)
def test_the_most_wanted_form_that_can_be_served_is_served(accept: str | None, singular: bool, stripped: bool) -> None:
    media = negotiate(accept)
    assert (media.singular, media.stripped) == (singular, stripped)


def test_a_form_that_cannot_be_served_is_406_and_one_that_postgrest_could_is_501() -> None:
    for accept, status in (("image/png", 406), ("image/png, text/html", 406), ("image/png, application/geo+json", 501)):
        with pytest.raises(RestError) as refused:
            negotiate(accept)
        assert refused.value.status == status


@pytest.mark.parametrize(
    ("query", "header", "window"),
    [
        ("", None, Window()),
        ("limit=5", None, Window(0, 5)),
        ("limit=5&offset=3", None, Window(3, 5)),
        ("offset=3", "5-9", Window(5, 5)),
        ("limit=5", "3-", Window(3, 2)),
        ("limit=0", "3-4", Window(0, 0)),
        ("", "0-0", Window(0, 1)),
        ("", "items=0-1", Window()),
        ("", "-5", Window()),
        ("limit=1_0", None, Window()),
        ("limit=" + "9" * 40, None, Window(0, int("9" * 40))),
    ],
)
def test_windows(query: str, header: str | None, window: Window) -> None:
    assert window_of(parse_query(query.encode()), header) == window


def test_content_ranges() -> None:
    assert content_range(0, 0, None) == "*/*"
    assert content_range(0, 0, 0) == "*/0"
    assert content_range(5, 10, None) == "5-14/*"
    assert content_range(5, 10, 100) == "5-14/100"
    assert [read_status(0, 5, None), read_status(0, 5, 5), read_status(0, 5, 6), read_status(6, 0, 6)] == [
        200,
        200,
        206,
        206,
    ]


def test_a_body_is_passed_on_as_it_came() -> None:
    raw = b' {"b": 1.10, "a": 12345678901234567890} '
    payload = read_payload(raw, None, None, for_call=False)
    assert (payload.raw, payload.keys, payload.is_object) == (raw, ("a", "b"), True)


def test_named_columns_spare_the_reading_of_the_body() -> None:
    payload = read_payload(b"\n [{]", "application/json; charset=utf-8", ("b", "a", "b"), for_call=False)
    assert (payload.keys, payload.is_object) == (("a", "b"), False)
