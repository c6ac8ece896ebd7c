"""`filaviva enqueue`: one job or a file of them, and what is said of a file that is not right."""

import json
import uuid
from pathlib import Path

import pytest

from tests.e2e.cli_project import Answer, CliProject, cli, write

__all__ = ["cli"]


def jobs_of(cli: CliProject, correlation_id: str) -> list[dict[str, object]]:
    """The payloads that were enqueued under this id, in order."""
    with cli.project.connect() as connection:
        rows = connection.execute(
            "select payload from public.jobs where correlation_id = %s order by seq", (correlation_id,)
        ).fetchall()
    return [row[0] for row in rows]


def test_one_job_is_enqueued_with_everything_that_was_said(cli: CliProject) -> None:
    user = cli.project.sign_up()
    answer = cli.run(
        "enqueue", "noop", "--payload", '{"a": "ç"}', "--metadata", '{"b": 1}', "--priority", "3", "--group-key", "g",
        "--idempotency-key", "k", "--correlation-id", "c", "--at", "2h", "--expires", "2100-01-01T00:00:00Z",
        "--max-attempts", "7", "--queue", "work", "--instance", "i-1", "--user", user.id, "--json",
    )  # fmt: skip
    assert answer.code == 0
    [job] = cli.run("jobs", answer.json["id"], "--json").json["items"]
    expected = {
        "payload": {"a": "ç"}, "metadata": {"b": 1}, "priority": 3, "group_key": "g", "idempotency_key": "k",
        "correlation_id": "c", "expires_at": "2100-01-01T00:00:00Z", "max_attempts": 7, "queue": "work",
        "instance_id": "i-1", "user_id": user.id, "status": "pending",
    }  # fmt: skip
    assert {name: job[name] for name in expected} == expected
    assert job["scheduled_at"] > job["created_at"]


def test_a_user_enqueues_for_oneself_alone(cli: CliProject) -> None:
    user = cli.project.sign_up()
    job = cli.run("enqueue", "noop", "--json", user=user).json["id"]
    assert cli.run("jobs", job, "--json").json["items"][0]["user_id"] == user.id
    refused = cli.run("enqueue", "noop", "--user", str(uuid.uuid4()), user=user)
    assert (refused.code, "[foreign_user]" in refused.err) == (4, True)


def test_the_same_key_is_the_same_job(cli: CliProject) -> None:
    first, again = (cli.run("enqueue", "noop", "--idempotency-key", "once") for _ in range(2))
    assert "known" not in first.out
    assert again.out.split()[2] == first.out.split()[2]
    assert "its key was used before" in again.out
    other = cli.run("enqueue", "noop", "--idempotency-key", "once", "--payload", '{"a": 1}')
    assert (other.code, "[idempotency_conflict]" in other.err) == (1, True)


