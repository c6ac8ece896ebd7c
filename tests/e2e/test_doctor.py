"""`filaviva doctor` on a whole running project: all well, and then one thing after the other is not."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from postgrest import APIError
from typer.testing import CliRunner

from devstack.faults import Faults
from devstack.stack import remove_data
from examples.local_project import LocalProject, free_port
from filaviva.cli.commands import application
from filaviva.cli.doctor.project import judge_clock
from filaviva.errors import from_postgrest
from filaviva.rpc import Rpc
from tests.e2e.cli_project import CLEARED, Answer
from tests.e2e.conftest import sign_up
from tests.e2e.stack_project import wait_until


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """devstack and the functions, with a tick behind them, as cron will run it every 10 seconds."""
    with LocalProject(tmp_path_factory.mktemp("project")) as running:
        with psycopg.connect(running.db_url, autocommit=True) as connection:
            connection.execute("select public.tick()")
        yield running
    remove_data(running.data_dir)


@pytest.fixture
def connection(project: LocalProject) -> Iterator[psycopg.Connection]:
    """Of role postgres."""
    with psycopg.connect(project.db_url, autocommit=True) as open_connection:
        yield open_connection


def run(project: LocalProject, *arguments: str, changes: Mapping[str, str | None] | None = None) -> Answer:
    """What the doctor says, with the service key."""
    environment: dict[str, str | None] = {
        **CLEARED,
        "SUPABASE_URL": project.api_url,
        "SUPABASE_ANON_KEY": project.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": project.service_role_key,
        "SUPABASE_DB_URL": None,
        **(changes or {}),
    }
    result = CliRunner().invoke(application, ["doctor", *arguments], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def findings(answer: Answer) -> dict[str, dict[str, Any]]:
    """What is not well, by its subject."""
    return {one["subject"]: one for one in answer.json["findings"] if one["level"] != "ok"}


@contextlib.contextmanager
def broken(connection: psycopg.Connection, statement: str, mend: str) -> Iterator[None]:
    """The project with something changed for as long as the context lasts."""
    connection.execute(statement.encode())
    try:
        yield
    finally:
        connection.execute(mend.encode())


def test_a_healthy_project_is_all_ok_and_its_canary_is_timed(project: LocalProject) -> None:
    answer = run(project, "--canary", "--json", changes={"SUPABASE_DB_URL": project.db_url})
    assert (findings(answer), answer.code) == ({}, 0), answer.out
    document = answer.json
    subjects = {one["subject"] for one in document["findings"]}
    assert {"project", "key", "drain", "realtime", "listen", "same project", "clock of the database"} <= subjects
    assert (document["problems"], document["warnings"], document["unknowns"]) == (0, 0, 0)
    assert document["canary"]["seen_ms"] > document["canary"]["run_ms"] > 0
    assert project.service_role_key not in answer.out
    assert project.cron_secret not in answer.out


def test_people_read_it_in_their_language(project: LocalProject) -> None:
    answer = run(project, "--lang", "pt")
    assert answer.code == 0
    assert "✓ drain: responde e aceita o token" in answer.out
    assert answer.out.endswith("0 problemas, 0 avisos, 1 não verificados.\n")
    assert "→ Set SUPABASE_DB_URL" in answer.out


def test_a_drain_that_refuses_the_token_is_told_from_one_that_is_gone(
    project: LocalProject, connection: psycopg.Connection
) -> None:
    drain = f"{project.functions_url}/api/queue/process"
    right = f"select configure_drain('{drain}', '{project.cron_secret}', 200)"
    with broken(connection, f"select configure_drain('{drain}', 'wrong')", right):
        answer = run(project, "--json")
        assert (answer.code, findings(answer)["drain"]["level"]) == (1, "problem")
        assert "refuses the token (401)" in findings(answer)["drain"]["text"]
        step = findings(answer)["drain"]["next_step"]
        assert step.endswith(";")
        connection.execute(
            step.replace("https://<functions>", project.functions_url).replace("<CRON_SECRET>", project.cron_secret)
        )
        assert "drain" not in findings(run(project, "--json"))
    nobody = f"http://127.0.0.1:{free_port()}/api/queue/process"
    with broken(connection, f"select configure_drain('{nobody}', 'x')", right):
        assert "cannot reach it" in findings(run(project, "--json"))["drain"]["text"]
    with broken(connection, f"select configure_drain('{project.functions_url}/api/health', 'x')", right):
        assert "something else" in findings(run(project, "--json"))["drain"]["text"]
    connection.execute("delete from net._http_response")


def test_killed_functions_and_their_return(project: LocalProject, connection: psycopg.Connection) -> None:
    project.kill_functions()
    try:
        answer = run(project, "--json", "--canary", "--wait", "1")
        assert (answer.code, set(findings(answer)) - {"pg_net"}) == (1, {"drain", "canary", "database"})
        assert "not through within 1 s" in findings(answer)["canary"]["text"]
        assert findings(answer)["canary"]["next_step"]
    finally:
        project.start_functions()
    connection.execute("delete from net._http_response")
    assert set(findings(run(project, "--json"))) == {"database"}


def test_a_table_out_of_the_publication_is_seen_by_a_real_subscription(
    project: LocalProject, connection: psycopg.Connection
) -> None:
    out = "alter publication supabase_realtime drop table public.jobs"
    with broken(connection, out, "select 1"):
        found = findings(run(project, "--json"))
        assert {"publication", "realtime"} <= set(found)
        connection.execute(found["publication"]["next_step"])
    wait_until(lambda: "realtime" not in findings(run(project, "--json")), 30)


def test_a_stepped_clock_of_the_engine_is_found_and_set_right(
    project: LocalProject, connection: psycopg.Connection
) -> None:
    connection.execute("insert into filaviva.clock_shift (shift) values (interval '15 seconds')")
    found = findings(run(project, "--json"))["clock of the engine"]
    assert "shifted by 15 s" in found["text"]
    connection.execute(found["next_step"])
    assert "clock of the engine" not in findings(run(project, "--json"))


def test_without_the_service_key_it_says_what_it_leaves_out(project: LocalProject) -> None:
    answer = run(project, "--json", changes={"SUPABASE_SERVICE_ROLE_KEY": None})
    found = findings(answer)
    assert (answer.code, found["key"]["level"]) == (4, "unknown")
    assert "role anon" in found["key"]["text"]
    assert "publication" in found["engine"]["text"]
    assert (found["realtime"]["level"], found["realtime"]["next_step"][:3]) == ("unknown", "Set")
    both: dict[str, str | None] = {"SUPABASE_SERVICE_ROLE_KEY": None, "SUPABASE_DB_URL": project.db_url}
    told = run(project, "--json", changes=both)
    assert (told.code, "engine" in findings(told), "drain" in told.out) == (0, False, True), told.out


def test_a_user_is_told_that_the_service_key_is_needed(project: LocalProject) -> None:
    answer = run(project, "--json", changes={"FILAVIVA_ACCESS_TOKEN": sign_up(project).token})
    assert (answer.code, "a signed-in user" in findings(answer)["key"]["text"]) == (4, True)
    assert "realtime" not in findings(answer)


def test_without_psycopg_it_says_what_it_leaves_out(project: LocalProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    answer = run(project, "--json", changes={"SUPABASE_DB_URL": project.db_url})
    assert (answer.code, findings(answer)["database"]["level"]) == (0, "unknown"), answer.out
    assert findings(answer)["database"]["next_step"] == "pip install 'filaviva[worker]'"


def test_a_wrong_key_is_a_problem(project: LocalProject) -> None:
    answer = run(project, "--json", changes={"SUPABASE_SERVICE_ROLE_KEY": "sb_secret_wrong"})
    assert (answer.code, findings(answer)["key"]["level"]) == (4, "problem")
    assert "sb_secret_wrong" not in answer.out


def test_a_project_that_does_not_answer_is_code_3(project: LocalProject) -> None:
    answer = run(project, "--json", changes={"SUPABASE_URL": f"http://127.0.0.1:{free_port()}"})
    assert (answer.code, list(findings(answer))) == (3, ["project"])


def test_where_the_api_is_silent_the_database_is_asked(project: LocalProject) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    answer = run(project, "--json", changes={"SUPABASE_URL": away, "SUPABASE_DB_URL": project.db_url})
    assert (answer.code, set(findings(answer))) == (3, {"project", "drain"})
    assert findings(answer)["drain"]["level"] == "unknown"
    assert '"tick"' in answer.out


def test_a_project_without_the_newest_migration_is_told_to_push(
    project: LocalProject, connection: psycopg.Connection
) -> None:
    show = "alter function public.not_diagnose(jsonb) rename to diagnose"
    with broken(connection, "alter function public.diagnose(jsonb) rename to not_diagnose", show):
        wait_until(lambda: "migrations" in findings(run(project, "--json")))
        found = findings(run(project, "--json", changes={"SUPABASE_DB_URL": project.db_url}))
        assert (set(found), found["migrations"]["next_step"]) == ({"migrations"}, "supabase db push")
    wait_until(lambda: "migrations" not in findings(run(project, "--json")))


def test_an_api_that_does_not_know_of_the_engine_yet_is_told_to_look_again(
    project: LocalProject, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: Any) -> Any:
        raise from_postgrest(APIError({"code": "PGRST202", "message": "Could not find the function public.diagnose"}))

    monkeypatch.setattr(Rpc, "diagnose", unknown)
    answer = run(project, "--json", changes={"SUPABASE_DB_URL": project.db_url})
    assert (answer.code, set(findings(answer))) == (1, {"api"}), answer.out
    connection.execute(findings(answer)["api"]["next_step"])


def test_the_database_of_another_project_and_one_that_is_not_there_are_found(project: LocalProject) -> None:
    wrong = project.db_url.rpartition("/")[0] + "/template1"
    other = findings(run(project, "--json", changes={"SUPABASE_DB_URL": wrong}))
    assert "not the database behind" in other["same project"]["text"]
    nobody = f"postgresql://postgres:hidden-password@127.0.0.1:{free_port()}/postgres"
    answer = run(project, "--json", changes={"SUPABASE_DB_URL": nobody})
    assert (answer.code, findings(answer)["database"]["level"]) == (1, "problem")
    assert "hidden-password" not in answer.out + answer.err


def test_a_dead_cron_is_found(project: LocalProject, connection: psycopg.Connection) -> None:
    with Faults(project.db_url) as faults:
        faults.cron.kill_launcher()
        try:
            connection.execute("update filaviva.heartbeats set at = at - interval '5 minutes' where name = 'tick'")
            answer = run(project, "--json")
            assert (answer.code, findings(answer)["tick"]["next_step"]) == (1, "select filaviva.schedule_all();")
        finally:
            faults.cron.revive_launcher()
            connection.execute("select public.tick()")
            connection.execute("delete from cron.job_run_details where status <> 'succeeded'")  # what was cut short


@pytest.mark.parametrize(("ahead", "level"), [(0.4, "ok"), (-1.9, "ok"), (7, "warning"), (-75, "problem")])
def test_clocks_that_disagree_are_judged_by_how_much(ahead: float, level: str) -> None:
    finding = judge_clock("API", ahead)
    assert (finding.level, bool(finding.step)) == (level, level != "ok")
    assert json.dumps(finding.english)
