"""`filaviva worker`: the long-running process for those who outgrow functions."""

import asyncio
import os
import signal
import sys
from typing import Annotated, Any, NoReturn

import structlog
import typer
import uvloop

from functions.jobs import registry
from functions.settings import Settings, SettingsError
from functions.web.logs import Lines, get_logger, redact
from functions.web.outside import outside_client
from functions.worker.ledger import LedgerRefused, LedgerUnavailable
from functions.worker.postgres_ledger import PostgresLedger
from functions.worker.process import WorkerProcess

NOT_USABLE = 2
"""Exit code: the configuration or the arguments are wrong; starting again would not help."""
NOT_REACHED = 3
"""Exit code: the database could not be reached at the start; starting again may help."""


def worker(
    queue: Annotated[
        list[str] | None, typer.Option(help="A queue to serve; may be given several times. Default: all.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Jobs at a time, over all queues. Default: FILAVIVA_WORKER_CONCURRENCY."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Log one JSON object a line, also to a terminal.")] = False,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C, over a direct connection to the database (SUPABASE_DB_URL).

    Told to stop, it claims nothing more, lets running jobs finish within FILAVIVA_SHUTDOWN_GRACE_SECONDS and hands
    back the rest; a second signal ends it at once.
    """
    try:
        settings = Settings.from_environ(os.environ)
    except SettingsError as problem:
        _fail(str(problem), NOT_USABLE)
    if settings.supabase_db_url is None:
        remedy = Settings.model_fields["supabase_db_url"].description
        _fail(f"SUPABASE_DB_URL: is not set. Set it to {remedy}.", NOT_USABLE)
    url = settings.supabase_db_url.get_secret_value()
    try:
        uvloop.run(_run(settings, url, queue or None, concurrency or settings.worker_concurrency, _logger(json)))
    except LedgerUnavailable as problem:
        _fail(f"The database cannot be reached: {problem}. Check host and port in SUPABASE_DB_URL.", NOT_REACHED)
    except LedgerRefused as refused:
        _fail(_explain(refused), NOT_USABLE)


async def _run(
    settings: Settings, url: str, queues: list[str] | None, concurrency: int, log: structlog.stdlib.BoundLogger
) -> None:
    registry.load()
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    async with outside_client(settings) as http, PostgresLedger(url) as ledger:
        process = WorkerProcess(
            settings, ledger, http, queues=queues, concurrency=concurrency, log=log, stopping=stopping
        )
        log.info("worker started", queues=queues or "all", concurrency=concurrency)
        summary = await process.run()
    log.info("worker stopped", **summary.to_json())


def _stop_on_signals(stopping: asyncio.Event) -> None:
    """The first SIGTERM or SIGINT asks for a stop; a second one ends the process."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _logger(json: bool) -> structlog.stdlib.BoundLogger:
    """JSON for machines; for a person at a terminal the same as text, also without what looks like a credential."""
    if json or not sys.stdout.isatty():
        return get_logger()

    def redacted(_: object, __: str, line: Any) -> str:
        return redact(line)

    return structlog.wrap_logger(  # type: ignore[no-any-return]
        Lines(sys.stdout),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            # Plain, without colours between a name and its value: what is redacted must be seen. And without
            # the local variables of a traceback, which may hold a handler's tokens.
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
            redacted,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _explain(refused: LedgerRefused) -> str:
    if refused.from_engine:
        return f"{refused.message} {refused.hint or ''}".strip()
    if refused.status == 404:
        return f"The database has no Fila Viva of this version ({refused.message}). Apply the migrations."
    remedy = "Check user, password and database in SUPABASE_DB_URL; the user must be able to act as service_role."
    return f"The database does not let the worker in: {refused.message}. {remedy}"


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(code)