@pytest.mark.parametrize("way", ["option", "file", "stdin"])
def test_a_payload_comes_from_an_option_a_file_or_stdin(cli: CliProject, tmp_path: Path, way: str) -> None:
    text = '{"way": "%s"}' % way  # noqa: UP031 - braces
    file = write(tmp_path, "payload.json", text)
    given = {"option": text, "file": f"@{file}", "stdin": "-"}[way]
    name = str(uuid.uuid4())
    answer = cli.run("enqueue", "noop", "--payload", given, "--correlation-id", name, stdin=text)
    assert (answer.code, jobs_of(cli, name)) == (0, [{"way": way}])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "KIND is missing"),
        (["noop", "--payload", "{'a': 1}"], "--payload: no JSON at column 2"),
        (["noop", "--payload", "[1]"], "--payload: expected a JSON object, found an array"),
        (["noop", "--payload", '{"a": NaN}'], "--payload: no JSON: NaN is not a JSON number"),
        (["noop", "--payload", "[" * 100_000], "--payload: no JSON"),
        (["noop", "--payload", '{"a": "\\ud800"}'], "[not_json]"),
        (["noop", "--payload", '{"a": "\\u0000"}'], "NUL"),
        (["noop", "--payload", "@/no/such/file"], "--payload: /no/such/file cannot be read: No such file"),
        (["noop", "--metadata", "1"], "--metadata: expected a JSON object, found a number"),
        (["noop", "--at", "tomorrow"], "--at: 'tomorrow' is no time"),
        (["noop", "--priority", "11"], "--priority"),
        (["noop", "--company", "acme"], "--company"),
        (["nonsense"], "unknown kind 'nonsense'"),
        (["noop", "--many", "/no/such/file"], "--many: /no/such/file cannot be read"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_enqueued(cli: CliProject, arguments: list[str], said: str) -> None:
    before = cli.run("stats", "--json").json["total"]
    answer = cli.run("enqueue", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert cli.run("stats", "--json").json["total"] == before


def test_a_payload_above_the_limit_is_refused(cli: CliProject, tmp_path: Path) -> None:
    file = write(tmp_path, "large.json", {"a": "x" * 300_000})
    answer = cli.run("enqueue", "noop", "--payload", f"@{file}")
    assert (answer.code, "[payload_too_large]" in answer.err) == (2, True)


def many(cli: CliProject, file: str, *arguments: str) -> tuple[Answer, list[dict[str, object]]]:
    name = str(uuid.uuid4())
    answer = cli.run("enqueue", "--many", file, "--correlation-id", name, *arguments)
    return answer, jobs_of(cli, name)


def test_a_file_is_enqueued_line_by_line_in_order(cli: CliProject, tmp_path: Path) -> None:
    file = write(
        tmp_path, "jobs.jsonl", {"kind": "noop", "payload": {"n": 0}}, "", {"payload": {"n": 1}, "priority": 2}
    )
    answer, jobs = many(cli, file, "--json", "other")
    assert [job["status"] for job in answer.json["jobs"]] == ["pending", "pending"]
    assert jobs == [{"n": 0}, {"n": 1}]
    listed = cli.run("jobs", *(job["id"] for job in answer.json["jobs"]), "--json").json["items"]
    assert [(job["kind"], job["priority"]) for job in listed] == [("noop", 0), ("other", 2)]


def test_a_large_file_goes_in_portions_and_may_be_sent_again_with_its_key(cli: CliProject, tmp_path: Path) -> None:
    file = write(tmp_path, "jobs.jsonl", *({"kind": "noop", "payload": {"n": n}} for n in range(1200)))
    key = str(uuid.uuid4())
    first = cli.run("enqueue", "--many", file, "--idempotency-key", key)
    assert (first.code, first.out) == (0, "Enqueued: 1,200 jobs.\n")
    again = cli.run("enqueue", "--many", file, "--idempotency-key", key)
    assert (again.code, again.out) == (0, "Enqueued: 0 jobs. 1,200 were known by their keys.\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"kind": "noop", "payload": {}', "line 3: no JSON at column"),
        ('["noop"]', "line 3: expected a JSON object, found an array"),
        ({"kind": "noop", "prority": 1}, "line 3.prority: There is no such field"),
        ({"kind": "noop", "priority": "high"}, "line 3.priority"),
        ({"payload": {}}, "line 3.kind: Field required"),
        ({"kind": "noop", "payload": {"a": "x" * 260_000}}, "line 3: the payload has"),
        ('{"kind": "noop", "payload": {"a": "\\ud800"}}', "line 3: a text holds half of a surrogate pair"),
        ({"kind": "nonsense"}, "line 3: The job has the unknown kind 'nonsense'. Nothing was enqueued."),
        (
            {"kind": "noop", "priority": 99},
            "line 3: priority must be a whole number from 0 to 10. Nothing was enqueued.",
        ),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_enqueued(
    cli: CliProject, tmp_path: Path, line: object, said: str
) -> None:
    answer, jobs = many(cli, write(tmp_path, "jobs.jsonl", {"kind": "noop"}, "", line))
    assert (answer.code, jobs) == (2, [])
    assert f"jobs.jsonl, {said}" in answer.err


def test_a_line_that_the_project_refuses_late_leaves_the_portions_before_it(cli: CliProject, tmp_path: Path) -> None:
    lines = [{"kind": "noop"}] * 1100
    answer, jobs = many(cli, write(tmp_path, "jobs.jsonl", *lines, {"kind": "nonsense"}))
    assert (answer.code, len(jobs)) == (2, 1000)
    assert "line 1101: The job has the unknown kind" in answer.err
    assert "1,000 jobs of the file are enqueued, and nothing from there on." in answer.err


def test_a_file_without_jobs_is_said_to_have_none(cli: CliProject, tmp_path: Path) -> None:
    answer = cli.run("enqueue", "--many", write(tmp_path, "empty.jsonl", "", " "))
    assert (answer.code, answer.err) == (1, "The file has no jobs.\n")
    (tmp_path / "latin.jsonl").write_bytes(b'{"kind": "\xe7"}')
    assert "is not UTF-8 at byte 10" in cli.run("enqueue", "--many", str(tmp_path / "latin.jsonl")).err


def test_a_file_waits_for_the_rate_limit_and_then_goes_on(cli: CliProject) -> None:
    user = cli.project.sign_up()
    lines = "\n".join(json.dumps({"kind": "noop"}) for _ in range(2001))
    cli.call("set_rate_limiter", "api", 2, 1)
    try:
        answer = cli.run("enqueue", "--many", "-", user=user, stdin=lines)
    finally:
        cli.call("set_rate_limiter", "api", 1000, 60)
    assert (answer.code, answer.out) == (0, "Enqueued: 2,001 jobs.\n")
    assert "Too many calls; going on in" in answer.err


def test_a_file_that_cannot_be_read_is_named(cli: CliProject, tmp_path: Path) -> None:
    answer = cli.run("enqueue", "--many", str(tmp_path))
    assert (answer.code, "Is a directory" in answer.err) == (2, True)
