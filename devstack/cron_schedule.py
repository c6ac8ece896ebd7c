"""When a job of pg_cron is due: its schedules, read and judged by pg_cron's own rules.

pg_cron took its parser from Vixie cron, with all its leniency: after a complete item whatever
follows up to the next blank is ignored, and so is everything after the fifth field, so that
``*/10 * * * * *`` means every ten minutes. The extension's SQL accepts schedules by the same rules.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_AT_START = ("@reboot", "@restart")
_LENGTH_LIMIT = 1000  # bytes of a crontab line

_SECONDS = re.compile(r"\s*\+?0*([1-9]|[1-5][0-9])\s*second(s\s*)?", re.IGNORECASE | re.ASCII)
_BLANK_LINES = re.compile(r"([ \t]*(#[^\n]*)?\n)*[ \t]*")
_ITEM = re.compile(r"(?:(\*)|([0-9A-Za-z]+)(?:-([0-9A-Za-z]+))?)(?:/([0-9A-Za-z]+))?")


@dataclass(frozen=True, slots=True)
class Interval:
    """`N seconds`: N seconds from start to start, never aligned to the clock."""

    seconds: int


@dataclass(frozen=True, slots=True)
class AtStart:
    """`@reboot`: once, when the scheduler starts."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Five fields: every minute, GMT, that all of them name.

    Attributes:
        days: days of the month, 1 to 31.
        weekdays: 0 (Sunday) to 6.
        last_day: whether the last day of the month counts too (`$`).
        either_day: day of month or weekday is enough; so it is unless one of the two fields begins
            with a star.
        wild: minute or hour begins with a star, so that a missed run is not made up for after the
            clock jumped.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    last_day: bool
    either_day: bool
    wild: bool

    def names(self, moment: datetime) -> bool:
        """Whether the minute that `moment` lies in is one of this calendar's."""
        day = moment.day in self.days or (self.last_day and (moment + timedelta(days=1)).day == 1)
        weekday = moment.isoweekday() % 7 in self.weekdays
        return (
            moment.minute in self.minutes
            and moment.hour in self.hours
            and moment.month in self.months
            and ((day or weekday) if self.either_day else (day and weekday))
        )

    def runs_due(self, since: datetime, until: datetime) -> int:
        """How many runs fall after minute `since` up to and including minute `until`.

        A scheduler that comes late makes up for every missed minute, but not after a jump of the
        clock: beyond five minutes only for schedules with a fixed minute and hour, beyond three
        hours for none.
        """
        passed = max(0, (until - since) // MINUTE)
        if passed == 0:
            return 0
        if passed > 180 or (passed > 5 and self.wild):
            return int(self.names(until))
        return sum(self.names(since + MINUTE * n) for n in range(1, passed + 1))


Schedule = Interval | AtStart | Calendar


def parse_schedule(text: str) -> Schedule:
    """Read a schedule as `cron.schedule` takes it.

    Raises:
        ValueError: pg_cron would not accept it.
    """
    if interval := _SECONDS.fullmatch(text):
        return Interval(int(interval[1]))
    if len(text.encode()) >= _LENGTH_LIMIT:
        raise ValueError(f"invalid schedule: it is longer than {_LENGTH_LIMIT - 1} bytes")
    line = _BLANK_LINES.sub("", text, count=1)
    if line.startswith("@"):
        word = re.split(r"[ \t\n]", line)[0]
        if word in _AT_START:
            return AtStart()
        line = _SHORTHANDS.get(word, "")
    fields = re.split(r"[ \t]+", line)
    if len(fields) < 5 or "\n" in "".join(fields[:4]):
        raise ValueError(f"invalid schedule: {text}")
    return _calendar(*fields[:5])


def _calendar(minute: str, hour: str, day: str, month: str, weekday: str) -> Calendar:
    weekdays = _numbers(weekday, 0, 7, WEEKDAYS)
    return Calendar(
        minutes=_numbers(minute, 0, 59),
        hours=_numbers(hour, 0, 23),
        days=frozenset() if day == "$" else _numbers(day, 1, 31),
        months=_numbers(month, 1, 12, MONTHS),
        weekdays=frozenset(number % 7 for number in weekdays),
        last_day=day == "$",
        either_day=not (day.startswith("*") or weekday.startswith("*")),
        wild=minute.startswith("*") or hour.startswith("*"),
    )


def _numbers(field: str, low: int, high: int, names: Sequence[str] = ()) -> frozenset[int]:
    numbers: set[int] = set()
    rest = field
    while True:
        item = _ITEM.match(rest)
        if item is None:
            raise ValueError(f"invalid schedule: {field!r} is not a list of numbers")
        rest = rest[item.end() :]
        numbers.update(_range(item, rest, low, high, names))
        if not rest.startswith(","):
            return frozenset(numbers)
        rest = rest[1:]


def _range(item: re.Match[str], rest: str, low: int, high: int, names: Sequence[str]) -> range:
    star, first, last, step = item.groups()
    if step is None and rest.startswith("/"):
        raise ValueError("invalid schedule: a step must be a number")
    if star is None and last is None and (step is not None or rest.startswith("-")):
        raise ValueError("invalid schedule: a step needs a range, and a range its end")
    every = 1 if step is None else _number(step, 1, None)
    if star is not None:
        return range(low, high + 1, every)
    start = _number(first, low, high, names)
    end = start if last is None else _number(last, low, high, names)
    return range(start, end + 1, every)


def _number(token: str, low: int, high: int | None, names: Sequence[str] = ()) -> int:
    if token.lower() in names:
        return low + names.index(token.lower())
    if not token.isdigit():
        raise ValueError(f"invalid schedule: {token!r} is not a number")
    number = int(token)
    if number < low or (high is not None and number > high):
        raise ValueError(f"invalid schedule: {number} is out of range")
    return number
