"""The database as a user's request sees it: one caller's own token, and its errors in our one shape."""

import contextlib
import math
import re
from collections.abc import Iterator

from filaviva.errors import FilaVivaError, RateLimited
from filaviva.rpc import Rpc
from functions.web.errors import MAX_NAME_CHARACTERS, WebError, unauthorized, unavailable
from functions.web.services import Services

_MACHINE_CODE = re.compile(r"[a-z][a-z_]*")
_LONG_QUOTE = re.compile(rf"(['\"])(.{{{MAX_NAME_CHARACTERS}}}).*\1", re.DOTALL)
_ONE_JOB = re.compile(r"Job (?P<index>\d+)(?= )|(?P<field>\w+) of job (?P<of>\d+)(?= must )")
"""How the engine begins a message about one job of a call."""
_FIELDS = {
    "unknown_kind": "kind",
    "unknown_queue": "queue",
    "foreign_user": "user_id",
    "unknown_company": "company_id",
    "not_a_member": "company_id",
}
"""The field that is to blame where the engine's code says it."""
_SQL_ERRORS = {400: "invalid_request", 401: "invalid_token", 403: "forbidden", 409: "conflict"}
"""Our codes where the database refused something by itself and gave only a code of its own."""


class JobRefused(FilaVivaError):  # noqa: N818 - as its siblings in the library, it says what happened
    """What the engine said of one job, in the words of a request; `field` is the place to blame, if any."""

    field: str | None = None


def database_as(services: Services, token: str) -> Rpc:
    """The database with the rights of whoever owns `token`; the database verifies it."""
    key = services.settings.supabase_anon_key.get_secret_value()
    user = None if token == key else token  # the anon key is a key, not somebody signed in
    return Rpc(services.settings.supabase_url, key, user, http_client=services.database)


def database_as_worker(services: Services) -> Rpc:
    """The database with the service key's rights, over every owner's rows."""
    key = services.settings.supabase_service_role_key.get_secret_value()
    return Rpc(services.settings.supabase_url, key, http_client=services.database)


@contextlib.contextmanager
def job_errors(*, many: bool) -> Iterator[None]:
    """Say where in the request's body the engine found a job wrong.

    Args:
        many: whether the body is a list under ``jobs``; a single job is not called by its position.

    Raises:
        JobRefused: for an error that names a job; every other one passes as it is.
    """
    try:
        yield
    except FilaVivaError as error:
        found = _ONE_JOB.match(error.message)
        if found is None:
            raise
        field = found["field"] or _FIELDS.get(error.code)
        message = error.message if many else (found["field"] or "The job") + error.message[found.end() :]
        refused = JobRefused(message, code=error.code, hint=error.hint, status=error.status)
        refused.field = f"jobs.{found['index'] or found['of']}.{field}" if field and many else field
        raise refused from error


def quotes_cut(message: str) -> str:
    """`message` with what it quotes of the caller's text cut to a bounded length."""
    return _LONG_QUOTE.sub(r"\1\2…\1", message)


def from_engine(error: FilaVivaError) -> WebError:
    """The answer for what the database said: the same status and code where the engine chose them."""
    status = error.status or 503
    if _is_ours(error) or status == 500:
        hint = "Tell the operator: the log has the reason."
        return WebError(500, "database_refused", "The database refused a call of the server itself.", hint)
    if isinstance(error, RateLimited):
        wait = str(math.ceil(error.retry_after or 60))
        return WebError(429, error.code, error.message, error.hint or "", headers={"Retry-After": wait})
    if status > 500:
        return unavailable("The database did not answer.")
    code = error.code if _MACHINE_CODE.fullmatch(error.code) else _SQL_ERRORS.get(status, "refused")
    if status == 401:
        return unauthorized(code, error.message, error.hint or "Sign in again and send the new token.")
    details = {"field": error.field} if isinstance(error, JobRefused) and error.field else None
    return WebError(status, code, quotes_cut(error.message), error.hint or "Correct the request.", details)


def _is_ours(error: FilaVivaError) -> bool:
    """Whether the deployment is at fault, not the caller: missing migrations, or a key the gateway does not know."""
    return error.code in {"not_installed", "refused", "unexpected_answer", "invalid_key", "invalid_url"}
