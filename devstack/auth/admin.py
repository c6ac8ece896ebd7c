"""What the service role may do to users: `/admin/users`."""

import secrets
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from devstack.auth.answers import user_answer
from devstack.auth.bodies import AdminDelete, AdminUser, ban_duration, clean_email, read_body
from devstack.auth.callers import require_admin
from devstack.auth.errors import AuthError, invalid, not_served
from devstack.auth.passwords import check_strength, hash_password
from devstack.auth.records import AUDIENCE, NewUser, User, UserChanges
from devstack.auth.sessions import close_sessions
from devstack.auth.settings import AuthSettings
from devstack.auth.users import delete_user, erase_user, find_user, insert_user, list_users, update_user

PER_PAGE = 50
LARGEST_NUMBER = 1_000_000_000


class Admin:
    """The endpoints for servers that hold the service role's key."""

    def __init__(self, settings: AuthSettings, pool: AsyncConnectionPool) -> None:
        self._settings, self._pool = settings, pool

    async def list(self, request: Request) -> Response:
        """`GET /admin/users?page=&per_page=`."""
        require_admin(request, self._settings)
        if {"filter", "sort"} & request.query_params.keys():
            raise not_served("filtering and sorting users")
        page, per_page = _number(request, "page", 1), _number(request, "per_page", PER_PAGE)
        async with self._pool.connection() as connection:
            users, total = await list_users(connection, per_page, (page - 1) * per_page)
        return JSONResponse(
            {"users": [user_answer(user) for user in users], "aud": AUDIENCE},
            headers={"X-Total-Count": str(total), "Link": _links(page, per_page, total)},
        )

    async def create(self, request: Request) -> Response:
        """`POST /admin/users`. Without a password the user cannot sign in until one is set."""
        require_admin(request, self._settings)
        new = await self._new_user(await _read(request))
        async with self._pool.connection() as connection:
            user = await insert_user(connection, new)
        return JSONResponse(user_answer(user))

    async def read(self, request: Request) -> Response:
        """`GET /admin/users/{id}`."""
        return JSONResponse(user_answer(await self._named_user(request)))

    async def update(self, request: Request) -> Response:
        """`PUT /admin/users/{id}`: a new password ends all of the user's sessions."""
        user = await self._named_user(request)
        changes = await self._changes(await _read(request))
        async with self._pool.connection() as connection:
            changed = await update_user(connection, user.id, changes)
            if changes.password_hash:
                await close_sessions(connection, user.id)
        if changed is None:  # deleted since
            raise _not_found()
        return JSONResponse(user_answer(changed))

    async def delete(self, request: Request) -> Response:
        """`DELETE /admin/users/{id}`: away with the row, or, softly, with everything that says who it was."""
        user = await self._named_user(request)
        body = await read_body(request, AdminDelete, may_be_empty=True)
        async with self._pool.connection() as connection:
            await (erase_user if body.should_soft_delete else delete_user)(connection, user.id)
        return JSONResponse({})

    async def _named_user(self, request: Request) -> User:
        require_admin(request, self._settings)
        try:
            user_id = UUID(request.path_params["id"])
        except ValueError:
            raise AuthError(404, "validation_failed", "user_id must be an UUID") from None
        async with self._pool.connection() as connection:
            user = await find_user(connection, user_id)
        if user is None:
            raise _not_found()
        return user

    async def _new_user(self, body: AdminUser) -> NewUser:
        if not body.email:
            raise invalid("Cannot create a user without either an email or phone")
        email = clean_email(body.email)
        confirmed = bool(body.email_confirm)
        password = body.password or secrets.token_urlsafe(48)
        check_strength(password, min_length=0)  # an admin may hand out a short one, on the real server too
        return NewUser(
            id=_user_id(body.id) if body.id else uuid4(),
            email=email,
            role=(body.role or "").strip() or AUDIENCE,
            password_hash=await hash_password(password, self._settings.bcrypt_cost),
            identity_data={"email": email, "email_verified": False, "phone_verified": False},
            user_metadata={**(body.user_metadata or {}), **({"email_verified": True} if confirmed else {})},
            app_metadata=body.app_metadata or {},
            confirmed=confirmed,
            banned_for=ban_duration(body.ban_duration) or timedelta(),
        )

    async def _changes(self, body: AdminUser) -> UserChanges:
        if body.password is not None:
            check_strength(body.password, self._settings.password_min_length)
        return UserChanges(
            email=clean_email(body.email) if body.email else None,
            confirm=bool(body.email_confirm),
            role=(body.role or "").strip() or None,
            banned_for=ban_duration(body.ban_duration),
            password_hash=await hash_password(body.password, self._settings.bcrypt_cost) if body.password else None,
            user_metadata=body.user_metadata or {},
            app_metadata=body.app_metadata or {},
        )


async def _read(request: Request) -> AdminUser:
    body = await read_body(request, AdminUser)
    if body.phone:
        raise not_served("phone numbers")
    if body.password_hash:
        raise not_served("ready-made password hashes")
    return body


def _user_id(text: str) -> UUID:
    try:
        user_id = UUID(text)
    except ValueError:
        raise invalid("ID must conform to the uuid v4 format") from None
    if user_id.int == 0:
        raise invalid("ID cannot be a nil uuid")
    return user_id


def _not_found() -> AuthError:
    return AuthError(404, "user_not_found", "User not found")


def _number(request: Request, name: str, default: int) -> int:
    """A positive number from the query; clients send an empty one for the default."""
    text = request.query_params.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:12]) <= LARGEST_NUMBER):
        raise invalid(f'Bad Pagination Parameters: {name} must be a number from 1, not "{text}"')
    return int(text)


def _links(page: int, per_page: int, total: int) -> str:
    """The header by which clients find the next page and the last one; `page` must come first in each."""
    last = -(-total // per_page)
    numbers = [("next", page + 1)] if page < last else []
    return ", ".join(
        f'</admin/users?{urlencode({"page": number, "per_page": per_page})}>; rel="{relation}"'
        for relation, number in [*numbers, ("last", last)]
    )
