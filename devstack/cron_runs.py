"""One run of a job of pg_cron: its record in `cron.job_run_details`, and the command itself."""

from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus
from psycopg.rows import class_row

CONNECT_SECONDS = 10

Connection = psycopg.AsyncConnection[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `cron.job`."""

    jobid: int
    jobname: str | None
    schedule: str
    command: str
    database: str
    username: str
    active: bool


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        status: ``succeeded`` or ``failed``.
        message: the row count or command tag of the last statement, or the error.
        finished: whether the server answered; a run that was cut off has no end time.
    """

    status: str
    message: str
    finished: bool = True


class History:
    """The tables of schema cron, over the launcher's own connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def jobs(self) -> list[Job]:
        """Every job; none while the extension is missing. Fails when the role of one is gone, as pg_cron does."""
        if not await self._is_installed():
            return []
        async with self._connection.cursor(row_factory=class_row(Job)) as cursor:
            await cursor.execute(
                "select jobid, jobname, schedule, command, database, active,"
                " case when quote_ident(username)::regrole is not null then username end as username"
                " from cron.job order by jobid"
            )
            return await cursor.fetchall()

    async def fail_interrupted_runs(self) -> None:
        """Record what an earlier session left unfinished."""
        if await self._is_installed():
            await self._connection.execute(
                "update cron.job_run_details set status = 'failed', return_message = 'server restarted'"
                " where status in ('starting', 'running')"
            )

    async def begin(self, job: Job) -> int:
        """Open a run's record and answer its number."""
        cursor = await self._connection.execute(
            "insert into cron.job_run_details (jobid, database, username, command, status)"
            " values (%s, %s, %s, %s, 'starting') returning runid",
            (job.jobid, job.database, job.username, job.command),
        )
        row = await cursor.fetchone()
        return int(str(row[0])) if row else 0

    async def mark_running(self, run_id: int, pid: int) -> None:
        """Record that the run has logged in and begins."""
        await self._connection.execute(
            "update cron.job_run_details set status = 'running', job_pid = %s, start_time = clock_timestamp()"
            " where runid = %s",
            (pid, run_id),
        )

    async def end(self, run_id: int, result: RunResult) -> None:
        """Record how the run ended."""
        await self._connection.execute(
            "update cron.job_run_details set status = %s, return_message = %s,"
            " end_time = case when %s then clock_timestamp() end where runid = %s",
            (result.status, result.message, result.finished, run_id),
        )

    async def _is_installed(self) -> bool:
        cursor = await self._connection.execute("select to_regclass('cron.job') is not null")
        return await cursor.fetchone() == (True,)


async def connect(dsn: str, application_name: str, database: str | None = None) -> Connection:
    """Log in with `dsn`, to `database` if one is given; gives up after `CONNECT_SECONDS`."""
    conninfo = make_conninfo(dsn, dbname=database, application_name=application_name)
    return await psycopg.AsyncConnection.connect(conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS)


async def perform(connection: Connection, command: str) -> RunResult:
    """Send the command as one message: several statements in it are one transaction."""
    try:
        cursor = await connection.execute(command.encode())
        while cursor.nextset():
            pass
    except psycopg.Error as error:
        return _failure(error)
    result = cursor.pgresult
    if result is not None and result.status == ExecStatus.COMMAND_OK:
        return RunResult("succeeded", cursor.statusmessage or "")
    count = 0 if result is None else result.ntuples
    return RunResult("succeeded", f"{count} {'row' if count == 1 else 'rows'}")


def _failure(error: psycopg.Error) -> RunResult:
    if error.pgresult is not None:
        return RunResult("failed", error.pgresult.error_message.decode(errors="replace"))
    if isinstance(error, psycopg.OperationalError):
        return RunResult("failed", "connection lost", finished=False)
    return RunResult("failed", "COPY not supported")
