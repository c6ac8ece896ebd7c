"""The road of one job with real parts, and what happens when the worker dies on it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from devstack.stack import remove_data
from devstack.state import read_state
from examples.local_project import LocalProject, StartError
from filaviva import FilaViva, Job, JobStatus, NotFound
from tests.conftest import REPOSITORY
from tests.e2e.conftest import User, get, listening, post, publication, sign_up, upload

FINAL = {"completed", "failed", "cancelled", "unconfirmed"}


def statuses(project: LocalProject, ids: list[str]) -> dict[str, str]:
    with psycopg.connect(project.db_url, autocommit=True) as connection:
        rows = connection.execute("select id::text, status from public.jobs where id = any (%s::uuid[])", (ids,))
        return dict(rows.fetchall())


def wait_until_final(project: LocalProject, ids: list[str], seconds: float) -> dict[str, str]:
    deadline = time.monotonic() + seconds
    while True:
        found = statuses(project, ids)
        if set(found.values()) <= FINAL or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def ledger_of(project: LocalProject, user: User) -> list[dict[str, Any]]:
    effects = httpx.get(f"{project.providers_url}/_ledger").json()
    return [effect for effect in effects if user.id in effect["key"]]


async def watch_to_the_end(project: LocalProject, user: User, job_id: str) -> list[Job]:
    async with FilaViva(project.api_url, project.anon_key, user.token) as fila:
        return [job async for job in fila.watch(job_id)]


async def test_a_publication_goes_from_http_to_live_status(project: LocalProject, user: User) -> None:
    body = publication(user, upload(project, user), "First light", ["tiktok_video", "instagram_feed"])
    answer = post(project, user, "/api/publications/enqueue", body)
    assert answer.status_code == 200
    assert answer.json()["message"] == "Successfully enqueued 2 publication job(s)"
    jobs = answer.json()["data"]["jobs"]
    assert [(job["platform"], job["status"]) for job in jobs] == [
        ("tiktok_video", "pending"),
        ("instagram_feed", "pending"),
    ]
    for job in jobs:
        seen = await asyncio.wait_for(watch_to_the_end(project, user, job["job_id"]), 30)
        assert seen[-1].status is JobStatus.COMPLETED
        versions = [state.version for state in seen]
        assert versions == sorted(set(versions)), "a watch never goes backwards"
    assert len(ledger_of(project, user)) == 2


async def test_another_user_sees_nothing(project: LocalProject, user: User) -> None:
    [job] = post(project, user, "/api/jobs", {"kind": "canary"}).json()["jobs"]
    stranger = sign_up(project)
    with pytest.raises(NotFound):
        await watch_to_the_end(project, stranger, job["job_id"])
    assert get(project, stranger, f"/api/jobs/{job['job_id']}").status_code == 404
    assert get(project, user, f"/api/jobs/{job['job_id']}").status_code == 200


async def test_another_user_hears_nothing(project: LocalProject, user: User) -> None:
    stranger = sign_up(project)
    async with listening(project, stranger) as overheard, listening(project, user) as heard:
        [job] = post(project, user, "/api/jobs", {"kind": "canary"}).json()["jobs"]
        assert await asyncio.wait_for(heard.get(), 10) == job["job_id"]
        await asyncio.wait_for(watch_to_the_end(project, user, job["job_id"]), 30)
        [own] = post(project, stranger, "/api/jobs", {"kind": "canary"}).json()["jobs"]
        first = await asyncio.wait_for(overheard.get(), 10)
        assert first == own["job_id"], "changes come in order, so the owner's would have come before it"


def test_a_port_that_is_held_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        for name in ("port", "db_port", "functions_port", "providers_port"):
            project = LocalProject(tmp_path / name, **{name: taken})
            with pytest.raises(StartError, match=f"Port {taken} .* choose another port"), project:
                pass
            assert not project.data_dir.exists()


def test_a_part_that_ends_is_named(own_project: LocalProject) -> None:
    state = read_state(own_project.data_dir)
    assert state is not None
    os.kill(state.pid, signal.SIGTERM)
    assert own_project.wait_until_one_ends().startswith("devstack ended with code")


def test_a_provider_that_fails_once_is_tried_again(project: LocalProject, user: User) -> None:
    fault = {"provider": "tiktok", "step": "creator_info", "mode": "fail_before", "times": 1}
    httpx.put(f"{project.providers_url}/_faults", json=fault).raise_for_status()
    body = publication(user, upload(project, user), "Second time lucky", ["tiktok_video"])
    [job] = post(project, user, "/api/publications/enqueue", body).json()["data"]["jobs"]
    assert wait_until_final(project, [job["job_id"]], 30) == {job["job_id"]: "completed"}
    with psycopg.connect(project.db_url, autocommit=True) as connection:
        row = connection.execute("select attempt from public.jobs where id = %s", (job["job_id"],)).fetchone()
    assert row == (2,)
    assert len(ledger_of(project, user)) == 1


def test_an_answer_lost_after_the_post_is_found_out_not_repeated(project: LocalProject, user: User) -> None:
    for provider, step in (("instagram", "media_publish"), ("tiktok", "upload")):
        fault = {"provider": provider, "step": step, "mode": "reset", "times": 1}
        httpx.put(f"{project.providers_url}/_faults", json=fault).raise_for_status()
    body = publication(user, upload(project, user), "Said once", ["tiktok_video", "instagram_feed"])
    jobs = post(project, user, "/api/publications/enqueue", body).json()["data"]["jobs"]
    ids = [job["job_id"] for job in jobs]
    assert wait_until_final(project, ids, 45) == dict.fromkeys(ids, "completed")
    assert Counter(effect["provider"] for effect in ledger_of(project, user)) == {"tiktok": 1, "instagram": 1}


def test_the_first_example_runs_as_printed_again_and_again(project: LocalProject) -> None:
    program = REPOSITORY / "docs" / "examples" / "first_job.py"
    for _ in range(2):
        answer = subprocess.run(
            [sys.executable, str(program)],
            env=os.environ | project.environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        lines = answer.stdout.splitlines()
        order = ["pending 0", "processing 1", "completed 1"]
        assert lines[-1] == "completed 1"
        assert [line for line in order if line in lines] == list(dict.fromkeys(lines)), "only newer states follow"


@pytest.fixture
def own_project(tmp_path: Path) -> Iterator[LocalProject]:
    """A project of this test's own, which it may break."""
    with LocalProject(tmp_path) as running:
        yield running
    remove_data(tmp_path)


