"""Whether changes arrive: a real subscription to the table of jobs, and a read of it, as the caller."""

import asyncio
import time

from filaviva.cli.doctor.findings import Finding, ok, problem, unknown
from filaviva.cli.output import duration
from filaviva.cli.session import Session
from filaviva.errors import Unavailable

_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_SUBJECT = "realtime"


def left_out() -> Finding:
    """The finding of a caller who may read no job: neither a user nor the service key."""
    return unknown(
        _SUBJECT,
        "left out: nobody is signed in, and so no job may be read",
        "não verificado: ninguém está autenticado, e nenhum job pode ser lido",
        "Set SUPABASE_SERVICE_ROLE_KEY, or FILAVIVA_ACCESS_TOKEN, and call again",
    )


async def examine_realtime(session: Session, patience: float = _PATIENCE_SECONDS) -> Finding:
    """Open a live view as the caller, and wait until it is live and has read."""
    begun = time.monotonic()
    everyone = not session.signed_in
    async with session.fila.live_jobs(queue="canary", everyone=everyone, limit=1) as view:
        while (view.is_loading or not view.is_live) and time.monotonic() - begun < patience:
            if view.error is not None and not isinstance(view.error, Unavailable):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        took = duration(time.monotonic() - begun)
        if view.is_live and not view.is_loading:
            english = f"a subscription to jobs was confirmed after {took}, and the caller may read"
            return ok(_SUBJECT, english, f"assinatura de jobs confirmada em {took}, e a leitura é permitida")
        if view.error is not None:
            return problem(_SUBJECT, view.error.message, view.error.message, view.error.hint)
    return problem(
        _SUBJECT,
        f"no subscription to jobs was confirmed within {took}: live views poll",
        f"nenhuma assinatura de jobs foi confirmada em {took}: as visões ao vivo fazem polling",
        "Check that Realtime is enabled, and that a proxy lets WebSockets through",
    )
