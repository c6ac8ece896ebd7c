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


class FilaVivaError(Exception):
    """The root: catch it to catch everything this library raises.

    Attributes:
        code: machine code, such as ``idempotency_conflict``; it does not change between versions.
        message: one sentence for people.
        hint: what to do about it, or None.
        status: HTTP status, or None when no answer came.
    """

    default_status: ClassVar[int | None] = None

    def __init__(self, message: str, *, code: str, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.status = status if status is not None else self.default_status

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.hint, f"[{self.code}]") if part)


class InvalidRequest(FilaVivaError):
    """The call is wrong as it stands; the message names the field and what was expected."""

    default_status = 400

    @classmethod
    def from_validation(cls, error: ValidationError, where: str) -> "InvalidRequest":
        """The first finding of a model's check, as an error about the field of `where`."""
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in (where, *first["loc"]))
        return cls(f"{path}: {first['msg']}.", code="invalid_field", hint="Correct the field and call again.")


class NotSignedIn(FilaVivaError):
    """There is no access token, or it is expired or not accepted: sign in, then `set_access_token`."""

    default_status = 401


class Forbidden(FilaVivaError):
    """The signed-in user may not do this."""

    default_status = 403


class NotFound(FilaVivaError):
    """There is no such row for this user: it never was, was pruned, or belongs to somebody else."""

    default_status = 404


class Conflict(FilaVivaError):
    """The call contradicts what is already there, such as a key repeated with another body."""

    default_status = 409


class PayloadTooLarge(FilaVivaError):
    """A job carries at most 250 KB of payload: put large data in a bucket and its address in the job."""

    default_status = 413


class RateLimited(FilaVivaError):
    """Too many calls. `retry_after` is the wait in seconds, or None when the server named none."""

    default_status = 429

    def __init__(self, message: str, *, code: str, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message, code=code, hint=hint, status=status)
        seconds = re.search(r"\d+(\.\d+)?", hint or "")
        self.retry_after = float(seconds[0]) if seconds else None


class Unavailable(FilaVivaError):
    """The project did not answer, or could not. A write may have happened: repeat it with its key."""


def client_closed() -> FilaVivaError:
    """The error of whoever still uses a client after it was closed."""
    return FilaVivaError("This client is closed.", code="client_closed", hint="Work inside its `async with` block.")


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


def from_postgrest(error: APIError, *, signed_in: bool = True) -> FilaVivaError:
    """The error of this library that means what PostgREST answered.

    `signed_in` says whether the call carried a user's token: a missing right then means Forbidden,
    otherwise NotSignedIn.
    """
    code, message = error.code or "", error.message or "The project refused the call without a reason."
    if code in _NOT_INSTALLED:
        hint = "Apply the migrations of Fila Viva to this project."
        return FilaVivaError(message, code="not_installed", hint=hint, status=404)
    status = _status_of(code, message)
    if status == 403 and code == "42501" and not signed_in:
        status = 401
    machine_code = str(error.details) if code.startswith("PT") and error.details else _spelled(code)
    error_class = Unavailable if status >= 500 else _CLASSES.get(status, FilaVivaError)
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
