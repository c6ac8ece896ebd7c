"""The second way in, SUPABASE_DB_URL: what only an own connection tells, and the diagnosis where the API fails."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from filaviva.cli.doctor.findings import Facts, Finding, ok, problem, unknown, warning
from filaviva.cli.output import duration

_SUBJECT = "database"
_CONNECT_SECONDS = 10
_NOTIFY_SECONDS = 5.0
_SLOW_SECONDS = 0.5
_DIRECT = "Use the direct connection or the session pooler (port 5432), not the transaction pooler (6543)"
_STATEMENT = "select public.diagnose(%s)"


async def examine_database(
    url: str | None, facts: Facts | None, needs: Mapping[str, Sequence[str]]
) -> tuple[list[Finding], Facts | None]:
    """Look through a connection of one's own.

    Args:
        url: SUPABASE_DB_URL, or None.
        facts: what the API told, or None; then the database is asked.
        needs: the argument of `diagnose`.

    Returns:
        The findings, and the facts that were asked for.
    """
    if not url:
        return [
            _left_out("SUPABASE_DB_URL is not set", "SUPABASE_DB_URL não está definida", "Set SUPABASE_DB_URL")
        ], None
    try:
        import psycopg  # noqa: PLC0415 - belongs to an extra
        from psycopg.types.json import Jsonb  # noqa: PLC0415 - the same
    except ImportError:
        step = "pip install 'filaviva[worker]'"
        return [_left_out("psycopg is not installed", "psycopg não está instalado", step)], None
    begun = time.perf_counter()
    try:
        async with await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=_CONNECT_SECONDS
        ) as connection:
            found = [_connected(time.perf_counter() - begun, await _round_trip(connection))]
            found.append(await _listening(connection))
            found.extend(await _same(connection, facts))
            told = await _ask(connection, Jsonb(dict(needs))) if facts is None else None
            return found, told
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        english, portuguese = f"SUPABASE_DB_URL: {reason}", f"SUPABASE_DB_URL: {reason}"
        return [
            problem(_SUBJECT, english, portuguese, "Correct SUPABASE_DB_URL, and look whether the project runs")
        ], None


async def _ask(connection: Any, needs: Any) -> Facts | None:
    """The facts; None where the engine, or its newest part, is not there."""
    cursor = await connection.execute("select to_regprocedure('public.diagnose(jsonb)') is not null")
    if await cursor.fetchone() == (False,):
        return None
    [facts] = await (await connection.execute(_STATEMENT, (needs,))).fetchone()
    told: Facts = facts
    return told


async def _round_trip(connection: Any) -> float:
    begun = time.perf_counter()
    await connection.execute("select 1")
    return time.perf_counter() - begun


def _connected(opened: float, round_trip: float) -> Finding:
    english = f"connected within {duration(opened)}, a statement takes {duration(round_trip)}"
    portuguese = f"conectado em {duration(opened)}, um comando leva {duration(round_trip)}"
    if round_trip > _SLOW_SECONDS:
        return warning(_SUBJECT, english, portuguese, "Run the worker in the project's region")
    return ok(_SUBJECT, english, portuguese)


async def _listening(connection: Any) -> Finding:
    """A worker learns of new jobs by LISTEN, which a pooler of transactions loses without a word."""
    await connection.execute("listen filaviva_doctor")
    await connection.execute("notify filaviva_doctor")
    async for _ in connection.notifies(timeout=_NOTIFY_SECONDS, stop_after=1):
        return ok("listen", "notifications arrive", "notificações chegam")
    english = "notifications do not arrive: a worker on this connection sleeps while jobs come"
    portuguese = "notificações não chegam: um worker nesta conexão dorme enquanto jobs chegam"
    return problem("listen", english, portuguese, _DIRECT)


async def _same(connection: Any, facts: Facts | None) -> list[Finding]:
    """Whether it is the database behind the API."""
    engine = (facts or {}).get("engine") or {}
    if "started_at" not in engine:
        return []
    cursor = await connection.execute("select to_jsonb(pg_postmaster_start_time()) #>> '{}', current_database()")
    started_at, name = await cursor.fetchone()
    if (started_at, name) == (engine["started_at"], engine["database"]):
        return [ok("same project", "it is the API's database", "é o banco da API")]
    english = "SUPABASE_DB_URL is not the database behind SUPABASE_URL"
    portuguese = "SUPABASE_DB_URL não é o banco por trás de SUPABASE_URL"
    return [problem("same project", english, portuguese, "Set both to the same project")]


def _left_out(english: str, portuguese: str, step: str) -> Finding:
    return unknown(
        _SUBJECT,
        f"left out, since {english}: the connection that a worker uses, and whether notifications arrive",
        f"não verificado, pois {portuguese}: a conexão que um worker usa, e se notificações chegam",
        step,
    )
