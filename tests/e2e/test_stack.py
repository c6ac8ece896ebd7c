"""The command line as people use it: real processes, free ports, a folder of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psycopg
import pytest
from supabase import AsyncClientOptions, acreate_client

from devstack.cluster import remove_cluster
from devstack.stack import Stack
from devstack.state import StackError, StackOptions, StackState, hold, holder, read_state, write_state
from tests.e2e.stack_project import REPOSITORY, Project, lives, make_project, wait_until

NOTES = """
create table public.notes (id int generated always as identity primary key, owner uuid default auth.uid(), text text);
alter table public.notes enable row level security;
create policy own on public.notes to authenticated using (owner = auth.uid()) with check (owner = auth.uid());
grant select, insert on public.notes to authenticated;
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stack that runs while this file is tested."""
    for project in make_project(tmp_path_factory.mktemp("running")):
        project.migrate("1_notes.sql", NOTES)
        project.up()
        yield project


@pytest.fixture(scope="module")
def project_with_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    yield from make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def project(project_with_database: Project) -> Iterator[Project]:
    """A stopped stack, without migrations; its database is that of the test before, which makes starting quick."""
    shutil.rmtree(project_with_database.migrations.parent)
    project_with_database.migrations.mkdir(parents=True)
    yield project_with_database
    project_with_database.stop()


def port_of(url: str) -> int:
    return httpx.URL(url).port or 0


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


async def test_a_person_signs_up_and_sees_their_own_rows(running: Project) -> None:
    stack = running.variables()
    seen = []
    for email in ("ana@example.com", "bia@example.com"):
        async with httpx.AsyncClient() as connections:
            options = AsyncClientOptions(httpx_client=connections, auto_refresh_token=False)
            client = await acreate_client(stack["API_URL"], stack["PUBLISHABLE_KEY"], options)
            await client.auth.sign_up({"email": email, "password": "correct horse"})
            await client.table("notes").insert({"text": email}).execute()
            seen.append((await client.table("notes").select("text").execute()).data)
    assert seen == [[{"text": "ana@example.com"}], [{"text": "bia@example.com"}]]
    assert rows(stack["DB_URL"], "select current_user, count(*) from public.notes") == [("postgres", 2)]


def test_status_tells_what_programs_need(running: Project) -> None:
    stack = running.variables()
    assert {"API_URL", "DB_URL", "FUNCTIONS_URL", "ANON_KEY", "SERVICE_ROLE_KEY", "JWT_SECRET"} < set(stack)
    assert json.loads(running.run("status", "-o", "json").stdout) == stack
    lines = running.run("status", "-o", "env").stdout.splitlines()
    assert lines == [f'{name}="{value}"' for name, value in stack.items()]
    pretty = running.run("status").stdout
    assert stack["API_URL"] in pretty
    assert stack["SECRET_KEY"] in pretty


def test_a_second_up_says_that_the_stack_runs_and_where(running: Project) -> None:
    stack = running.variables()
    again = running.run(*running.up_arguments(), "--detach")
    assert (again.returncode, stack["API_URL"] in again.stdout) == (0, True)
    attached = running.run(*running.up_arguments())
    assert attached.returncode == 1
    assert "already runs" in attached.stderr
    assert stack["API_URL"] in attached.stderr
    assert running.variables() == stack


def test_two_stacks_run_side_by_side(running: Project, project: Project) -> None:
    first, second = running.variables(), project.up()
    assert len({port_of(stack[url]) for stack in (first, second) for url in ("API_URL", "DB_URL")}) == 4
    assert httpx.get(second["API_URL"]).json()["status"] == "ok"
    project.stop()
    assert httpx.get(first["API_URL"]).json()["status"] == "ok"


def test_a_second_start_keeps_the_data_and_applies_what_is_new(project: Project) -> None:
    project.migrate("10_kept.sql", "create table kept (n int);")
    (project.folder / "supabase" / "seed.sql").write_text("insert into kept values (1);")
    project.up()
    project.stop()
    project.migrate("11_more.sql", "alter table kept add m int default 7;")
    stack = project.up()
    assert rows(stack["DB_URL"], "select n, m from kept") == [(1, 7)]


def test_stop_leaves_no_process_and_no_state(project: Project) -> None:
    stack = project.up()
    pids = project.pids()
    assert all(map(lives, pids))
    stopped = project.run("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "devstack has stopped.\n")
    wait_until(lambda: not any(map(lives, pids)))
    with pytest.raises(httpx.ConnectError):
        httpx.get(stack["API_URL"])
    status = project.run("status")
    assert (status.returncode, "python -m devstack up" in status.stderr) == (1, True)
    assert project.run("stop").returncode == 0


def test_stop_can_delete_the_data(project: Project) -> None:
    project.migrate("10_gone.sql", "create table gone (n int);")
    project.up()
    assert project.run("stop", "--delete").returncode == 0
    (project.migrations / "10_gone.sql").unlink()
    stack = project.up()
    assert rows(stack["DB_URL"], "select to_regclass('public.gone')") == [(None,)]


def test_a_killed_stack_takes_its_database_along_and_does_not_stop_the_next(project: Project) -> None:
    stack = project.up()
    pid, postgres_pid = project.pids()
    os.kill(pid, signal.SIGKILL)
    if sys.platform == "linux":  # elsewhere the next start ends the database
        wait_until(lambda: not lives(postgres_pid))
    again = project.up(port_of(stack["API_URL"]), port_of(stack["DB_URL"]))
    assert again == stack
    assert not lives(postgres_pid)
    assert rows(stack["DB_URL"], "select 1") == [(1,)]


def test_the_state_of_a_dead_stack_is_ignored_even_if_its_number_lives_on(tmp_path: Path) -> None:
    write_state(tmp_path, StackState(os.getpid(), os.getpid(), 1, 2, 3, ""))
    (tmp_path / "devstack.lock").write_text(str(os.getpid()))
    assert (holder(tmp_path), read_state(tmp_path)) == (None, None)
    with hold(tmp_path):
        assert (holder(tmp_path), read_state(tmp_path)) == (os.getpid(), None)


def test_a_failing_migration_names_file_line_and_reason_and_leaves_the_stack_down(project: Project) -> None:
    project.migrate("20_good.sql", "create table good ();")
    bad = project.migrate("21_bad.sql", "create table bad ();\n\nalter table auth.users add column x int;\n")
    failed = project.run(*project.up_arguments(), "--detach")
    assert failed.returncode == 1
    assert "21_bad.sql, line 3: must be owner of table users" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert holder(project.data_dir) is None
    bad.write_text("create table bad ();")
    stack = project.up()
    assert rows(stack["DB_URL"], "select to_regclass('good') is not null, to_regclass('bad') is not null") == [
        (True, True)
    ]


@pytest.mark.parametrize("option", ["port", "db_port"])
async def test_a_taken_port_is_named_with_the_remedy(project: Project, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = replace(StackOptions(project.data_dir, 0, 0, 0, None), **{option: port})
        with pytest.raises(StackError, match=rf"port {port} .* --{option.replace('_', '-')}"):
            await Stack(options).start()
    assert holder(project.data_dir) is None


async def test_a_missing_migrations_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"no/such/folder.*--migrations"):
        await Stack(StackOptions(tmp_path, 0, 0, 0, Path("no/such/folder"))).start()


@pytest.mark.parametrize("command", ["up", "status"])
def test_a_data_folder_that_is_a_file_is_an_error_in_words(tmp_path: Path, command: str) -> None:
    project = Project(tmp_path)
    project.data_dir.touch()
    refused = project.run(command)
    assert (refused.returncode, "--data-dir" in refused.stderr, "Traceback" in refused.stderr) == (1, True, False)


def test_ctrl_c_ends_a_stack_in_the_foreground_orderly(project: Project) -> None:
    with subprocess.Popen(
        project.command(*project.up_arguments()),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: process.poll() is not None or (project.data_dir / "state.json").exists())
        pids = project.pids()
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (0, "")
    assert "API_URL" in said
    wait_until(lambda: not any(map(lives, pids)))


async def test_a_stack_whose_database_dies_says_so(project: Project) -> None:
    async with Stack(StackOptions(project.data_dir, 0, 0, 0, None)) as stack:
        os.kill(stack.state.postgres_pid, signal.SIGQUIT)
        with pytest.raises(StackError, match="PostgreSQL ended by itself"):
            await stack.until_broken()


def test_reset_makes_a_new_database_and_starts_again_what_ran(project: Project) -> None:
    project.migrate("30_notes.sql", "create table public.notes (n int);")
    stack = project.up()
    rows(stack["DB_URL"], "insert into notes values (1)")
    assert project.run("reset").returncode == 0
    assert project.variables() == stack
    assert rows(stack["DB_URL"], "select count(*) from notes") == [(0,)]


def test_reset_of_a_stopped_stack_tries_the_migrations_and_stays_down(project: Project) -> None:
    project.migrate("40_bad.sql", "select 1/0;")
    failed = project.run("reset", "--migrations", str(project.migrations))
    assert (failed.returncode, "40_bad.sql, line 1: division by zero" in failed.stderr) == (1, True)
    assert holder(project.data_dir) is None


async def test_a_program_has_a_stack_of_its_own(tmp_path: Path) -> None:
    migrations = REPOSITORY / "supabase" / "migrations"
    try:
        async with Stack(StackOptions(tmp_path, port=0, db_port=0, functions_port=0, migrations=migrations)) as stack:
            headers = {"apikey": stack.keys.secret_key}
            async with httpx.AsyncClient(base_url=stack.api_url, headers=headers) as client:
                assert (await client.get("/rest/v1/queues?select=name")).json()
    finally:
        remove_cluster(tmp_path)
