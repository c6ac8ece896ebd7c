"""Runs the jobs of `cron.job` as pg_cron's launcher does: on time, never over themselves, as their own role.

The extension's SQL says on channel `pg_cron_job` when a job was changed. Like the real launcher this
one lives in sessions: whatever breaks it (a lost connection, the role of a job that was dropped, a
run number used twice) ends the session, and the next one starts a second later. Faults that it can be
made to have, and how far its clock is ahead, stand in table `devstack.faults`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from devstack.cron_clock import Clock
from devstack.cron_runs import Connection, History, Job, RunResult, connect, perform
from devstack.cron_schedule import MINUTE, AtStart, Calendar, Interval, Schedule, parse_schedule
from devstack.fault_table import read_faults, spend
from devstack.tasks import end

logger = logging.getLogger("devstack.cron")

RESTART_SECONDS = 1.0


class LauncherDeadError(Exception):
    """The launcher is to stay dead until the fault is cleared."""


class Cron:
    """The scheduler of one database.

    Args:
        dsn: the database that holds `cron.job`, as a superuser.
        dsn_for: connection URL for a role, with which its jobs log in.
        max_running: how many runs there may be at once; further ones wait.
    """

    def __init__(self, dsn: str, dsn_for: Callable[[str], str], *, max_running: int = 32) -> None:
        self._dsn = dsn
        self._dsn_for = dsn_for
        self._max_running = max_running
        self._launcher: _Launcher | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()

    async def start(self) -> None:
        """Begin; returns when the jobs are known, or when the first attempt failed and was logged."""
        self._supervisor = asyncio.create_task(self._supervise(), name="devstack.cron")
        await self._tried.wait()

    async def stop(self) -> None:
        """End at once. Runs are cut off; the next start records them as 'server restarted'."""
        await end(self._supervisor)

    async def run_now(self, jobname: str) -> RunResult:
        """Run an active job without waiting for its time, after a run of it that is under way.

        Raises:
            LookupError: no active job has that name.
            RuntimeError: the scheduler is not running.
        """
        if self._launcher is None:
            raise RuntimeError("the scheduler is not running; call start() first")
        return await self._launcher.run_now(jobname)

    async def _supervise(self) -> None:
        while True:
            try:
                await self._session()
            except* (psycopg.Error, LauncherDeadError) as errors:
                logger.error("the scheduler failed and starts again in %g s: %s", RESTART_SECONDS, errors.exceptions)
            except* Exception as errors:  # whatever it is, a project without a scheduler would stand still in silence
                logger.exception("the scheduler failed and starts again in %g s", RESTART_SECONDS, exc_info=errors)
            finally:
                self._launcher = None
                self._tried.set()
            await asyncio.sleep(RESTART_SECONDS)

    async def _session(self) -> None:
        async with (
            await connect(self._dsn, "pg_cron scheduler") as listener,
            await connect(self._dsn, "pg_cron scheduler") as ledger,
            asyncio.TaskGroup() as group,
        ):
            launcher = _Launcher(ledger, self._dsn_for, self._max_running, group)
            await listener.execute("listen pg_cron_job; listen devstack_faults")
            await launcher.prepare()
            group.create_task(launcher.watch(listener))
            self._launcher = launcher
            self._tried.set()
            await launcher.dispatch()


@dataclass(slots=True)
class _Task:
    """What the launcher remembers of an active job."""

    job: Job
    schedule: Schedule
    started_at: datetime
    pending: int = 0
    run: asyncio.Task[RunResult] | None = None
    scope: asyncio.Timeout | None = None
    canceled: bool = False

    def note_due(self, now: datetime, since: datetime) -> None:
        """Count the runs that have fallen due; `since` is the last minute that was looked at."""
        match self.schedule:
            case Interval(seconds):
                # However long a run takes, only one is held for afterwards.
                if self.pending == 0 and now - self.started_at >= timedelta(seconds=seconds):
                    self.pending = 1
            case Calendar() as calendar:
                self.pending += calendar.runs_due(since, _minute(now))
            case AtStart():
                pass

    def next_look(self, now: datetime) -> datetime | None:
        """When `note_due` may find something; None when only an event can change that."""
        match self.schedule:
            case Interval(seconds):
                return self.started_at + timedelta(seconds=seconds) if self.pending == 0 else None
            case Calendar():
                return _minute(now) + MINUTE
            case AtStart():
                return None

    def cancel(self) -> None:
        """Cut off the run that is under way, if there is one."""
        self.canceled = True
        if self.scope is not None:
            self.scope.reschedule(0)


class _Launcher:
    """One session of the scheduler."""

    def __init__(
        self, ledger: Connection, dsn_for: Callable[[str], str], max_running: int, group: asyncio.TaskGroup
    ) -> None:
        self._ledger = ledger
        self._history = History(ledger)
        self._clock = Clock()
        self._dsn_for = dsn_for
        self._max_running = max_running
        self._group = group
        self._tasks: dict[int, _Task] = {}
        self._wake = asyncio.Event()
        self._stale = False

    async def prepare(self) -> None:
        """Close the books on runs of earlier sessions and load the jobs."""
        await self._obey_faults()
        await self._history.fail_interrupted_runs()
        await self._load()
        for task in self._tasks.values():
            task.pending = int(task.schedule == AtStart())

    async def watch(self, listener: Connection) -> None:
        """Learn of changed jobs and faults, for ever."""
        async for _ in listener.notifies():
            self._stale = True
            self._wake.set()

    async def dispatch(self) -> None:
        """Start runs as they fall due, for ever."""
        looked_at = _minute(self._clock.now())
        while True:
            self._wake.clear()
            if self._stale:
                self._stale = False  # first, so that what changes meanwhile is looked at again
                await self._obey_faults()
                await self._load()
            now = self._clock.now()
            for task in self._tasks.values():
                task.note_due(now, looked_at)
                if task.pending and task.run is None and self._running() < self._max_running:
                    task.pending -= 1
                    self._start(task)
            looked_at = max(looked_at, _minute(now))
            await self._sleep(now)

    async def run_now(self, jobname: str) -> RunResult:
        """See `Cron.run_now`."""
        await self._load()
        task = next((task for task in self._tasks.values() if task.job.jobname == jobname), None)
        if task is None:
            raise LookupError(f"no active job is named {jobname!r}")
        while task.run is not None:
            await asyncio.wait([task.run])
        run = self._start(task)
        await asyncio.wait([run])
        return run.result()

    async def _obey_faults(self) -> None:
        faults = await read_faults(self._ledger, "cron")
        if "dead" in faults.rows:
            raise LauncherDeadError("fault: dead")
        shift = faults.rows.get("clock")
        self._clock.set_ahead(shift.amount if shift else 0)

    async def _load(self) -> None:
        jobs = {job.jobid: job for job in await self._history.jobs() if job.active}
        for jobid in self._tasks.keys() - jobs.keys():
            self._tasks.pop(jobid).cancel()
        for job in jobs.values():
            self._remember(job)

    def _remember(self, job: Job) -> None:
        try:
            schedule = parse_schedule(job.schedule)
        except ValueError:  # somebody wrote into the table past cron.schedule
            logger.warning("job %d never runs, its schedule is invalid: %s", job.jobid, job.schedule)
            return
        if task := self._tasks.get(job.jobid):
            task.job, task.schedule = job, schedule
        else:
            self._tasks[job.jobid] = _Task(job, schedule, self._clock.now())

    def _running(self) -> int:
        return sum(task.run is not None for task in self._tasks.values())

    def _start(self, task: _Task) -> asyncio.Task[RunResult]:
        task.started_at = self._clock.now()
        task.run = self._group.create_task(self._run(task))
        task.run.add_done_callback(lambda _: self._ended(task))
        return task.run

    def _ended(self, task: _Task) -> None:
        task.run = None
        self._wake.set()

    async def _sleep(self, now: datetime) -> None:
        moments = [moment for task in self._tasks.values() if (moment := task.next_look(now))]
        seconds = (min(moments) - self._clock.now()).total_seconds() if moments else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _run(self, task: _Task) -> RunResult:
        job = task.job
        if await spend(self._ledger, "cron", "skip"):
            return RunResult("skipped", "fault: skip", finished=False)
        run_id = await self._history.begin(job)
        try:
            async with asyncio.timeout(0 if task.canceled else None) as task.scope:
                result = await self._execute(job, run_id)
        except TimeoutError:
            result = RunResult("failed", "job canceled", finished=False)
        finally:
            task.scope = None
        await self._history.end(run_id, result)
        level = logging.WARNING if result.status == "failed" else logging.INFO
        logger.log(level, "job %d (%s) %s: %s", job.jobid, job.jobname or "", result.status, result.message.strip())
        return result

    async def _execute(self, job: Job, run_id: int) -> RunResult:
        if await spend(self._ledger, "cron", "refuse"):
            return RunResult("failed", "connection failed", finished=False)
        try:
            connection = await connect(self._dsn_for(job.username), "pg_cron", job.database)
        except psycopg.OperationalError:
            return RunResult("failed", "connection failed", finished=False)
        try:
            await self._history.mark_running(run_id, connection.info.backend_pid)
            return await perform(connection, job.command)
        finally:
            await connection.close()


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
