"""The ledger's errors as HTTP answers, for the endpoints that run the worker."""

import contextlib
from collections.abc import Iterator

from functions.web.errors import WebError, unavailable
from functions.worker.ledger import LedgerRefused, LedgerUnavailable


@contextlib.contextmanager
def ledger_errors() -> Iterator[None]:
    """Turn what the ledger raises into the errors that leave by HTTP.

    Raises:
        WebError: the engine's own status and code; 503 when the database did not answer; 500 when it does not
            accept the worker at all, which is the deployment's fault and not the caller's.
    """
    try:
        yield
    except LedgerUnavailable as problem:
        raise unavailable("The database did not answer.") from problem
    except LedgerRefused as refused:
        if refused.from_engine:
            raise WebError(refused.status, refused.code, refused.message, refused.hint or "") from refused
        hint = "Check SUPABASE_SERVICE_ROLE_KEY, and that the migrations are applied; the log has the reason."
        raise WebError(500, "database_refused", "The database refused the worker.", hint) from refused
