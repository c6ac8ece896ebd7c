"""A key or token that cannot stand in a header is refused when it is set, and never shown."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from filaviva import FilaViva
from filaviva.errors import InvalidRequest
from filaviva.realtime.connection import Connection
from filaviva.rpc import Rpc

SECRET = "eyJhbGciOi.secret"
URL = "http://project.test"
UNFIT = [f"{SECRET}\n", f"{SECRET}\r\nX-Role: admin", f"{SECRET} ", f"{SECRET}\x00", f"{SECRET}é", f"Bearer {SECRET}"]


def assert_hidden(error: InvalidRequest, code: str, log: str) -> None:
    assert (error.code, error.status) == (code, 400)
    assert error.hint
    assert SECRET not in f"{error!s} {error!r} {error.__cause__!r} {error.__context__!r} {log}"


@pytest.mark.parametrize("value", UNFIT)
@pytest.mark.parametrize("client", [Rpc, Connection, FilaViva])
def test_an_unfit_key_or_token_is_refused_without_being_shown(
    client: Callable[..., Any], value: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InvalidRequest, match="key") as bad_key:
        client(URL, value)
    assert_hidden(bad_key.value, "invalid_key", caplog.text)
    with pytest.raises(InvalidRequest, match="access_token") as bad_token:
        client(URL, "anon", value)
    assert_hidden(bad_token.value, "invalid_token", caplog.text)


@pytest.mark.parametrize("value", UNFIT)
async def test_an_unfit_new_token_is_refused_and_the_former_stays(value: str, caplog: pytest.LogCaptureFixture) -> None:
    async with FilaViva(URL, "anon", "former") as fila:
        with pytest.raises(InvalidRequest) as caught:
            await fila.set_access_token(value)
        assert_hidden(caught.value, "invalid_token", caplog.text)
        with pytest.raises(InvalidRequest):
            await fila._live.connection.set_token(value)
        assert (fila._rpc._token, fila._live.connection.token) == ("former", "former")


@pytest.mark.parametrize(("value", "found"), [("", "nothing"), (b"bytes", "bytes"), (7, "int")])
def test_what_is_no_text_is_named(value: Any, found: str) -> None:
    with pytest.raises(InvalidRequest, match=f"found {found}"):
        Rpc(URL, value)
    with pytest.raises(InvalidRequest, match=f"found {found}"):
        Rpc(URL, "anon", value)


@pytest.mark.parametrize(
    "url", ["", "project.supabase.co", "ftp://project.test", "https://", "http://a b", "http://a\n"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Rpc(url, "anon")
    assert caught.value.code == "invalid_url"
