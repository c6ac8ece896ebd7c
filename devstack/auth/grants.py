"""How a session begins, goes on and ends: `/signup`, `/token`, `/logout`."""

import ipaddress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from devstack.auth.answers import session_answer, user_answer
from devstack.auth.bodies import PasswordGrant, RefreshGrant, SignUp, clean_email, read_body
from devstack.auth.callers import signed_in
from devstack.auth.errors import AuthError, EmailExistsError, invalid, invalid_credentials, not_served
from devstack.auth.limits import Limiter
from devstack.auth.passwords import check_strength, hash_password, password_matches
from devstack.auth.records import NewUser, User
from devstack.auth.sessions import Client, close_sessions, open_session, refresh_session
from devstack.auth.settings import AuthSettings
from devstack.auth.users import find_user, find_user_by_email, insert_user, record_sign_in

OTHER_GRANTS = ("id_token", "pkce", "web3")
"""Grant types of the real server that need an outside provider."""


class Grants:
    """The endpoints that hand out and take back sessions."""

    def __init__(self, settings: AuthSettings, pool: AsyncConnectionPool) -> None:
        self._settings, self._pool = settings, pool
        self._mails = Limiter(settings.limits.mails)

    async def sign_up(self, request: Request) -> Response:
        """`POST /signup`: a session if addresses are confirmed at once, else the user alone."""
        body = await read_body(request, SignUp)
        email, password = self._new_credentials(body)
        async with self._pool.connection() as connection:
            existing = await find_user_by_email(connection, email)
        if existing is not None:
            return JSONResponse(user_answer(self._answer_to_known(existing, body)))
        new = _new_user(
            email,
            await hash_password(password, self._settings.bcrypt_cost),
            body.data or {},
            confirmed=self._settings.autoconfirm,
        )
        try:
            return await self._store(request, new)
        except EmailExistsError:  # the same address signed up in the same moment
            raise _already_registered() from None

    async def token(self, request: Request) -> Response:
        """`POST /token?grant_type=`: a session, for a password or for a refresh token."""
        match request.query_params.get("grant_type"):
            case "password":
                return await self._sign_in(request)
            case "refresh_token":
                return await self._refresh(request)
            case str(other) if other in OTHER_GRANTS:
                raise not_served(f"the grant type {other}")
            case _:
                raise AuthError(400, "invalid_credentials", "unsupported_grant_type")

    async def log_out(self, request: Request) -> Response:
        """`POST /logout?scope=`: end all of the user's sessions, only this one, or all others."""
        scope = request.query_params.get("scope") or "global"
        async with self._pool.connection() as connection:
            caller = await signed_in(request, self._settings, connection)
            match scope:
                case "global":
                    await close_sessions(connection, caller.user.id)
                case "local":
                    await close_sessions(connection, caller.user.id, only=caller.session_id)
                case "others":
                    await close_sessions(connection, caller.user.id, keep=caller.session_id)
                case _:
                    raise invalid(f'Unsupported logout scope "{scope}"')
        return Response(status_code=204)

    def _new_credentials(self, body: SignUp) -> tuple[str, str]:
        if not body.email and not body.phone:
            raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
        if not body.password:
            raise invalid("Signup requires a valid password")
        check_strength(body.password, self._settings.password_min_length)
        if not body.email:
            raise AuthError(400, "phone_provider_disabled", "Phone signups are disabled")
        if body.phone:
            raise invalid("Only an email address or phone number should be provided on signup.")
        return clean_email(body.email), body.password

    def _answer_to_known(self, existing: User, body: SignUp) -> User:
        """What someone gets who signs up with a known address: where mail confirms it, no sign that it is known."""
        if self._settings.autoconfirm:
            raise _already_registered()
        if existing.confirmed_at is None:
            return existing
        now = datetime.now(UTC)
        return replace(
            existing,
            id=uuid4(),
            role="",
            phone="",
            email_change="",
            email_confirmed_at=None,
            phone_confirmed_at=None,
            confirmed_at=None,
            confirmation_sent_at=now,
            recovery_sent_at=None,
            invited_at=None,
            email_change_sent_at=None,
            last_sign_in_at=None,
            banned_until=None,
            created_at=now,
            updated_at=now,
            raw_app_meta_data={"provider": "email", "providers": ["email"]},
            raw_user_meta_data=body.data,
            identities=(),
        )

    async def _store(self, request: Request, new: NewUser) -> Response:
        if not new.confirmed:
            self._mails.take_mail()
        async with self._pool.connection() as connection:
            user = await insert_user(connection, new)
            if user.email_confirmed_at is None:
                return JSONResponse(user_answer(user))
            user = await record_sign_in(connection, user.id) or user
            grant = await open_session(connection, user.id, _client(request))
        return JSONResponse(session_answer(user, grant, self._settings))

    async def _sign_in(self, request: Request) -> Response:
        body = await read_body(request, PasswordGrant)
        if body.email and body.phone:
            raise invalid("Only an email address or phone number should be provided on login.")
        if body.phone:
            raise AuthError(422, "phone_provider_disabled", "Phone logins are disabled")
        if not body.email:
            raise invalid("missing email or phone")
        async with self._pool.connection() as connection:
            found = await find_user_by_email(connection, body.email)
        if found is None:
            raise invalid_credentials()
        if found.is_banned:
            raise AuthError(400, "user_banned", "User is banned")
        if not await password_matches(body.password or "", found.encrypted_password):
            raise invalid_credentials()
        if found.email_confirmed_at is None:
            raise AuthError(400, "email_not_confirmed", "Email not confirmed")
        async with self._pool.connection() as connection:
            user = await record_sign_in(connection, found.id)
            if user is None:  # deleted since
                raise invalid_credentials()
            grant = await open_session(connection, user.id, _client(request))
        weakness = _weakness(body.password or "", self._settings.password_min_length)
        return JSONResponse({**session_answer(user, grant, self._settings), **weakness})

    async def _refresh(self, request: Request) -> Response:
        body = await read_body(request, RefreshGrant)
        if not body.refresh_token:
            raise invalid("refresh_token required")
        async with self._pool.connection() as connection:
            grant = await refresh_session(connection, body.refresh_token, _client(request))
            user = await find_user(connection, grant.session.user_id)
        assert user is not None  # noqa: S101 - its session was locked, and goes with it
        return JSONResponse(session_answer(user, grant, self._settings))


def _new_user(email: str, password_hash: str, data: dict[str, object], *, confirmed: bool) -> NewUser:
    """The real server keeps what it knows about the identity in the user's metadata, too."""
    user_id = uuid4()
    identity = {**data, "sub": str(user_id), "email": email, "email_verified": False, "phone_verified": False}
    return NewUser(
        id=user_id,
        email=email,
        password_hash=password_hash,
        identity_data=identity,
        user_metadata={**identity, "email_verified": confirmed},
        confirmed=confirmed,
        confirmation_sent=not confirmed,
    )


def _weakness(password: str, min_length: int) -> dict[str, object]:
    """What a session says besides if its password, set by an admin or in another time, would be refused today."""
    try:
        check_strength(password, min_length)
    except AuthError as error:
        return {"weak_password": {"message": error.message, "reasons": list(error.reasons)}}
    return {}


def _already_registered() -> AuthError:
    return AuthError(422, "user_already_exists", "User already registered")


def _client(request: Request) -> Client:
    try:
        ip = str(ipaddress.ip_address(request.client.host)) if request.client else None
    except ValueError:  # a server behind a socket file knows no address
        ip = None
    return Client(request.headers.get("user-agent"), ip)
