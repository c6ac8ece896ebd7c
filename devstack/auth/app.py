"""The ASGI app behind `/auth/v1`: the routes, and what the server tells about itself."""

import psycopg
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from devstack.auth.account import Account
from devstack.auth.admin import Admin
from devstack.auth.errors import AuthError, database_error, error_response, fault, hang_up, not_served, refuse
from devstack.auth.grants import Grants
from devstack.auth.limits import Limiter
from devstack.auth.settings import AuthSettings

NOT_SERVED = {
    "otp": "one-time passwords",
    "magiclink": "magic links",
    "recover": "password recovery by mail",
    "resend": "mail",
    "verify": "links and codes from mail",
    "reauthenticate": "reauthentication by mail",
    "invite": "invitations by mail",
    "authorize": "sign-in through other providers",
    "callback": "sign-in through other providers",
    "factors": "multi-factor authentication",
    "sso": "single sign-on",
}
"""What the real server offers besides, by the first part of the path."""


class Auth:
    """Serves the users and sessions of one project. `start` it before the first request, `stop` it after the last."""

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._pool = AsyncConnectionPool(
            settings.db_dsn,
            min_size=1,
            max_size=settings.pool_size,
            open=False,
            check=AsyncConnectionPool.check_connection,  # a database that restarted is not the caller's trouble
        )
        grants, account, admin = (
            Grants(settings, self._pool),
            Account(settings, self._pool),
            Admin(settings, self._pool),
        )
        limits = settings.limits
        tokens, accounts = Limiter(limits.tokens), Limiter(limits.accounts)
        self._app = Starlette(
            routes=[
                Route("/health", _health, methods=["GET"]),
                Route("/settings", self._public_settings, methods=["GET"]),
                Route("/.well-known/jwks.json", self._public_keys, methods=["GET"]),
                Route("/signup", accounts.guard(grants.sign_up), methods=["POST"]),
                Route("/token", tokens.guard(grants.token), methods=["POST"]),
                Route("/logout", grants.log_out, methods=["POST"]),
                Route("/user", account.read, methods=["GET"]),
                Route("/user", accounts.guard(account.update), methods=["PUT"]),
                Route("/admin/users", admin.list, methods=["GET"]),
                Route("/admin/users", admin.create, methods=["POST"]),
                Route("/admin/users/{id}", admin.read, methods=["GET"]),
                Route("/admin/users/{id}", admin.update, methods=["PUT"]),
                Route("/admin/users/{id}", admin.delete, methods=["DELETE"]),
            ],
            exception_handlers={
                AuthError: refuse,
                404: _decline,
                405: _decline,
                ClientDisconnect: hang_up,
                psycopg.Error: database_error,
                Exception: fault,
            },
        )
        self._app.router.redirect_slashes = False

    async def start(self) -> None:
        """Connect to the database.

        Raises:
            psycopg_pool.PoolTimeout: the database does not answer.
        """
        await self._pool.open(wait=True)

    async def stop(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._app(scope, receive, send)

    async def _public_settings(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "external": {"anonymous_users": False, "email": True, "phone": False},
                "disable_signup": False,
                "mailer_autoconfirm": self._settings.autoconfirm,
                "phone_autoconfirm": False,
                "sms_provider": "",
                "saml_enabled": False,
            }
        )

    async def _public_keys(self, _request: Request) -> Response:
        """None to publish where a shared secret signs tokens: clients then ask `/user` about them."""
        keys = [dict(key.public) for key in self._settings.signing_keys]
        return JSONResponse({"keys": keys}, headers={"Cache-Control": "public, max-age=600"})


async def _health(_request: Request) -> Response:
    return JSONResponse({"version": "devstack", "name": "GoTrue", "description": "Auth of a local project"})


async def _decline(request: Request, _error: Exception) -> Response:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).strip("/")
    feature = NOT_SERVED.get(path.split("/")[0], f"{request.method} /{path}")
    return error_response(request, not_served(feature))
