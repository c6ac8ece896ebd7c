"""What operators do on the command line: look at queues, limits and alerts, and change many jobs at a time."""

import json
from uuid import uuid4

import psycopg
import pytest

from tests.e2e.cli_project import CliProject, cli, new_queue

__all__ = ["cli"]


@pytest.fixture
def queue(cli: CliProject) -> str:
    """A queue of the test's own, with a kind of the same name."""
    return new_queue(cli)


def test_queues_shows_length_settings_and_pause(cli: CliProject, queue: str) -> None:
    cli.enqueue(queue)
    [shown] = cli.run("queues", queue, "--json").json["queues"]
    assert (shown["name"], shown["max_attempts"], shown["metrics"]["size"]) == (queue, 3, 1)
    assert cli.run("pause", queue).out.splitlines()[1].split()[:2] == [queue, "1"]
    assert "paused for" in cli.run("queues", queue).out
    assert cli.run("resume", queue, "--json").json["queues"][0]["paused_at"] is None
    assert queue in cli.run("queues").out


def test_a_paused_queue_gives_nothing_out(cli: CliProject, queue: str) -> None:
    job = cli.enqueue(queue)
    cli.run("pause", queue)
    assert cli.run("why", job).out == f"The queue {queue} is paused.\n"
    with pytest.raises(psycopg.Error, match="paused"):
        cli.end(job, "done")
    cli.run("resume", queue)
    cli.end(job, "done", result={})
    assert cli.status(job) == "completed"


@pytest.mark.parametrize("name", ["pause", "resume", "purge"])
def test_an_unknown_queue_is_named(cli: CliProject, name: str) -> None:
    answer = cli.run(name, "nowhere", *(["--yes"] if name == "purge" else []))
    assert (answer.code, "[unknown_queue]" in answer.err) == (1, True)


def test_an_unknown_queue_among_others_is_said(cli: CliProject) -> None:
    answer = cli.run("queues", "work", "nowhere")
    assert (answer.code, answer.err) == (1, "There is no queue nowhere.\n")
    assert answer.out.splitlines()[1].startswith("work")


@pytest.mark.parametrize(
    "arguments",
    [["queues"], ["pause", "work"], ["resume", "work"], ["purge", "work", "--yes"], ["limits", "whatsapp", "not-mine"]],
)
def test_who_is_no_operator_is_told_so(cli: CliProject, arguments: list[str]) -> None:
    answer = cli.run(*arguments, user=cli.project.sign_up())
    assert answer.code == 4
    assert "[operator_only]" in answer.err or "[not_your_key]" in answer.err


def test_limits_are_listed_with_their_queues_and_asked_for_a_key(cli: CliProject) -> None:
    listed = {one["name"]: one for one in cli.run("limits", "--json").json["limits"]}
    assert (listed["whatsapp"]["max_hits"], listed["whatsapp"]["window_seconds"]) == (20, 60)
    assert {"queue": "messages", "key": "instance_id"} in listed["whatsapp"]["queues"]
    assert "messages by instance_id" in cli.run("limits").out
    assert cli.run("limits", "whatsapp", "i-1").out == "20 of 20 in 60 s are left.\n"
    user = cli.project.sign_up()
    assert cli.run("limits", "campaign", user.id, "--json", user=user).json["remaining"] == 100
    assert (cli.run("limits", "nope", "i").code, cli.run("limits", "whatsapp").code) == (1, 2)


def test_alerts_are_shown_while_they_are_open(cli: CliProject, queue: str) -> None:
    with cli.project.connect() as connection:
        connection.execute("delete from public.alert_rules")  # only what this test does is to fire
    quiet = cli.run("alerts")
    assert (quiet.code, quiet.out) == (0, "No open alert.\n")
    rule = {"kind": "failed_jobs", "queue": queue, "max_count": 0, "window_minutes": 5}
    cli.call("set_alert_rule", "any_failure", json.dumps(rule))
    cli.failed(queue)
    cli.call("check_alerts")
    shown = cli.run("alerts")
    assert (shown.code, cli.run("alerts", "--json").json["alerts"][0]["queue"]) == (1, queue)
    assert shown.out.splitlines()[1].split()[:2] == ["any_failure", queue]
    cli.call("set_alert_rule", "any_failure", json.dumps({**rule, "max_count": 9}))
    cli.call("check_alerts")
    assert cli.run("alerts").code == 0
    over = cli.run("alerts", "--all")
    assert (over.code, "(over after" in over.out) == (0, True)


