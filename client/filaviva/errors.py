"""Every error that this library raises, in one tree.

FilaVivaError
├── InvalidRequest     400, 422   the call is wrong as it stands; the message names the field
├── NotSignedIn        401        no access token, or one that is expired or not accepted
├── Forbidden          403        signed in, but this is not yours to do
├── NotFound           404        there is no such row, or it is not yours to see
├── Conflict           409        it contradicts what is already there
├── PayloadTooLarge    413        more than a job may carry
├── RateLimited        429        too many calls; `retry_after` says how long to wait
└── Unavailable        5xx, none  the project did not answer, or could not; trying again may help

The engine raises its errors in SQL with a machine code; PostgREST carries them here unchanged, so
one code means the same in SQL, over HTTP and in Python.
"""

# ruff: noqa: N818 - a name says what is wrong; that it is an error is seen where it is raised or caught

import re
from typing import ClassVar

from postgrest import APIError
from pydantic import ValidationError

WRONG_KEY_HINT = "Copy the project's anon or publishable key again."
"""What to do when it is the project's key that is not accepted."""


class FilaVivaError(Exception):
    """The root: catch it to catch everything this library raises.

    Attributes:
        code: machine code, such as ``idempotency_conflict``; it does not change between versions.
        message: one sentence for people.
        hint: what to do about it; that of the class where nothing better is known.
        status: HTTP status, or None when no answer came.
    """

    default_status: ClassVar[int | None] = None
    default_hint: ClassVar[str] = "Look into the project's logs."

    def __init__(self, message: str, *, code: str, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint or self.default_hint
        self.status = status if status is not None else self.default_status

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.hint, f"[{self.code}]") if part)


class InvalidRequest(FilaVivaError):
    """The call is wrong as it stands; the message names the field and what was expected."""

    default_status = 400
    default_hint = "Correct the call as the message says."

    @classmethod
    def from_validation(cls, error: ValidationError, where: str) -> "InvalidRequest":
        """The first finding of a model's check, as an error about the field of `where`."""
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in (where, *first["loc"]))
        found = "There is no such field" if first["type"] == "extra_forbidden" else first["msg"]
        return cls(f"{path}: {found}.", code="invalid_field", hint="Correct the field and call again.")


class NotSignedIn(FilaVivaError):
    """There is no access token, or it is expired or not accepted: sign in, then `set_access_token`."""

    default_status = 401
    default_hint = "Sign in again and pass the new access token."


class Forbidden(FilaVivaError):
    """The signed-in user may not do this."""

    default_status = 403
    default_hint = "Sign in as a user who may, or ask the project's owner for the right."


class NotFound(FilaVivaError):
    """There is no such row for this user: it never was, was pruned, or belongs to somebody else."""

    default_status = 404
    default_hint = "Check the name or id, and that the row belongs to the signed-in user."


class Conflict(FilaVivaError):
    """The call contradicts what is already there, such as a key repeated with another body."""

    default_status = 409
    default_hint = "Read what is there now, then decide whether to call again."


class PayloadTooLarge(FilaVivaError):
    """A job carries at most 250 KB of payload: put large data in a bucket and its address in the job."""

    default_status = 413
    default_hint = "Put large data in a bucket and its address into the payload."


class RateLimited(FilaVivaError):
    """Too many calls. `retry_after` is the wait in seconds, or None when the server named none."""

    default_status = 429
    default_hint = "Wait before the next call."

    def __init__(self, message: str, *, code: str, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message, code=code, hint=hint, status=status)
        seconds = re.search(r"\d+(\.\d+)?", hint or "")
        self.retry_after = float(seconds[0]) if seconds else None


class Unavailable(FilaVivaError):
    """The project did not answer, or could not. A write may have happened: repeat it with its key."""

    default_hint = "Try again in a moment; a write that has an idempotency key can be repeated safely."


def client_closed() -> FilaVivaError:
    """The error of whoever still uses a client after it was closed."""
    return FilaVivaError("This client is closed.", code="client_closed", hint="Work inside its `async with` block.")


def not_json(what: str, error: Exception) -> InvalidRequest:
    """The error of what a caller gave that cannot be written as JSON."""
    return InvalidRequest(
        f"{what} cannot be written as JSON: {error}.",
        code="not_json",
        hint="Use strings, finite numbers, booleans, None, lists and dicts with string keys.",
    )


