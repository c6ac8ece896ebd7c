"""Sessions and the refresh tokens that keep them alive.

A refresh token is used once: it buys an access token and its successor. Used again later than a slow network
explains, it has probably been stolen, and then the session's tokens all die.
"""

import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from psycopg import AsyncConnection
from psycopg.rows import class_row

from devstack.auth.errors import AuthError

ALPHABET = string.ascii_lowercase + string.digits
TOKEN_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Client:
    """Who is at the other end: what a session remembers about it."""

    user_agent: str | None
    ip: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in device: a row of `auth.sessions`."""

    id: UUID
    user_id: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """A session and the refresh token that is good for it now."""

    session: Session
    refresh_token: str


@dataclass(frozen=True, slots=True)
class _TokenState:
    revoked: bool
    used_lately: bool
    active: str | None
    parent_of_active: bool


async def open_session(connection: AsyncConnection, user_id: UUID, client: Client) -> Grant:
    """A new session of this user."""
    query = """
        insert into auth.sessions (id, user_id, aal, user_agent, ip, created_at, updated_at)
        values (%s, %s, 'aal1', %s, %s, now(), now())
        returning id, user_id, created_at
    """
    async with connection.cursor(row_factory=class_row(Session)) as cursor:
        await cursor.execute(query, (uuid4(), user_id, client.user_agent, client.ip))
        session = await cursor.fetchone()
    assert session is not None  # noqa: S101 - an insert that returns always returns its row
    return Grant(session, await _insert_token(connection, session, parent=None))


async def find_session(connection: AsyncConnection, session_id: UUID) -> Session | None:
    """The session with this id, if it still lives."""
    async with connection.cursor(row_factory=class_row(Session)) as cursor:
        await cursor.execute("select id, user_id, created_at from auth.sessions where id = %s", (session_id,))
        return await cursor.fetchone()


async def refresh_session(connection: AsyncConnection, token: str, client: Client) -> Grant:
    """Exchange a refresh token for its successor.

    A token used a second time within 10 s, or whose successor nobody has used yet, is answered with the token
    that is active: the first answer may have been lost.

    Raises:
        AuthError: the token is unknown, its user banned, its session over, or the token was used before.
    """
    session = await _lock_session(connection, token)
    state = await _token_state(connection, token)
    if not state.revoked:
        await connection.execute(
            "update auth.refresh_tokens set revoked = true, updated_at = now() where token = %s", (token,)
        )
        successor = await _insert_token(connection, session, parent=token)
    elif state.active and (state.used_lately or state.parent_of_active):
        successor = state.active
    else:
        await _revoke_tokens(connection, session)
        await connection.commit()  # the refusal below must not undo it
        raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
    await connection.execute(
        "update auth.sessions set refreshed_at = now() at time zone 'UTC', updated_at = now(), user_agent = %s, ip = %s"
        " where id = %s",
        (client.user_agent, client.ip, session.id),
    )
    return Grant(session, successor)


async def close_sessions(
    connection: AsyncConnection, user_id: UUID, *, only: UUID | None = None, keep: UUID | None = None
) -> None:
    """End the user's sessions: all, `only` one, or all but the one to `keep`."""
    await connection.execute(
        "delete from auth.sessions where user_id = %(user)s"
        " and (%(only)s::uuid is null or id = %(only)s) and (%(keep)s::uuid is null or id <> %(keep)s)",
        {"user": user_id, "only": only, "keep": keep},
    )


async def _lock_session(connection: AsyncConnection, token: str) -> Session:
    """The token's session, locked, so that two refreshes at once happen one after the other."""
    query = """
        select s.id, s.user_id, s.created_at, s.not_after < now() as over, u.banned_until > now() as banned
        from auth.refresh_tokens t join auth.sessions s on s.id = t.session_id join auth.users u on u.id = s.user_id
        where t.token = %s
        for update of s
    """
    cursor = await connection.execute(query, (token,))
    row = await cursor.fetchone()
    if row is None:
        raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
    session_id, user_id, created_at, over, banned = row
    if banned:
        raise AuthError(400, "user_banned", "Invalid Refresh Token: User Banned")
    if over:
        raise AuthError(400, "session_expired", "Invalid Refresh Token: Session Expired")
    return Session(session_id, user_id, created_at)


async def _token_state(connection: AsyncConnection, token: str) -> _TokenState:
    query = """
        select t.revoked, t.updated_at > now() - interval '10 s' as used_lately,
          a.token as active, coalesce(a.parent = t.token, false) as parent_of_active
        from auth.refresh_tokens t
        left join lateral (
          select token, parent from auth.refresh_tokens
          where session_id = t.session_id and not revoked order by id desc limit 1
        ) a on true
        where t.token = %s
    """
    async with connection.cursor(row_factory=class_row(_TokenState)) as cursor:
        await cursor.execute(query, (token,))
        state = await cursor.fetchone()
    assert state is not None  # noqa: S101 - tokens go only with their session, which is locked
    return state


async def _insert_token(connection: AsyncConnection, session: Session, parent: str | None) -> str:
    token = "".join(secrets.choice(ALPHABET) for _ in range(TOKEN_LENGTH))
    query = """
        insert into auth.refresh_tokens (
          instance_id, token, user_id, revoked, parent, session_id, created_at, updated_at
        ) values (%s, %s, %s, false, %s, %s, now(), now())
    """
    await connection.execute(query, (UUID(int=0), token, str(session.user_id), parent, session.id))
    return token


async def _revoke_tokens(connection: AsyncConnection, session: Session) -> None:
    await connection.execute(
        "update auth.refresh_tokens set revoked = true, updated_at = now() where session_id = %s and not revoked",
        (session.id,),
    )
