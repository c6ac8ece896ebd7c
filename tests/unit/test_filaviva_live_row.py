"""A row that is read and streamed converges to the newest version and never goes backwards."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from filaviva.live_row import LiveRow, Merged

Row = dict[str, Any]


@dataclass(frozen=True)
class Arrival:
    """One thing that reaches the client: the change to `version`, or what a read saw at it."""

    version: int
    read: bool


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """A row's states, version 1 to n: a status that always changes, and large columns that may not."""
    rows = [{"id": "a", "version": 1, "status": 1, "payload": 0, "result": 0}]
    for version in range(2, draw(st.integers(2, 12)) + 1):
        changed = {name: version for name in ("payload", "result") if draw(st.booleans())}
        rows.append({**rows[-1], "version": version, "status": version, **changed})
    return rows


def streamed(rows: list[Row], version: int) -> Row:
    """The change to `version` as PostgreSQL sends it: unchanged large columns are absent."""
    row = rows[version - 1]
    if version == 1:
        return row
    before = rows[version - 2]
    absent = {name for name in ("payload", "result") if row[name] == before[name]}
    return {name: value for name, value in row.items() if name not in absent}


@given(st.data())
def test_any_order_and_repetition_shows_true_states_of_rising_version(data: st.DataObject) -> None:
    rows = data.draw(histories())
    arrivals = data.draw(
        st.lists(st.builds(Arrival, st.integers(1, len(rows)), st.booleans()), max_size=30), label="arrivals"
    )
    live, shown = LiveRow(), list[Row]()
    for arrival in [*arrivals, Arrival(len(rows), read=True)]:
        if arrival.read:
            newer = live.take_row(rows[arrival.version - 1])
        else:
            newer = live.take_change(streamed(rows, arrival.version)) is Merged.NEWER
        if newer:
            shown.append(dict(live.columns))
    versions = [row["version"] for row in shown]
    assert versions == sorted(set(versions))
    assert versions[-1] == len(rows)
    assert all(row == rows[row["version"] - 1] for row in shown)


def test_an_absent_column_keeps_its_value_in_a_direct_successor() -> None:
    live = LiveRow()
    live.take_row({"version": 3, "status": "processing", "payload": {"a": 1}})
    assert live.take_change({"version": 4, "status": "completed"}) is Merged.NEWER
    assert live.columns == {"version": 4, "status": "completed", "payload": {"a": 1}}


def test_an_absent_column_after_a_missed_version_asks_for_a_read() -> None:
    live = LiveRow()
    live.take_row({"version": 3, "status": "processing", "result": None})
    assert live.take_change({"version": 5, "status": "completed"}) is Merged.GAP
    assert live.version == 3


def test_a_change_before_the_first_read_asks_for_a_read() -> None:
    assert LiveRow().take_change({"version": 7, "status": "pending"}) is Merged.GAP


def test_a_record_without_version_asks_for_a_read() -> None:
    live = LiveRow()
    live.take_row({"version": 1, "status": "pending"})
    assert live.take_change({"status": "completed"}) is Merged.GAP
