"""Who is calling: the signed-in user of a request, or an admin."""

from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection
from starlette.requests import Request

from devstack.auth.errors import AuthError
from devstack.auth.records import User
from devstack.auth.sessions import find_session
from devstack.auth.settings import AuthSettings
from devstack.auth.tokens import bad_jwt, read_bearer
from devstack.auth.users import find_user

ADMIN_ROLES = ("service_role", "supabase_admin")


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in user; `session_id` is None for a token that was not made by Auth and names no session."""

    user: User
    session_id: UUID | None


async def signed_in(request: Request, settings: AuthSettings, connection: AsyncConnection) -> Caller:
    """The user whose access token the request carries.

    Raises:
        AuthError: no or a bad token, or its user or session is gone.
    """
    claims = read_bearer(request, settings)
    if not claims.get("sub"):
        raise bad_jwt("invalid claim: missing sub claim")
    user = await find_user(connection, _uuid(claims, "sub"))
    if user is None:
        raise user_is_gone()
    if user.is_banned:
        raise AuthError(403, "user_banned", "User is banned")
    session_id = _uuid(claims, "session_id") if claims.get("session_id") else None
    session = await find_session(connection, session_id) if session_id else None
    if session_id and (session is None or session.user_id != user.id):
        raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return Caller(user, session_id)


def require_admin(request: Request, settings: AuthSettings) -> None:
    """Let only the service role pass.

    Raises:
        AuthError: the token is missing, bad, or anybody else's.
    """
    if read_bearer(request, settings).get("role") not in ADMIN_ROLES:
        raise AuthError(403, "not_admin", "User not allowed")


def user_is_gone() -> AuthError:
    """The token is good, but its user was deleted since."""
    return AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")


def _uuid(claims: dict[str, object], name: str) -> UUID:
    try:
        return UUID(str(claims[name]))
    except ValueError:
        raise bad_jwt(f"invalid claim: {name} claim must be a UUID") from None