def test_killing_the_functions_in_the_middle_of_a_drain_repeats_and_loses_nothing(own_project: LocalProject) -> None:
    kill_rounds(own_project, rounds=2, jobs_a_round=6)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_many_kills_repeat_and_lose_nothing(own_project: LocalProject) -> None:
    kill_rounds(own_project, rounds=40, jobs_a_round=10)


def kill_rounds(project: LocalProject, *, rounds: int, jobs_a_round: int) -> None:
    """Enqueue, kill -9 while jobs are processing, start again; at the end hold jobs against the ledger."""
    user = sign_up(project)
    url = upload(project, user)
    ids: list[str] = []
    for _ in range(rounds):
        for number in range(jobs_a_round):
            option = ("tiktok_video", "instagram_feed")[number % 2]
            body = publication(user, url, f"Post {uuid4()}", [option])
            [job] = post(project, user, "/api/publications/enqueue", body).json()["data"]["jobs"]
            ids.append(job["job_id"])
        wait_until_processing(project, ids)
        project.kill_functions()
        let_leases_expire(project)
        project.start_functions()
    final = wait_until_final(project, ids, 60 + 10 * rounds)
    assert len(final) == len(ids), "no job is lost"
    assert set(final.values()) <= FINAL, Counter(final.values())
    effects = Counter(effect["key"] for effect in ledger_of(project, user))
    assert [key for key, count in effects.items() if count > 1] == [], "no post goes out twice"
    completed = sum(status == "completed" for status in final.values())
    assert completed <= len(effects), "what is called completed went out"
    assert unexplained(project, ids) == []


def unexplained(project: LocalProject, ids: list[str]) -> list[tuple[object, ...]]:
    """The jobs that neither completed nor were killed before the point of no return as often as they may be run."""
    with psycopg.connect(project.db_url, autocommit=True) as connection:
        return connection.execute(
            "select id, status, attempt, error_code, error_message from public.jobs where id = any (%s::uuid[])"
            " and status <> 'completed'"
            " and not (status = 'failed' and error_code = 'worker_lost' and attempt = max_attempts)",
            (ids,),
        ).fetchall()


def let_leases_expire(project: LocalProject) -> None:
    """Move the engine's clock by ten minutes, so that nobody waits for the dead worker's leases."""
    with psycopg.connect(project.db_url, autocommit=True) as connection:
        connection.execute(
            "insert into filaviva.clock_shift (shift) values (interval '10 minutes')"
            " on conflict (only_row) do update set shift = clock_shift.shift + excluded.shift"
        )
    project.rpc("tick", {})


def wait_until_processing(project: LocalProject, ids: list[str]) -> None:
    deadline = time.monotonic() + 20
    while "processing" not in statuses(project, ids).values():
        assert time.monotonic() < deadline, "no job was started"
        time.sleep(0.005)
