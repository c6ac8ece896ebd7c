"""How Auth says no: one exception with GoTrue's codes, written in the shape that the client asked for."""

from datetime import date

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

API_VERSION_HEADER = "X-Supabase-Api-Version"
API_VERSION = date(2024, 1, 1)
"""The version that changed the shape of errors, and so far the only one."""


class AuthError(Exception):
    """A refusal.

    Attributes:
        status: HTTP status.
        code: GoTrue's error code, for programs.
        message: for people.
        reasons: what is wrong with a weak password; empty for every other refusal.
    """

    def __init__(self, status: int, code: str, message: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.reasons = status, code, message, reasons


class EmailExistsError(AuthError):
    """Two users cannot have one address."""

    def __init__(self) -> None:
        super().__init__(422, "email_exists", "A user with this email address has already been registered")


def invalid(message: str) -> AuthError:
    """The request is understood, and wrong."""
    return AuthError(400, "validation_failed", message)


def invalid_credentials() -> AuthError:
    """One answer for an unknown address and a wrong password: who asks learns nothing about who has an account."""
    return AuthError(400, "invalid_credentials", "Invalid login credentials")


def not_served(feature: str) -> AuthError:
    """The real server can do this, devstack's cannot."""
    return AuthError(501, "not_implemented", f"Auth of devstack does not serve {feature}")


def error_response(request: Request, error: AuthError) -> JSONResponse:
    """`error` as JSON: the newer shape if the request named an API version that has it, else the older one."""
    headers = {"x-sb-error-code": error.code}
    body: dict[str, object]
    if _wants_newer_shape(request):
        headers[API_VERSION_HEADER] = API_VERSION.isoformat()  # clients read the newer shape only where this stands
        body = {"code": error.code, "message": error.message}
    else:
        body = {"code": error.status, "error_code": error.code, "msg": error.message}
    if error.reasons:
        body["weak_password"] = {"reasons": list(error.reasons)}
    return JSONResponse(body, status_code=error.status, headers=headers)


async def refuse(request: Request, error: Exception) -> Response:
    """Exception handler for `AuthError`."""
    assert isinstance(error, AuthError)  # noqa: S101 - what it is registered for
    return error_response(request, error)


async def database_error(request: Request, error: Exception) -> Response:
    """Exception handler for errors of the database: nearly always a project's own trigger on `auth.users`."""
    return error_response(request, AuthError(500, "unexpected_failure", f"Database error: {error}"))


async def fault(request: Request, _error: Exception) -> Response:
    """Exception handler for everything unforeseen; the error itself goes on to the server's log."""
    message = "Unexpected failure, please check the log of devstack"
    return error_response(request, AuthError(500, "unexpected_failure", message))


async def hang_up(_request: Request, _error: Exception) -> Response:
    """Exception handler for a client that left while it was sending: nobody is there to read the answer."""
    return Response(status_code=400)


def _wants_newer_shape(request: Request) -> bool:
    try:
        return date.fromisoformat(request.headers.get(API_VERSION_HEADER, "")) >= API_VERSION
    except ValueError:
        return False
