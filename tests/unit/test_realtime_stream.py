"""The decoder of the log, on messages built by hand from PostgreSQL's description of the protocol."""

import struct

import pytest

from devstack.realtime.database import is_visible
from devstack.realtime.pgoutput import Change, Decoder, Relation, Row

UNCHANGED = object()


def begin(microseconds: int, xid: int) -> bytes:
    return struct.pack(">cQqI", b"B", 99, microseconds, xid)


def relation(oid: int = 7, columns: str = "id* status note", identity: bytes = b"d") -> bytes:
    names = columns.split()
    message = struct.pack(">cI", b"R", oid) + b"public\0jobs\0" + identity + struct.pack(">H", len(names))
    for name in names:
        message += bytes([name.endswith("*")]) + name.rstrip("*").encode() + b"\0" + struct.pack(">Ii", 25, -1)
    return message


def row(*values: object) -> bytes:
    message = struct.pack(">H", len(values))
    for value in values:
        if isinstance(value, str):
            message += b"t" + struct.pack(">I", len(value.encode())) + value.encode()
        else:
            message += b"u" if value is UNCHANGED else b"n"
    return message


def change(kind: bytes, *tuples: tuple[bytes, bytes]) -> bytes:
    return kind + struct.pack(">I", 7) + b"".join(tag + content for tag, content in tuples)


def decode(*messages: bytes) -> Change:
    decoder = Decoder(wanted=lambda _: True, on_relation=lambda _: None)
    changes = [decoder.decode(message) for message in [begin(0, 5), *messages]]
    [found] = [one for one in changes if one is not None]
    return found


def test_a_change_carries_its_commit_and_its_table() -> None:
    decoder = Decoder(wanted=lambda _: True, on_relation=lambda _: None)
    assert decoder.decode(begin(86_400_695_123, 4_000_000_000)) is None
    assert decoder.decode(relation()) is None
    found = decoder.decode(change(b"I", (b"N", row("1", "é\n", None))))
    assert found is not None
    assert (found.kind, found.committed_at, found.xid) == ("INSERT", "2000-01-02T00:00:00.695Z", 4_000_000_000)
    assert (found.relation.schema, found.relation.name) == ("public", "jobs")
    assert (found.new, found.old) == ({"id": "1", "status": "é\n", "note": None}, None)


@pytest.mark.parametrize(
    ("tuples", "new", "old"),
    [
        ([(b"N", row("1", "b", None))], {"id": "1", "status": "b", "note": None}, {"id": "1"}),
        ([(b"N", row("1", "b", UNCHANGED))], {"id": "1", "status": "b"}, {"id": "1"}),
        (
            [(b"K", row("1", None, None)), (b"N", row("2", "b", "c"))],
            {"id": "2", "status": "b", "note": "c"},
            {"id": "1"},
        ),
        (
            [(b"O", row("1", "a", "c")), (b"N", row("1", "b", UNCHANGED))],
            {"id": "1", "status": "b", "note": "c"},
            {"id": "1", "status": "a", "note": "c"},
        ),
    ],
)
def test_an_update_completes_each_side_from_the_other(tuples: list[tuple[bytes, bytes]], new: Row, old: Row) -> None:
    found = decode(relation(), change(b"U", *tuples))
    assert (found.new, found.old) == (new, old)


def test_a_delete_knows_only_the_identity() -> None:
    assert decode(relation(), change(b"D", (b"K", row("1", None, None)))).old == {"id": "1"}
    whole = decode(relation(columns="id* status* note*", identity=b"f"), change(b"D", (b"O", row("1", None, "c"))))
    assert (whole.old, whole.new) == ({"id": "1", "status": None, "note": "c"}, None)


def test_tables_nobody_wants_are_skipped_and_every_description_is_told() -> None:
    told: list[Relation] = []
    decoder = Decoder(wanted=lambda table: "extra" in table.columns, on_relation=told.append)
    insert = change(b"I", (b"N", row("1", None)))
    assert [decoder.decode(m) for m in (begin(0, 1), relation(columns="id* status"), insert)] == [None] * 3
    decoder.decode(relation(columns="id* extra"))
    assert decoder.decode(insert) is not None
    assert [table.columns for table in told] == [("id", "status"), ("id", "extra")]


@pytest.mark.parametrize("message", [b"C" + bytes(25), b"T" + bytes(13), b"Y" + bytes(10), b"O" + bytes(9)])
def test_other_messages_are_no_changes(message: bytes) -> None:
    assert Decoder(wanted=lambda _: True, on_relation=lambda _: None).decode(message) is None


@pytest.mark.parametrize(
    ("xid", "snapshot", "visible"),
    [
        (749, "750:750:", True),
        (750, "750:750:", False),
        (751, "750:750:", False),
        (750, "750:753:750,752", False),
        (751, "750:753:750,752", True),
        (5, f"{2**32 + 6}:{2**32 + 6}:", True),  # after the numbers have wrapped around
        (6, f"{2**32 + 6}:{2**32 + 6}:", False),
        (2**32 - 1, f"{2**32 + 6}:{2**32 + 6}:", True),
        (2**32 - 1, f"{2**32 - 2}:{2**32 + 6}:{2**32 - 1}", False),
        (3, f"{2**32 - 1}:{2**32 - 1}:", False),  # it will wrap around before this one is seen
    ],
)
def test_a_snapshot_sees_what_had_ended_when_it_was_taken(xid: int, snapshot: str, visible: bool) -> None:
    assert is_visible(xid, snapshot) is visible