def test_redrive_counts_asks_and_takes_what_matches(cli: CliProject, queue: str) -> None:
    wanted = [cli.failed(queue, code="timeout") for _ in range(3)]
    other = cli.failed(queue, code="no_luck")
    conditions = ["--queue", queue, "--error-code", "timeout"]
    counted = cli.run("redrive", *conditions, "--dry-run")
    assert (counted.code, counted.out) == (0, "3 jobs would be redriven.\n")
    unasked = cli.run("redrive", *conditions)
    assert unasked.code == 2
    assert "Redrive 3 jobs? Nobody is there to answer, and nothing was changed." in unasked.err
    assert {cli.status(job) for job in wanted} == {"failed"}
    done = cli.run("redrive", *conditions, "--limit", "2", "--yes", "--json").json
    assert (done["changed"], done["job_ids"]) == (2, wanted[:2])
    assert cli.run("redrive", "--queue", queue, "--error-text", "had timeout", "--yes").out == "Redriven: 1 job.\n"
    assert [cli.status(job) for job in [*wanted, other]] == ["pending"] * 3 + ["failed"]
    nothing = cli.run("redrive", *conditions, "--yes")
    assert (nothing.code, nothing.out) == (1, "No job matches.\n")


def test_a_user_redrives_ones_own_jobs_alone(cli: CliProject, queue: str) -> None:
    user, other = cli.project.sign_up(), cli.project.sign_up()
    mine, theirs = cli.failed(queue, user_id=user.id), cli.failed(queue, user_id=other.id)
    assert cli.run("redrive", "--queue", queue, "--yes", user=user).out == "Redriven: 1 job.\n"
    assert (cli.status(mine), cli.status(theirs)) == ("pending", "failed")


def test_prune_deletes_finished_jobs_that_match_and_no_others(cli: CliProject, queue: str) -> None:
    failed, waiting = cli.failed(queue), cli.enqueue(queue)
    done = cli.enqueue(queue)
    cli.end(done, "done", result={})
    assert cli.run("prune", "--queue", queue, "--dry-run").out == "2 jobs would be deleted.\n"
    assert cli.run("prune", "--queue", queue).code == 2
    assert cli.run("prune", "--queue", queue, "--error-text", "no_luck", "--dry-run").out.startswith("1 job ")
    assert cli.run("prune", "--queue", queue, "--status", "failed", "--yes").out == "Deleted: 1 job.\n"
    assert cli.run("prune", "--queue", queue, "--status", "pending", "--yes").code == 1
    assert cli.run("prune", "--queue", queue, "--after", "1h", "--yes", "--json").json["job_ids"] == [done]
    assert cli.run("jobs", failed).code == 1
    assert cli.status(waiting) == "pending"


@pytest.mark.parametrize("name", ["redrive", "prune"])
def test_without_a_condition_nothing_is_done(cli: CliProject, name: str) -> None:
    job = cli.failed()
    answer = cli.run(name, "--yes")
    assert (answer.code, cli.status(job)) == (2, "failed")
    assert "Add one such as --queue" in answer.err


def test_more_jobs_than_one_call_takes_are_changed_and_each_once(cli: CliProject, queue: str) -> None:
    with cli.project.connect() as connection:
        connection.execute(
            "select public.enqueue_jobs((select jsonb_agg(jsonb_build_object('kind', %s::text))"
            " from generate_series(1, 1500)))",
            (queue,),
        )
    assert cli.run("purge", queue, "--dry-run", "--json").json["matched"] == 1500
    assert cli.run("purge", queue, "--yes").out == "Cancelled: 1,500 jobs.\n"
    pruned = cli.run("prune", "--queue", queue, "--limit", "1200", "--yes", "--json").json
    assert (pruned["changed"], len(set(pruned["job_ids"]))) == (1200, 1200)
    assert cli.run("stats", "--queue", queue, "--json").json["total"] == 300


def test_purge_cancels_what_waits_and_leaves_what_runs(cli: CliProject, queue: str) -> None:
    running, waiting = cli.enqueue(queue), cli.enqueue(queue)
    cli.call("claim_job", running, "w", str(uuid4()))
    assert cli.run("purge", queue).code == 2
    assert cli.run("purge", queue, "--yes").out == "Cancelled: 1 job.\n"
    assert (cli.status(running), cli.status(waiting)) == ("processing", "cancelled")
    assert cli.run("purge", queue, "--yes").code == 1
