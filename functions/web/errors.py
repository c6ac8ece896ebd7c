"""The one shape in which every error leaves the functions, and the exception that carries it."""

from typing import Any

from starlette.responses import JSONResponse

MAX_NAME_CHARACTERS = 200
"""How much of a caller's text an answer or a log line repeats."""

RETRY_AFTER_SECONDS = 5
"""What a caller is told to wait when the database cannot be had and says no number itself."""


class WebError(Exception):
    """An answer that is not a success.

    Args:
        status: HTTP status. A fault that may pass by itself is 429 or 503, never 400, 401, 403, 404 or 422:
            senders of webhooks drop what was refused with one of those.
        code: machine code, lower case with underscores; docs/errors.md lists them all.
        message: one sentence for people: what is wrong, and where.
        hint: what to do about it.
        details: facts as JSON, such as the name of the field.
        headers: further headers, such as ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details
        self.headers = headers or {}

    def response(self) -> JSONResponse:
        """The answer to send."""
        error = {"code": self.code, "message": self.message, "hint": self.hint, "details": self.details}
        return JSONResponse({"error": error}, self.status, self.headers)


def shown(name: str) -> str:
    """`name`, which a caller chose, as an answer or a log line can repeat it: bounded, and possible to encode."""
    text = name if len(name) <= MAX_NAME_CHARACTERS else f"{name[:MAX_NAME_CHARACTERS]}…"
    return text.encode(errors="replace").decode()


def bad_request(code: str, message: str, hint: str, field: str | None = None) -> WebError:
    """A 400 about `field`, or about the request as a whole."""
    return WebError(400, code, message, hint, {"field": field} if field else None)


def unauthorized(code: str, message: str, hint: str) -> WebError:
    """A 401, with the header that says how to sign in."""
    return WebError(401, code, message, hint, headers={"WWW-Authenticate": "Bearer"})


def unavailable(message: str, retry_after: int = RETRY_AFTER_SECONDS) -> WebError:
    """A 503: the database did not answer, and the same request may succeed later."""
    return WebError(
        503,
        "database_unavailable",
        message,
        f"Send the same request again in {retry_after} seconds; an idempotency key makes that safe.",
        headers={"Retry-After": str(retry_after)},
    )


def internal(request_id: str) -> WebError:
    """A 500 that shows nothing of what went wrong; the log has it under the request id."""
    return WebError(
        500,
        "internal_error",
        "Something went wrong here.",
        "Try again; if it stays, report the request id.",
        {"request_id": request_id},
    )
