"""What a person does with single jobs on the command line, against a real project."""

from uuid import uuid4

import pytest

from tests.e2e.cli_project import CliProject, cli

__all__ = ["cli"]


def test_jobs_lists_the_newest_first_page_by_page(cli: CliProject) -> None:
    user = cli.project.sign_up()
    ids = [cli.enqueue(user_id=user.id, payload={"n": n}) for n in range(3)]
    first = cli.run("jobs", "--limit", "2", "--json", user=user).json
    second = cli.run("jobs", "--limit", "2", "--cursor", first["next_cursor"], "--json", user=user).json
    assert [job["id"] for job in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None
    answer = cli.run("jobs", "--limit", "2", user=user)
    assert f"--cursor {first['next_cursor']}" in answer.err
    assert answer.out.splitlines()[1].startswith(f"{ids[2]}  ○ pending")


def test_jobs_are_found_by_their_conditions(cli: CliProject) -> None:
    user = cli.project.sign_up()
    cli.enqueue(user_id=user.id)
    failed = cli.failed("other", user_id=user.id, group_key="chat-1")
    for conditions in (
        ["--status", "failed", "--status", "cancelled"],
        ["--kind", "other"],
        ["--group-key", "chat-1"],
        ["--kind", "other", "--queue", "work", "--user", user.id, "--after", "1h", "--before", "2100-01-01"],
    ):
        assert [job["id"] for job in cli.run("jobs", "--json", *conditions, user=user).json["items"]] == [failed]
    for nothing in (["--before", "1h"], ["--company", str(uuid4())], ["--queue", "nowhere"]):
        answer = cli.run("jobs", *nothing, user=user)
        assert (answer.code, answer.err) == (1, "No job matches.\n")


def test_a_user_sees_no_job_of_another(cli: CliProject) -> None:
    job, stranger = cli.enqueue(user_id=cli.project.sign_up().id), cli.project.sign_up()
    assert cli.run("jobs", user=stranger).code == 1
    answer = cli.run("jobs", job, "--json", user=stranger)
    assert answer.code == 1
    assert '"code": "unknown_job"' in answer.err


def test_a_job_is_shown_in_full_with_its_error(cli: CliProject) -> None:
    job = cli.failed(payload={"a": "ç"}, correlation_id="c-1")
    answer = cli.run("jobs", job)
    for part in ("✗ failed", "no_luck", "It had no_luck.", '{"a": "ç"}', "c-1", "1/3"):
        assert part in answer.out, part
    assert cli.run("jobs", job, "--json").json["items"][0]["error_code"] == "no_luck"


def test_the_words_of_a_job_cannot_steer_the_terminal(cli: CliProject) -> None:
    job = cli.enqueue(group_key="a\x1b[2J\x1b]0;title\x07b", payload={"[red]": "[/]"})
    shown = cli.run("jobs", job).out
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert '{"[red]": "[/]"}' in shown


def test_why_answers_in_the_readers_language(cli: CliProject) -> None:
    job = cli.enqueue(scheduled_at="2100-01-01T00:00:00Z")
    assert cli.run("why", job).out.startswith("Scheduled: waits for its time until 2100-01-01 00:00:00")
    for first, last in ((None, "pt_BR.UTF-8"), ("pt_PT", "en_US.UTF-8")):
        assert cli.run("why", job, changes={"LC_ALL": first, "LANG": last}).out.startswith(
            "Agendado: espera a sua hora até"
        )
    assert cli.run("why", job, "--lang", "pt-BR", "--json").json["text"].startswith("Agendado")
    assert cli.run("why", job, "--lang", "fi").out.startswith("Scheduled")


def test_why_says_of_a_failed_job_what_happened_and_what_to_do(cli: CliProject) -> None:
    job = cli.failed()
    answer = cli.run("why", job)
    assert answer.out == "Is over: failed.\nno_luck: It had no_luck.\n"
    assert f"filaviva retry {job}" in answer.err


def test_statuses_have_portuguese_words_for_people_and_one_word_for_machines(cli: CliProject) -> None:
    user = cli.project.sign_up()
    cli.failed(user_id=user.id)
    assert "✗ falhou" in cli.run("jobs", "--lang", "pt", user=user).out
    assert cli.run("jobs", "--lang", "pt", "--json", user=user).json["items"][0]["status"] == "failed"


def test_stats_name_every_status(cli: CliProject) -> None:
    user = cli.project.sign_up()
    cli.failed(user_id=user.id)
    cli.enqueue("other", user_id=user.id)
    assert cli.run("stats", "--json", user=user).json == {
        "pending": 1, "processing": 0, "retrying": 0, "completed": 0, "failed": 1, "cancelled": 0, "unconfirmed": 0,
        "total": 2,
    }  # fmt: skip
    assert cli.run("stats", "--kind", "other", "--after", "1h", "--json", user=user).json["total"] == 1
    shown = cli.run("stats", user=user).out.split()
    assert shown[shown.index("failed") + 1] == "1"
    assert shown[-2:] == ["total", "2"]


def test_cancel_changes_what_it_can_and_says_of_the_rest_why_not(cli: CliProject) -> None:
    first, unknown, second = cli.enqueue(), str(uuid4()), cli.enqueue()
    answer = cli.run("cancel", first, unknown, second)
    assert answer.code == 1
    assert unknown in answer.err
    assert "[unknown_job]" in answer.err
    assert [cli.status(first), cli.status(second)] == ["cancelled", "cancelled"]
    assert answer.out.count("cancelled") == 2


def test_retry_gives_a_failed_job_fresh_attempts_and_refuses_others(cli: CliProject) -> None:
    job = cli.failed()
    answer = cli.run("retry", job, "--json")
    assert (answer.code, answer.json["jobs"][0]["status"], answer.json["jobs"][0]["attempt"]) == (0, "pending", 0)
    again = cli.run("retry", job)
    assert (again.code, again.out) == (1, "")
    assert f"{job}: The job is pending and was not retried. [not_retried]" in again.err
    assert "Only a failed job" in again.err


def test_resolve_takes_a_persons_word(cli: CliProject) -> None:
    happened, did_not = cli.enqueue(), cli.enqueue()
    for job in (happened, did_not):
        cli.end(job, "unconfirmed", error={"code": "lost", "message": "The answer was lost."})
    assert "--happened (or --not-happened)" in cli.run("why", happened).err
    assert cli.run("retry", happened).code == 1
    answer = cli.run("resolve", happened, "--happened", "--result", '{"post": 7}', "--json").json["jobs"][0]
    assert (answer["status"], answer["result"]) == ("completed", {"post": 7})
    assert cli.run("resolve", did_not, "--not-happened").code == 0
    assert cli.status(did_not) == "pending"
    assert cli.run("resolve", did_not, "--happened").code == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "--happened or --not-happened"),
        (["--not-happened", "--result", "{}"], "--result is the result of what happened"),
        (["--happened", "--result", "[]"], "expected a JSON object, found an array"),
    ],
)
def test_resolve_without_a_clear_word_changes_nothing(cli: CliProject, more: list[str], said: str) -> None:
    job = cli.enqueue()
    cli.end(job, "unconfirmed")
    answer = cli.run("resolve", job, *more)
    assert (answer.code, cli.status(job)) == (2, "unconfirmed")
    assert said in answer.err


