"""The commands that look into a stack or trouble it: logs, doctor, fault."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from devstack.logs import SERVICES
from tests.e2e.stack_project import Project, make_project, wait_until

CRON = """
create extension pg_cron;
create extension pg_net with schema extensions;
select cron.schedule('beat', '1 second', 'select 1');
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    for project in make_project(tmp_path_factory.mktemp("commands")):
        project.migrate("1_cron.sql", CRON)
        project.up()
        yield project


def test_every_service_has_a_log_and_keys_stand_in_none(stack: Project) -> None:
    values = stack.variables()
    key = values["SECRET_KEY"]
    answer = httpx.get(f"{values['API_URL']}/rest/v1/nowhere?select=a&apikey={key}")
    assert answer.status_code == 404
    httpx.get(f"{values['API_URL']}/auth/v1/settings", headers={"apikey": key})
    wait_until(lambda: "beat" in stack.run("logs", "cron").stdout)
    assert "GET /rest/v1/nowhere 404 " in stack.run("logs", "rest").stdout
    assert "GET /auth/v1/settings 200 " in stack.run("logs", "auth").stdout
    everything = stack.run("logs", "-n", "100000").stdout
    assert key not in everything
    times = [line[10:33] for line in everything.splitlines() if line[10:14] == "2026" or line[10:12] == "20"]
    assert times == sorted(times)
    assert {line.split()[0] for line in everything.splitlines()} <= set(SERVICES)


def test_a_service_that_does_not_exist_is_refused_with_those_that_do(stack: Project) -> None:
    refused = stack.run("logs", "kong")
    assert (refused.returncode, "the services are rest, auth," in refused.stderr) == (1, True)


def test_the_doctor_finds_all_well_beside_a_running_stack(stack: Project) -> None:
    port = str(httpx.URL(stack.variables()["API_URL"]).port)
    healthy = stack.run("doctor", "--port", port, "--db-port", "0")
    assert healthy.returncode == 0, healthy.stdout
    assert f"ok   Stack: runs at http://127.0.0.1:{port}" in healthy.stdout
    assert f"ok   API port: {port} is this stack's" in healthy.stdout


def test_the_doctor_names_who_holds_a_port_and_the_next_step(stack: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sick = stack.run("doctor", "--port", "0", "--db-port", str(port), "--json")
    assert sick.returncode == 1
    problems = [finding for finding in json.loads(sick.stdout) if finding["level"] == "problem"]
    assert [problem["subject"] for problem in problems] == ["Database port"]
    assert str(os.getpid()) in problems[0]["text"] or not Path("/proc/net/tcp").exists()
    assert "--db-port" in problems[0]["next_step"]


def test_the_doctor_names_a_postgres_that_is_none(stack: Project) -> None:
    sick = stack.run("doctor", "--port", "0", "--db-port", "0", "--postgres-bin", str(stack.folder))
    assert (sick.returncode, "FAIL PostgreSQL: " in sick.stdout, "Next: " in sick.stdout) == (1, True, True)


def test_faults_are_thrown_shown_and_taken_back(stack: Project) -> None:
    assert stack.run("fault", "net", "--drop", "3", "--resend", "2", "--arrivals", "6").returncode == 0
    stack.run("fault", "cron", "--step-clock", "-60")
    with psycopg.connect(stack.variables()["DB_URL"], autocommit=True) as connection:
        rows = connection.execute(
            "select service, fault, remaining, amount from devstack.faults order by 1, 2"
        ).fetchall()
        connection.execute("select net.http_get('http://127.0.0.1:9/')")
        wait_until(
            lambda: connection.execute("select remaining from devstack.faults where fault = 'drop'").fetchone() == (2,)
        )
    assert rows == [("cron", "clock", None, -60), ("net", "drop", 3, None), ("net", "resend", 2, 6)]
    assert stack.run("fault", "list").stdout.split()[5:8] == ["cron", "clock", "until"]
    assert stack.run("fault", "clear").stdout == "No fault is to happen.\n"
    assert stack.run("fault", "net", "--arrivals", "7").returncode == 2


def test_commands_without_a_stack_say_what_to_do(stack: Project) -> None:
    other = Project(stack.folder / "nothing here")
    for arguments in (("fault", "list"), ("logs",), ("status",)):
        refused = other.run(*arguments)
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
        assert "python -m devstack up" in refused.stderr or "--data-dir" in refused.stderr