def wrong_url(reason: str, status: int) -> InvalidRequest:
    """The error of a URL behind which there is no project's API."""
    return InvalidRequest(
        f"The URL is not that of a Supabase project: {reason}.",
        code="invalid_url",
        hint="Check the URL: it looks like https://<project>.supabase.co, without a path.",
        status=status,
    )


_CLASSES: dict[int, type[FilaVivaError]] = {
    400: InvalidRequest,
    401: NotSignedIn,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    422: InvalidRequest,
    429: RateLimited,
}

# What PostgREST and PostgreSQL say in their own codes; the longest prefix that fits decides.
_STATUS_BY_CODE = {
    "PGRST00": 503,
    "PGRST003": 504,
    "PGRST30": 401,
    "PGRST300": 500,
    "08": 503,
    "22": 400,
    "22023": 401,
    "23": 400,
    "23503": 409,
    "23505": 409,
    "40": 503,
    "42501": 403,
    "53": 503,
    "55P03": 503,
    "57": 503,
}

_NOT_INSTALLED = {"PGRST202", "PGRST205"}
_NO_SUCH_PATH = "PGRST125"

# What is wrong and what to do, where PostgREST and PostgreSQL do not say it so that a caller understands.
_SIGNED_IN_WORDS = {
    "22P05": (
        "A text of the call, such as one in the payload, holds the NUL character, which cannot be stored",
        "Take \\u0000 out of the payload, the metadata and the other fields.",
    ),
    "42501": ("The signed-in user may not do this", Forbidden.default_hint),
    "PGRST301": ("The access token is not accepted", NotSignedIn.default_hint),
    "PGRST302": ("The access token is not accepted", NotSignedIn.default_hint),
    "PGRST303": ("The access token is not accepted", NotSignedIn.default_hint),
}
_WRONG_KEY_WORDS = ("The key is not accepted", WRONG_KEY_HINT)
_ANONYMOUS_WORDS = {
    "22P05": _SIGNED_IN_WORDS["22P05"],
    "42501": ("Nobody is signed in", "Sign in and pass the user's token as `access_token`."),
    "PGRST301": _WRONG_KEY_WORDS,
    "PGRST302": _WRONG_KEY_WORDS,
    "PGRST303": _WRONG_KEY_WORDS,
}


def from_postgrest(error: APIError, *, signed_in: bool = True) -> FilaVivaError:
    """The error of this library that means what PostgREST answered.

    `signed_in` says whether the call carried a user's token: a missing right then means Forbidden,
    otherwise NotSignedIn.
    """
    code, message = error.code or "", error.message or "The project refused the call without a reason."
    if code in _NOT_INSTALLED:
        hint = "Apply the migrations of Fila Viva to this project."
        return FilaVivaError(message, code="not_installed", hint=hint, status=404)
    if code == _NO_SUCH_PATH:
        return wrong_url("there is no API at its path", 404)
    status = _status_of(code, message)
    if status == 403 and code == "42501" and not signed_in:
        status = 401
    machine_code = str(error.details) if code.startswith("PT") and error.details else _spelled(code)
    error_class = Unavailable if status >= 500 else _CLASSES.get(status, FilaVivaError)
    words = (_SIGNED_IN_WORDS if signed_in else _ANONYMOUS_WORDS).get(code)
    if status == 401 and not code:
        words = _WRONG_KEY_WORDS  # the gateway looks at nothing else
    if words is not None:
        return error_class(f"{words[0]}: {message.rstrip('.')}.", code=machine_code, hint=words[1], status=status)
    return error_class(message, code=machine_code, hint=error.hint, status=status)


def _status_of(code: str, message: str) -> int:
    """The HTTP status behind an error body, which does not carry it: the code implies it."""
    number = re.fullmatch(r"(?:PT)?(\d{3})", code)
    if number:
        return int(number[1])
    prefix = max((known for known in _STATUS_BY_CODE if code.startswith(known)), key=len, default=None)
    if prefix is not None:
        return _STATUS_BY_CODE[prefix]
    # The gateway in front of PostgREST checks the key and answers without a code.
    return 401 if not code and "api key" in message.lower() else 500


def _spelled(code: str) -> str:
    """A code without a letter is a bare HTTP status from something in between."""
    if not code:
        return "refused"
    return f"http_{code}" if re.fullmatch(r"\d{3}", code) else code
