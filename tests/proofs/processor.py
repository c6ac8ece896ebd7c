"""A processor as a process of its own, which a proof may kill.

`python -m tests.proofs.processor` imports everything once. For each line of JSON on its standard input it forks a
child that drains a queue as an HTTP function does, and answers with the child's number: a kill costs no start-up.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from functions.jobs import registry
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Done, JobError, Outcome, Retry
from functions.settings import Settings
from functions.web.logs import get_logger
from functions.web.services import Services
from functions.worker.host import WorkerHost
from tests.conftest import REPOSITORY
from tests.proofs.conftest import Anything


async def send_plain(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
    """One irreversible call to a provider that does not know of keys."""
    url = job.payload["provider"]
    await ctx.http.get(f"{url}/look/{job.job_id}")
    await ctx.commit({})
    await ctx.http.post(f"{url}/plain/{job.job_id}", json=job.payload)
    return Done()


async def find_plain(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
    """Whether that call took effect."""
    answer = await ctx.http.get(f"{job.payload['provider']}/effects/{job.job_id}")
    return Done() if answer.json()["happened"] else Retry(JobError("not_sent", "It was not sent."), after=0)


async def send_keyed(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
    """A call that may be repeated: the provider honours the key."""
    await ctx.http.post(f"{job.payload['provider']}/keyed/{job.job_id}", json=job.payload)
    await asyncio.sleep(random.random() * 0.01)
    return Done()


async def crash(job: ClaimedJob, payload: Anything, ctx: Context) -> Outcome:
    """Take the whole process along, as a fault in native code or the memory limit does."""
    if job.payload.get("crash"):
        os._exit(1)
    return Done()


HANDLERS = [("send_plain", send_plain, find_plain), ("send_keyed", send_keyed, None), ("crash", crash, None)]


@dataclass
class Processors:
    """Starts and kills processors. A context manager that leaves none behind."""

    settings: Settings
    log: Path

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)])}
        self._running: set[int] = set()
        with self.log.open("ab") as errors:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "tests.proofs.processor"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in list(self._running):
            self.kill(number)
        self._parent.communicate()

    def start(self, queue: str = "work") -> int:
        """A new processor; its process number."""
        secrets = {
            name: getattr(self.settings, name).get_secret_value()
            for name in ("supabase_anon_key", "supabase_service_role_key", "cron_secret")
        }
        order = {"queue": queue, "settings": {**self.settings.model_dump(mode="json"), **secrets}}
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        number = int(self._parent.stdout.readline())
        self._running.add(number)
        return number

    def kill(self, number: int) -> None:
        """`kill -9`; returns when the process is gone."""
        self._running.discard(number)
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
        while is_alive(number):
            os.sched_yield()


def is_alive(number: int) -> bool:
    """Whether a processor still runs; its parent takes away the dead at once."""
    return Path("/proc", str(number)).exists()


async def work(order: dict[str, Any]) -> None:
    """Drain one queue until nothing has come for as long as the settings say."""
    settings = Settings.model_construct(**Settings.model_validate(order["settings"]).model_dump())
    services = Services(settings, get_logger(StringIO()))
    try:
        await WorkerHost(services).drain([order["queue"]])
    finally:
        await services.close()


def main() -> None:
    """Fork a processor for each line."""
    registry.load()
    for kind, run, reconcile in HANDLERS:
        registry._registrations[kind] = registry.Registration(kind, Anything, run, reconcile)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(work(json.loads(line)))
            os._exit(0)
        print(child, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
