"""The database as a user's request sees it: one caller's own token, and its errors in our one shape."""

import math
import re

from filaviva.errors import FilaVivaError, RateLimited
from filaviva.rpc import Rpc
from functions.web.errors import WebError, unauthorized, unavailable
from functions.web.services import Services

_MACHINE_CODE = re.compile(r"[a-z][a-z_]*")
_SQL_ERRORS = {400: "invalid_request", 401: "invalid_token", 403: "forbidden", 409: "conflict"}
"""Our codes where the database refused something by itself and gave only a code of its own."""


def database_as(services: Services, token: str) -> Rpc:
    """The database with the rights of whoever owns `token`; the database verifies it."""
    key = services.settings.supabase_anon_key.get_secret_value()
    user = None if token == key else token  # the anon key is a key, not somebody signed in
    return Rpc(services.settings.supabase_url, key, user, http_client=services.database)


def database_as_worker(services: Services) -> Rpc:
    """The database with the service key's rights, over every owner's rows."""
    key = services.settings.supabase_service_role_key.get_secret_value()
    return Rpc(services.settings.supabase_url, key, http_client=services.database)


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
    return WebError(status, code, error.message, error.hint or "Correct the request.")


def _is_ours(error: FilaVivaError) -> bool:
    """Whether the deployment is at fault, not the caller: missing migrations, or a key the gateway does not know."""
    return error.code in {"not_installed", "refused", "unexpected_answer", "invalid_key", "invalid_url"}
