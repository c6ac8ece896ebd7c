"""What users see and change of themselves: `/user`."""

from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from devstack.auth.answers import user_answer
from devstack.auth.bodies import AccountUpdate, clean_email, read_body
from devstack.auth.callers import Caller, signed_in, user_is_gone
from devstack.auth.errors import AuthError, EmailExistsError
from devstack.auth.passwords import check_strength, hash_password, password_matches
from devstack.auth.records import User, UserChanges
from devstack.auth.sessions import close_sessions
from devstack.auth.settings import AuthSettings
from devstack.auth.users import find_user_by_email, update_user


class Account:
    """The endpoints of a signed-in user."""

    def __init__(self, settings: AuthSettings, pool: AsyncConnectionPool) -> None:
        self._settings, self._pool = settings, pool

    async def read(self, request: Request) -> Response:
        """`GET /user`."""
        return JSONResponse(user_answer((await self._caller(request)).user))

    async def update(self, request: Request) -> Response:
        """`PUT /user`: a new password ends the user's other sessions."""
        caller = await self._caller(request)
        body = await read_body(request, AccountUpdate)
        changes = await self._changes(caller.user, body)
        return JSONResponse(user_answer(await self._apply(caller, changes)))

    async def _caller(self, request: Request) -> Caller:
        async with self._pool.connection() as connection:
            return await signed_in(request, self._settings, connection)

    async def _changes(self, user: User, body: AccountUpdate) -> UserChanges:
        email = clean_email(body.email) if body.email else None
        if body.phone:
            raise AuthError(400, "phone_provider_disabled", "Phone logins are disabled")
        if body.password is not None:
            check_strength(body.password, self._settings.password_min_length)
        if body.app_metadata is not None:
            raise AuthError(403, "not_admin", "Updating app_metadata requires admin privileges")
        if email == user.email:
            email = None
        if email:
            await self._refuse_taken(email)
        return UserChanges(
            email=email if self._settings.autoconfirm else None,
            new_email=None if self._settings.autoconfirm else email,
            confirm=bool(email) and self._settings.autoconfirm,
            password_hash=await self._new_hash(user, body.password) if body.password else None,
            user_metadata=body.data or {},
        )

    async def _refuse_taken(self, email: str) -> None:
        async with self._pool.connection() as connection:
            if await find_user_by_email(connection, email):
                raise EmailExistsError

    async def _new_hash(self, user: User, password: str) -> str:
        if await password_matches(password, user.encrypted_password):
            raise AuthError(422, "same_password", "New password should be different from the old password.")
        return await hash_password(password, self._settings.bcrypt_cost)

    async def _apply(self, caller: Caller, changes: UserChanges) -> User:
        async with self._pool.connection() as connection:
            user = await update_user(connection, caller.user.id, changes)
            if user is None:
                raise user_is_gone()
            if changes.password_hash:
                await close_sessions(connection, user.id, keep=caller.session_id)
        return user
