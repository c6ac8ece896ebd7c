"""The REST gateway alone, at the root path: `python -m devstack.rest`, told what to do by PostgREST's own settings.

So that anyone can hold it against PostgREST's own test cases.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

import psycopg

from devstack.gateway import serving
from devstack.rest.app import Rest
from devstack.rest.cors import Cors
from devstack.rest.settings import RestSettings, TransactionEnd

_PREFIX, _APP = "PGRST_", "APP_SETTINGS_"
_ANY_HOST = {"*": "0.0.0.0", "*4": "0.0.0.0", "!4": "0.0.0.0", "*6": "::", "!6": "::"}
"""What PostgREST calls all addresses, with a preference for one kind."""


def settings_from(environment: Mapping[str, str]) -> RestSettings:
    """What the `PGRST_…` variables say; what they do not say is as in PostgREST.

    Raises:
        ValueError: one of them makes no sense; the message names it.
    """
    told = _told(environment)
    tx_end = told.get("DB_TX_END", "commit")
    if tx_end not in get_args(TransactionEnd):
        raise ValueError(f"PGRST_DB_TX_END must be one of {', '.join(get_args(TransactionEnd))}; it is {tx_end!r}")
    return RestSettings(
        db_dsn=told.get("DB_URI", "postgresql://"),
        schemas=_names(told.get("DB_SCHEMAS", "public")),
        anon_role=told.get("DB_ANON_ROLE"),
        jwt_secret=_secret(told.get("JWT_SECRET")),
        jwt_aud=told.get("JWT_AUD"),
        pre_request=told.get("DB_PRE_REQUEST"),
        tx_end=cast(TransactionEnd, tx_end),
        max_rows=_number(told, "DB_MAX_ROWS"),
        app_settings=tuple(
            (f"app.settings.{name.removeprefix(_APP).lower()}", value)
            for name, value in told.items()
            if name.startswith(_APP)
        ),
        extra_search_path=_names(environment.get(f"{_PREFIX}DB_EXTRA_SEARCH_PATH", "public")),
        safe_update_roles=frozenset(),  # PostgREST leaves that to an extension of the database
    )


def _told(environment: Mapping[str, str]) -> dict[str, str]:
    told = {name: value for name, value in environment.items() if value and name.startswith(_PREFIX)}
    return {name.removeprefix(_PREFIX): value for name, value in told.items()}


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _secret(text: str | None) -> str | None:
    """The secret, or what is in the file that `@` points to."""
    if text is None or not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8").strip()
    except OSError as error:
        message = f"PGRST_JWT_SECRET names the file {text[1:]}, which cannot be read: {error.strerror}"
        raise ValueError(message) from None


def _number(told: Mapping[str, str], name: str) -> int | None:
    text = told.get(name)
    if text is None:
        return None
    if not text.isdecimal() or not text.isascii():
        raise ValueError(f"PGRST_{name} must be a whole number; it is {text!r}")
    return int(text)


async def serve(environment: Mapping[str, str]) -> None:
    """Serve until the process is told to end.

    Raises:
        ValueError: a setting makes no sense, or the port is taken.
        psycopg.OperationalError: the database cannot be reached.
    """
    told = _told(environment)
    rest, host, port = Rest(settings_from(environment)), told.get("SERVER_HOST", "!4"), _number(told, "SERVER_PORT")
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await rest.start()
    try:
        async with serving(Cors(rest), _listen(_ANY_HOST.get(host, host), 3000 if port is None else port)):
            await ended.wait()
    finally:
        await rest.stop()


def _listen(host: str, port: int) -> socket.socket:
    # asyncio sends small answers at once (TCP_NODELAY) only where the socket names its protocol.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        remedy = "set PGRST_SERVER_PORT to another one"
        raise ValueError(f"port {port} of {host} cannot be listened on ({error.strerror}): {remedy}") from None
    return listener


def main() -> None:
    """The program: says why when it cannot serve."""
    try:
        asyncio.run(serve(os.environ))
    except ValueError as error:
        sys.exit(f"{error}")
    except psycopg.OperationalError as error:
        sys.exit(f"the database of PGRST_DB_URI cannot be reached: {error}")


if __name__ == "__main__":
    main()
