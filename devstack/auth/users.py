"""Users and their identities in the database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from devstack.auth.errors import AuthError, EmailExistsError
from devstack.auth.records import AUDIENCE, Identity, Metadata, NewUser, User, UserChanges

INSTANCE = UUID(int=0)
"""There is one instance. A row inserted by hand without it cannot sign in, here as on the real server."""

COLUMNS = tuple(name for name in User.__dataclass_fields__ if name != "identities")


async def find_user(connection: AsyncConnection, user_id: UUID) -> User | None:
    """The user with this id."""
    return await _one(connection, "select * from auth.users where id = %(id)s", {"id": user_id})


async def find_user_by_email(connection: AsyncConnection, email: str) -> User | None:
    """The user who signs in with this address."""
    query = """
        select * from auth.users
        where instance_id = %(instance)s and lower(email) = lower(%(email)s) and aud = %(aud)s and not is_sso_user
    """
    return await _one(connection, query, {"instance": INSTANCE, "email": email, "aud": AUDIENCE})


async def list_users(connection: AsyncConnection, limit: int, offset: int) -> tuple[list[User], int]:
    """One page of all users, newest first, and how many there are on all pages."""
    query = "select * from auth.users where aud = %s order by created_at desc, id limit %s offset %s"
    users = await _many(connection, query, (AUDIENCE, limit, offset))
    cursor = await connection.execute("select count(*) from auth.users where aud = %s", (AUDIENCE,))
    row = await cursor.fetchone()
    return users, row[0] if row else 0


async def insert_user(connection: AsyncConnection, new: NewUser) -> User:
    """Store a user with an e-mail identity.

    Raises:
        AuthError: the address or the id is taken.
    """
    app_metadata = {"provider": "email", "providers": ["email"], **new.app_metadata}
    query = """
        insert into auth.users (
          instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, confirmation_sent_at,
          banned_until, raw_app_meta_data, raw_user_meta_data, created_at, updated_at,
          confirmation_token, recovery_token, email_change_token_new, email_change
        ) values (
          %(instance)s, %(id)s, %(aud)s, %(role)s, %(email)s, %(password_hash)s,
          case when %(confirmed)s then now() end, case when %(confirmation_sent)s then now() end,
          now() + nullif(%(banned_for)s, interval '0'), %(app_metadata)s, %(user_metadata)s, now(), now(),
          '', '', '', ''
        )
    """
    values = {
        "instance": INSTANCE,
        "id": new.id,
        "aud": AUDIENCE,
        "role": new.role,
        "email": new.email,
        "password_hash": new.password_hash,
        "confirmed": new.confirmed,
        "confirmation_sent": new.confirmation_sent,
        "banned_for": new.banned_for,
        "app_metadata": Jsonb(_without_nulls(app_metadata)),
        "user_metadata": Jsonb(_without_nulls(new.user_metadata)),
    }
    with _naming_what_is_taken():
        await connection.execute(query, values)
    await _insert_identity(connection, new.id, new.identity_data)
    user = await find_user(connection, new.id)  # triggers on auth.users may have changed it
    assert user is not None  # noqa: S101 - inserted in this transaction
    return user


async def update_user(connection: AsyncConnection, user_id: UUID, changes: UserChanges) -> User | None:
    """Apply `changes`, and answer the user as it is then; None if there is none.

    Raises:
        EmailExistsError: the address is taken.
    """
    user_metadata = {**changes.user_metadata, **({"email_verified": True} if changes.confirm else {})}
    query = """
        update auth.users set
          email = coalesce(%(email)s, email),
          email_change = coalesce(%(new_email)s, email_change),
          email_change_sent_at = case when %(new_email)s::text is null then email_change_sent_at else now() end,
          encrypted_password = coalesce(%(password_hash)s, encrypted_password),
          role = coalesce(%(role)s, role),
          email_confirmed_at = case when %(confirm)s then now() else email_confirmed_at end,
          banned_until = case
            when %(banned_for)s::interval is null then banned_until
            else now() + nullif(%(banned_for)s, interval '0')
          end,
          raw_user_meta_data = (coalesce(raw_user_meta_data, '{}') || %(user_metadata)s) - %(user_removed)s::text[],
          raw_app_meta_data = (coalesce(raw_app_meta_data, '{}') || %(app_metadata)s) - %(app_removed)s::text[],
          updated_at = now()
        where id = %(id)s
    """
    values = {
        "id": user_id,
        "email": changes.email,
        "new_email": changes.new_email,
        "password_hash": changes.password_hash,
        "role": changes.role,
        "confirm": changes.confirm,
        "banned_for": changes.banned_for,
        "user_metadata": Jsonb(user_metadata),
        "user_removed": _nulls(user_metadata),
        "app_metadata": Jsonb(changes.app_metadata),
        "app_removed": _nulls(changes.app_metadata),
    }
    with _naming_what_is_taken():
        await connection.execute(query, values)
    if changes.email is not None:
        await _change_identity(connection, user_id, {"email": changes.email, "email_verified": changes.confirm})
    return await find_user(connection, user_id)


async def record_sign_in(connection: AsyncConnection, user_id: UUID) -> User | None:
    """Note that the user signs in now, and keep the row locked: nobody deletes it before its session stands."""
    await connection.execute("update auth.users set last_sign_in_at = now() where id = %s", (user_id,))
    return await find_user(connection, user_id)


async def delete_user(connection: AsyncConnection, user_id: UUID) -> None:
    """Delete the user, and with it whatever refers to it with `on delete cascade`."""
    await connection.execute("delete from auth.users where id = %s", (user_id,))


async def erase_user(connection: AsyncConnection, user_id: UUID) -> None:
    """Keep the row, for whatever refers to it, but nothing that says who it was; the address becomes free."""
    users = """
        update auth.users set
          email = encode(sha256(convert_to(id::text || email, 'UTF8')), 'hex'), phone = null,
          encrypted_password = null, email_change = '', raw_user_meta_data = '{}', raw_app_meta_data = '{}',
          deleted_at = now(), updated_at = now()
        where id = %(id)s and deleted_at is null
    """
    identities = """
        update auth.identities set
          provider_id = encode(sha256(convert_to(user_id::text || provider || provider_id, 'UTF8')), 'hex'),
          identity_data = '{}', updated_at = now()
        where user_id = %(id)s and identity_data <> '{}'
    """
    await connection.execute(users, {"id": user_id})
    await connection.execute(identities, {"id": user_id})
    await connection.execute("delete from auth.sessions where user_id = %s", (user_id,))


@contextmanager
def _naming_what_is_taken() -> Iterator[None]:
    """Only for the constraints of `auth.users`: a trigger of the project may violate others."""
    try:
        yield
    except UniqueViolation as error:
        match error.diag.constraint_name:
            case "users_email_partial_key":
                raise EmailExistsError from None
            case "users_pkey":
                raise AuthError(409, "conflict", "A user with this id already exists") from None
        raise


async def _insert_identity(connection: AsyncConnection, user_id: UUID, data: Metadata) -> None:
    query = """
        insert into auth.identities (
          provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at
        ) values (%(provider_id)s, %(user_id)s, %(data)s, 'email', now(), now(), now())
    """
    data = {**data, "sub": str(user_id)}
    await connection.execute(query, {"provider_id": str(user_id), "user_id": user_id, "data": Jsonb(data)})


async def _change_identity(connection: AsyncConnection, user_id: UUID, data: Metadata) -> None:
    query = """
        update auth.identities set identity_data = identity_data || %s, updated_at = now()
        where user_id = %s and provider = 'email'
    """
    cursor = await connection.execute(query, (Jsonb(data), user_id))
    if not cursor.rowcount and await find_user(connection, user_id):
        await _insert_identity(connection, user_id, data)


async def _one(connection: AsyncConnection, query: str, values: dict[str, object]) -> User | None:
    users = await _many(connection, query, values)
    return users[0] if users else None


async def _many(connection: AsyncConnection, query: str, values: Sequence[object] | dict[str, object]) -> list[User]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, values)
        users = [User(**{name: row[name] for name in COLUMNS}) for row in await cursor.fetchall()]
    identities = await _identities(connection, [user.id for user in users])
    return [replace(user, identities=tuple(identities[user.id])) for user in users]


async def _identities(connection: AsyncConnection, user_ids: list[UUID]) -> dict[UUID, list[Identity]]:
    query = """
        select id, provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at, email
        from auth.identities where user_id = any(%s) order by created_at, id
    """
    async with connection.cursor(row_factory=class_row(Identity)) as cursor:
        await cursor.execute(query, (user_ids,))
        found: dict[UUID, list[Identity]] = {user_id: [] for user_id in user_ids}
        async for identity in cursor:
            found[identity.user_id].append(identity)
    return found


def _nulls(metadata: Metadata) -> list[str]:
    return [key for key, value in metadata.items() if value is None]


def _without_nulls(metadata: Metadata) -> Metadata:
    return {key: value for key, value in metadata.items() if value is not None}
