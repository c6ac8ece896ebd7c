"""The client without `await`, against a real project: in scripts, in threads, and beside a loop that runs."""

import contextlib
import inspect
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from filaviva import (
    Conflict,
    FilaViva,
    FilaVivaError,
    Forbidden,
    InvalidRequest,
    JobStatus,
    NewJob,
    NotFound,
    SyncFilaViva,
    Unavailable,
)
from tests.conftest import REPOSITORY
from tests.e2e.cli_project import CliProject, cli

__all__ = ["cli"]


@pytest.fixture
def fila(cli: CliProject) -> Iterator[SyncFilaViva]:
    """A new user's client."""
    user = cli.project.sign_up()
    with SyncFilaViva(cli.project.api_url, cli.project.publishable_key, user.token) as client:
        yield client


def test_a_script_enqueues_looks_up_cancels_and_counts(fila: SyncFilaViva) -> None:
    job = fila.enqueue("noop", {"a": "ç"}, priority=3)
    many = fila.enqueue_many([NewJob(kind="noop"), {"kind": "other"}])
    found = fila.get(job.id)
    assert (found.payload, found.priority, found.status) == ({"a": "ç"}, 3, JobStatus.PENDING)
    assert fila.cancel(job.id).status is JobStatus.CANCELLED
    stats = fila.stats()
    assert (stats.pending, stats.cancelled, stats.failed, stats.total) == (2, 1, 0, 3)
    page = fila.jobs(status="pending", limit=1)
    assert [one.id for one in page.items] == [many[1].id]
    assert [one.id for one in fila.jobs(status="pending", cursor=page.next_cursor).items] == [many[0].id]


def test_a_script_learns_why_a_job_waits(fila: SyncFilaViva) -> None:
    when = datetime.now(UTC) + timedelta(hours=1)
    waiting = fila.why_waiting(fila.enqueue("noop", {}, scheduled_at=when).id)
    assert (waiting.reason, waiting.expected_at) == ("scheduled", when)
    assert waiting.text("pt-BR").startswith("Agendado")


def test_a_failed_job_is_retried_and_an_unconfirmed_one_resolved(cli: CliProject, fila: SyncFilaViva) -> None:
    failed, lost = fila.enqueue("noop", {}), fila.enqueue("noop", {})
    cli.end(str(failed.id), "reject", error={"code": "no_luck", "message": "It had none."})
    cli.end(str(lost.id), "unconfirmed")
    assert fila.retry(failed.id).status is JobStatus.PENDING
    assert fila.resolve(lost.id, happened=True, result={"a": 1}).result == {"a": 1}
    with pytest.raises(Conflict, match="pending and was not retried"):
        fila.retry(failed.id)


def test_errors_are_those_of_the_asynchronous_client(cli: CliProject, fila: SyncFilaViva) -> None:
    with pytest.raises(InvalidRequest, match="expected a uuid"):
        fila.get("seven")
    with pytest.raises(InvalidRequest, match=r"jobs\[0\]\.prority"):
        fila.enqueue_many([{"kind": "noop", "prority": 1}])
    with pytest.raises(NotFound):
        fila.get(cli.enqueue())
    with pytest.raises(Forbidden):
        fila.rate_limit("whatsapp", "not-mine")
    with pytest.raises(InvalidRequest, match="expected the project's URL"):
        SyncFilaViva("ftp://example", "key")


def test_its_methods_read_as_those_of_the_asynchronous_client() -> None:
    for name in ("enqueue", "get", "jobs", "stats"):
        assert inspect.signature(getattr(SyncFilaViva, name)) == inspect.signature(getattr(FilaViva, name))
        assert inspect.getdoc(getattr(SyncFilaViva, name)) == inspect.getdoc(getattr(FilaViva, name))
    assert SyncFilaViva.get.__qualname__ == "SyncFilaViva.get"


async def test_it_works_beside_a_loop_that_runs(fila: SyncFilaViva) -> None:
    assert fila.get(fila.enqueue("noop", {}).id).status is JobStatus.PENDING


def test_threads_share_one_client(fila: SyncFilaViva) -> None:
    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda n: fila.enqueue("noop", {"n": n}), range(24)))
    assert len({job.id for job in jobs}) == 24
    assert fila.stats().pending == 24


def test_a_new_token_is_used_from_then_on(cli: CliProject, fila: SyncFilaViva) -> None:
    job = fila.enqueue("noop", {})
    fila.set_access_token(cli.project.sign_up().token)
    with pytest.raises(NotFound):
        fila.get(job.id)


def test_a_closed_client_says_so_and_leaves_no_thread(cli: CliProject) -> None:
    before = threading.active_count()
    client = SyncFilaViva(cli.project.api_url, cli.project.secret_key)
    assert client.stats().total >= 0
    client.close()
    client.close()
    assert threading.active_count() == before
    with pytest.raises(FilaVivaError) as caught:
        client.stats()
    assert caught.value.code == "client_closed"


def test_a_project_that_does_not_answer_is_unavailable() -> None:
    with SyncFilaViva("http://127.0.0.1:1", "key") as client, pytest.raises(Unavailable):
        client.cancel("5b0f7a34-6a2c-4f5e-9a39-0d7c3d0f2f11")


def test_an_interrupted_call_leaves_nothing_running() -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGALRM, interrupt)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:  # accepts, and never answers
        port = silent.getsockname()[1]
        try:
            with SyncFilaViva(f"http://127.0.0.1:{port}", "key") as client:
                signal.setitimer(signal.ITIMER_REAL, 0.3)
                with pytest.raises(KeyboardInterrupt):
                    client.stats()
                begun = time.monotonic()
            assert time.monotonic() - begun < 5
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former)


def test_a_client_from_before_a_fork_says_what_to_do() -> None:
    program = (
        "import os, sys\n"
        "from filaviva import FilaVivaError, SyncFilaViva\n"
        "client = SyncFilaViva('http://127.0.0.1:1', 'key')\n"
        "if os.fork() == 0:\n"
        "    try:\n"
        "        client.stats()\n"
        "    except FilaVivaError as error:\n"
        "        print(error.code, flush=True)\n"
        "    client.close()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "client.close()\n"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "client_forked\n", "")
