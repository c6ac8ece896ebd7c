import orjson
from hypothesis import given
from hypothesis import strategies as st

from devstack.realtime.bindings import number_of
from devstack.realtime.broadcasts import UserBroadcast
from devstack.realtime.frames import Frame, Version, decode, encode

REQUEST = Frame("realtime:room", "phx_join", {"config": {}}, "3", "2")


def test_an_object_has_exactly_four_keys_and_an_explicit_null() -> None:
    text = encode(Frame("realtime:room", "system", {"a": orjson.Fragment("12.50")}, None, "2"), Version.OBJECTS)
    assert text == '{"event":"system","payload":{"a":12.50},"ref":null,"topic":"realtime:room"}'


def test_an_array_begins_with_both_refs() -> None:
    text = encode(REQUEST.reply("ok", {}), Version.ARRAYS)
    assert text == '["2","3","realtime:room","phx_reply",{"status":"ok","response":{}}]'


def test_both_framings_read_the_same_request() -> None:
    array = decode('["2","3","realtime:room","phx_join",{"config":{}}]', Version.ARRAYS)
    text = '{"topic":"realtime:room","event":"phx_join","payload":{"config":{}},"ref":"3","join_ref":"2"}'
    assert array == decode(text, Version.OBJECTS) == REQUEST


def test_an_older_client_sends_no_join_ref() -> None:
    frame = decode('{"topic":"t","event":"e","payload":{},"ref":null}', Version.OBJECTS)
    assert frame == Frame("t", "e", {})


@given(st.text(), st.sampled_from(Version))
def test_no_text_breaks_the_decoder(text: str, version: Version) -> None:
    assert decode(text, version) is None or text.lstrip()[:1] in "[{"


@given(st.binary() | st.binary().map(lambda rest: b"\x03\x01\x01\x01\x01\x00" + rest), st.sampled_from(Version))
def test_no_bytes_break_the_decoder(data: bytes, version: Version) -> None:
    frame = decode(data, version)
    assert frame is None or (version is Version.ARRAYS and isinstance(frame.payload, UserBroadcast))


def test_bytes_cannot_be_said_in_objects() -> None:
    assert encode(Frame("t", "broadcast", UserBroadcast("e", b"\xff", False, {})), Version.OBJECTS) is None


@given(st.dictionaries(st.text(), st.integers(0, 9) | st.text()))
def test_the_number_of_an_entry_is_stable_and_never_zero(entry: dict[str, object]) -> None:
    number = number_of(entry)
    assert number == number_of(dict(reversed(entry.items())))
    assert 0 < number < 2**27