def test_replay_does_the_same_work_as_a_new_job_and_leaves_the_old_one(cli: CliProject) -> None:
    user = cli.project.sign_up()
    old = cli.failed(
        "other", user_id=user.id, payload={"a": 1}, metadata={"b": 2}, priority=3, group_key="g",
        idempotency_key="k", max_attempts=7,
    )  # fmt: skip
    [new] = cli.run("replay", old, "--yes", "--json").json["jobs"]
    assert (cli.status(old), new["status"]) == ("failed", "pending")
    assert new["id"] != old
    assert new["metadata"] == {"b": 2, "replay_of": old}
    kept = {name: new[name] for name in ("kind", "payload", "priority", "group_key", "user_id", "max_attempts")}
    assert kept == {
        "kind": "other", "payload": {"a": 1}, "priority": 3, "group_key": "g", "user_id": user.id, "max_attempts": 7,
    }  # fmt: skip
    assert new["idempotency_key"] is None
    assert len(cli.run("replay", old, "--yes", "--json", user=user).json["jobs"]) == 1


def test_replay_asks_first_and_where_nobody_answers_does_nothing(cli: CliProject) -> None:
    user = cli.project.sign_up()
    old = cli.failed(user_id=user.id)
    answer = cli.run("replay", old)
    assert answer.code == 2
    assert "Add --yes" in answer.err
    assert len(cli.run("jobs", "--json", user=user).json["items"]) == 1


@pytest.mark.parametrize("name", ["why", "cancel", "retry", "resolve", "replay", "watch", "jobs"])
def test_what_is_no_job_id_is_refused_before_anything_is_asked(cli: CliProject, name: str) -> None:
    answer = cli.run(name, "seven", changes={"SUPABASE_URL": "http://127.0.0.1:1"})
    assert answer.code == 2
    assert "UUID" in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["jobs", "--status", "asleep"], "asleep"),
        (["jobs", "--limit", "0"], "--limit"),
        (["jobs", "--cursor", "x"], "cursor: expected the next_cursor of a page"),
        (["jobs", "--before", "noon"], "--before: 'noon' is no time"),
        (["stats", "--user", "me"], "--user"),
        (["stats", "--after", "9999999d"], "--after"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_arguments_are_named(cli: CliProject, arguments: list[str], said: str) -> None:
    answer = cli.run(*arguments)
    assert answer.code == 2
    assert said in answer.err
