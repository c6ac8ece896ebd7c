"""Rows that are read and streamed converge to the newest version and never go backwards."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from filaviva.live.rows import Merged, Rows

Record = dict[str, Any]


class Item(BaseModel):
    id: str
    seq: int = 1
    version: int
    status: int | str
    payload: Any = None
    result: Any = None


def rows(limit: int | None = None, wanted: str | None = None) -> Rows[Item]:
    return Rows(Item, lambda item: wanted is None or item.status == wanted, "seq", limit)


def record(version: int, row_id: str = "a", **columns: Any) -> Record:
    return {"id": row_id, "seq": 1, "version": version, "status": "busy", "payload": 0, "result": 0, **columns}


def read(known: Rows[Item], *found: Record, scope: list[str] | None = None) -> bool:
    """A read that found these rows; whether it changed anything."""
    known.begin_read()
    newer = known.take_read(found)
    return known.end_read(scope) or bool(newer)


@dataclass(frozen=True)
class Arrival:
    """One thing that reaches the client: the change to `version`, or what a read saw at it."""

    version: int
    read: bool


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """A row's states, version 1 to n: a status that always changes, and large columns that may not."""
    states = [{"id": "a", "seq": 1, "version": 1, "status": 1, "payload": 0, "result": 0}]
    for version in range(2, draw(st.integers(2, 12)) + 1):
        changed = {name: version for name in ("payload", "result") if draw(st.booleans())}
        states.append({**states[-1], "version": version, "status": version, **changed})
    return states


def streamed(states: list[Record], version: int) -> Record:
    """The change to `version` as PostgreSQL sends it: unchanged large columns are absent."""
    state = states[version - 1]
    if version == 1:
        return state
    before = states[version - 2]
    absent = {name for name in ("payload", "result") if state[name] == before[name]}
    return {name: value for name, value in state.items() if name not in absent}


@given(st.data())
def test_any_order_and_repetition_shows_true_states_of_rising_version(data: st.DataObject) -> None:
    states = data.draw(histories())
    arrivals = data.draw(
        st.lists(st.builds(Arrival, st.integers(1, len(states)), st.booleans()), max_size=30), label="arrivals"
    )
    known, shown = rows(), list[Record]()
    for arrival in [*arrivals, Arrival(len(states), read=True)]:
        if arrival.read:
            newer = read(known, states[arrival.version - 1])
        else:
            change = streamed(states, arrival.version)
            newer = known.take_change(change, is_whole=arrival.version == 1) is Merged.NEWER
        if newer:
            shown.append(known.newest[0].model_dump())
    versions = [state["version"] for state in shown]
    assert versions == sorted(set(versions))
    assert versions[-1] == len(states)
    assert all(state == states[state["version"] - 1] for state in shown)


def test_an_absent_column_keeps_its_value_in_a_direct_successor() -> None:
    known = rows()
    read(known, record(3, payload={"a": 1}))
    assert known.take_change({"id": "a", "seq": 1, "version": 4, "status": "done", "result": 0}) is Merged.NEWER
    assert known.newest[0].payload == {"a": 1}


def test_an_absent_column_after_a_missed_version_asks_for_a_read() -> None:
    known = rows()
    read(known, record(3))
    assert known.take_change({"id": "a", "seq": 1, "version": 5, "status": "done"}) is Merged.GAP
    assert known.newest[0].version == 3


def test_an_update_before_the_first_read_asks_for_a_read_and_an_insert_does_not() -> None:
    known = rows()
    assert known.take_change(record(7)) is Merged.GAP
    assert known.take_change(record(1), is_whole=True) is Merged.NEWER


def test_a_record_without_version_asks_for_a_read() -> None:
    known = rows()
    read(known, record(1))
    assert known.take_change({"id": "a", "status": "done"}) is Merged.GAP


def test_a_read_begun_before_a_change_does_not_take_it_back() -> None:
    known = rows()
    read(known, record(3))
    known.begin_read()
    known.take_change(record(5))
    known.take_read([record(4)])
    assert not known.end_read(None)
    assert known.newest[0].version == 5


def test_a_read_begun_before_a_row_came_does_not_remove_it() -> None:
    known = rows()
    read(known)
    known.begin_read()
    known.take_change(record(1, "new"), is_whole=True)
    assert not known.end_read(None)
    assert known.get("new") is not None


def test_a_read_begun_before_a_row_went_does_not_bring_it_back() -> None:
    for left in (True, False):
        known = rows(wanted="busy")
        read(known, record(3))
        known.begin_read()
        if left:
            known.take_change(record(4, status="done"))
        else:
            known.take_delete("a")
        known.take_read([record(3)])
        known.end_read(None)
        assert known.newest == ()


def test_what_a_read_does_not_find_is_gone() -> None:
    known = rows()
    read(known, record(1, "a"), record(1, "b", seq=2))
    assert read(known, record(1, "b", seq=2))
    assert [item.id for item in known.newest] == ["b"]


def test_a_read_of_some_rows_says_nothing_of_the_others() -> None:
    known = rows()
    read(known, record(1, "a"), record(1, "b", seq=2), record(1, "c", seq=3))
    assert read(known, record(2, "b", seq=2), scope=["b", "c"])
    assert [(item.id, item.version) for item in known.newest] == [("b", 2), ("a", 1)]


def test_a_failed_read_removes_nothing() -> None:
    known = rows()
    read(known, record(1))
    known.begin_read()
    known.abandon_read()
    assert len(known) == 1


def test_a_full_window_keeps_the_newest_and_asks_for_the_next_when_one_leaves() -> None:
    known = rows(limit=2)
    read(known, record(1, "b", seq=2), record(1, "c", seq=3))
    assert known.take_change(record(1, "d", seq=4), is_whole=True) is Merged.NEWER
    known.take_change(record(9, "a", seq=1), is_whole=True)
    assert [item.id for item in known.newest] == ["d", "c"]
    thinned = [known.was_thinned]
    assert known.take_delete("c")
    thinned.append(known.was_thinned)
    read(known, record(1, "b", seq=2), record(1, "d", seq=4))
    assert [*thinned, known.was_thinned] == [False, True, False]


def test_a_snapshot_does_not_change_and_unchanged_rows_are_the_same_objects() -> None:
    known = rows()
    read(known, record(1, "a"), record(1, "b", seq=2))
    before = known.newest
    known.take_change(record(2, "a"))
    assert [item.version for item in before] == [1, 1]
    assert [item.version for item in known.newest] == [1, 2]
    assert known.newest[0] is before[0]


def test_a_row_that_leaves_while_a_full_page_is_on_its_way_makes_the_next_one_wanted() -> None:
    known = rows(limit=2, wanted="busy")
    read(known, record(1, "a"))
    known.begin_read()
    known.take_change(record(2, "c", seq=3, status="done"), is_whole=True)
    known.take_read([record(1, "c", seq=3), record(1, "b", seq=2)])
    known.end_read(None)
    assert (len(known), known.was_thinned) == (1, True)
    read(known, record(1, "b", seq=2), record(1, "a"))
    assert (len(known), known.was_thinned) == (2, False)
