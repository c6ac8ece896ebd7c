"""What pg_cron accepts as a schedule, and the minutes that it names."""

from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.cron_schedule import MINUTE, AtStart, Calendar, Interval, parse_schedule

ACCEPTED = [
    "1 second", "1 seconds", "59 seconds", " 30 sEcOnDs ", "17  seconds", "5seconds", "007 seconds",
    "* * * * *", "*/10 * * * * *", "  0 10 * * *", "0 0 $ * *", "5 4 * * MON-FRI", "0 0 1 jan,Jul *", "0 0 * * 7",
    "0-30/10,45 * * * *", "5 4 * * * whatever follows", "* * * * *\n", "\n# a comment\n* * * * *",
    "5;x * * * *", "*x * * * *", "10-5 * * * *",
    "@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually", "@reboot", "@restart", "@daily x",
]  # fmt: skip
REJECTED = [
    "", " ", "0 seconds", "60 seconds", "-1 seconds", "10000000000 seconds", "2s", "1 minute", "1 second ",
    "5 secondc", "50 seconds c", "@every 5s", "@Hourly", "@", "@restar", "a", "a" * 1000, "* * * * " + " " * 1000 + "*",
    "61 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
    "* * * *", "* * * * ", "*/0 * * * *", "*/ * * * *", "*/x * * * *", "5/10 * * * *", "5- * * * *", "1,,2 * * * *",
    "1, * * * *", "-1 * * * *", "* * * january *", "* MON * * *", "* * $x * *", "$ * * * *", "0\n* * * *", "é * * * *",
]  # fmt: skip


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_pg_cron_accepts_is_accepted(text: str) -> None:
    parse_schedule(text)


@pytest.mark.parametrize("text", REJECTED)
def test_what_pg_cron_rejects_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="invalid schedule"):
        parse_schedule(text)


def calendar(text: str) -> Calendar:
    schedule = parse_schedule(text)
    assert isinstance(schedule, Calendar)
    return schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_seconds_are_an_interval_and_reboot_is_no_time_at_all() -> None:
    assert parse_schedule("10 seconds") == Interval(10)
    assert parse_schedule("@reboot") == AtStart()


def test_a_sixth_field_is_ignored_so_that_ten_seconds_become_ten_minutes() -> None:
    assert parse_schedule("*/10 * * * * *") == parse_schedule("*/10 * * * *")


def test_the_dollar_is_the_last_day_of_the_month() -> None:
    last = calendar("0 0 $ * *")
    assert [last.names(at(day)) for day in ("2027-02-28", "2028-02-28", "2028-02-29", "2027-04-30", "2027-04-29")] == [
        True, False, True, True, False,
    ]  # fmt: skip


def test_a_day_or_a_weekday_is_enough_unless_one_of_them_begins_with_a_star() -> None:
    monday_the_first, monday, sunday_the_first = at("2027-02-01"), at("2027-02-08"), at("2027-08-01")
    either = calendar("0 0 1 * MON")
    assert all(either.names(day) for day in (monday_the_first, monday, sunday_the_first))
    both = calendar("0 0 */31 * MON")
    assert [both.names(day) for day in (monday_the_first, monday, sunday_the_first)] == [True, False, False]


def test_a_range_that_runs_backwards_names_nothing() -> None:
    assert calendar("10-5 * * * *").minutes == frozenset()


def test_missed_minutes_add_up_but_a_jump_of_the_clock_is_not_made_up_for() -> None:
    noon = at("2027-02-01T12:00")
    every_minute, fixed = calendar("* * * * *"), calendar("10 12 * * *")
    assert every_minute.runs_due(noon, noon) == 0
    assert every_minute.runs_due(noon, noon + 5 * MINUTE) == 5
    assert every_minute.runs_due(noon, noon + 6 * MINUTE) == 1
    assert fixed.runs_due(noon, noon + timedelta(hours=3)) == 1
    assert fixed.runs_due(noon, noon + timedelta(hours=4)) == 0
    assert every_minute.runs_due(noon, noon - timedelta(hours=1)) == 0


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted).filter(lambda s: s[0] < s[1])  # croniter reads 0-0 as 0-6
    step = st.integers(1, 7)
    item = st.one_of(
        number.map(str),
        span.map(lambda s: f"{s[0]}-{s[1]}"),
        st.tuples(span, step).map(lambda s: f"{s[0][0]}-{s[0][1]}/{s[1]}"),
    )
    return st.one_of(st.just("*"), step.map(lambda n: f"*/{n}"), st.lists(item, min_size=1, max_size=3).map(",".join))


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(" ".join),
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)),
)
def test_the_minutes_are_those_of_other_crons(expression: str, moment: datetime) -> None:
    schedule = calendar(expression)
    start = moment.replace(second=0, microsecond=0, tzinfo=UTC)
    due = croniter(expression, start, implement_cron_bug=True, ret_type=datetime).get_next()
    assert schedule.names(due)
    assert not any(schedule.names(start + MINUTE * n) for n in range(1, min(300, (due - start) // MINUTE)))
