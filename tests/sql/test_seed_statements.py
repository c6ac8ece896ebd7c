"""Every statement that the design documents print runs as printed, or in the form that mends it."""

import re
import uuid
from typing import Any

import psycopg
import pytest

from tests.conftest import REPOSITORY
from tests.sql.conftest import Engine
from tests.sql.seed_jobs import MESSAGE, POST, job_in
from tests.sql.seed_statements import LIMITED, LIMITERS, MENDED, MET, QUEUES, RUNS, TABLES, Mended, Met, Printed


def source(printed: Printed) -> str:
    return printed.source


def reading(printed: Printed) -> str:
    return printed.ours if isinstance(printed, Mended) else printed.sql


DOCUMENT = (REPOSITORY / "docs" / "compatibility.md").read_text()
READS = [printed for printed in [*RUNS, *MENDED] if any(f"FROM {view} " in reading(printed) for view in TABLES)]


@pytest.mark.parametrize("printed", RUNS, ids=source)
def test_it_runs_as_printed(engine: Engine, printed: Printed) -> None:
    job_in(engine, "pending", POST)
    engine.connection.execute(printed.sql)


@pytest.mark.parametrize("mended", MENDED, ids=source)
def test_it_is_refused_as_printed_and_runs_as_mended(engine: Engine, mended: Mended) -> None:
    with pytest.raises(psycopg.Error) as caught:
        engine.connection.execute(mended.sql)
    assert caught.value.sqlstate == mended.sqlstate
    engine.connection.execute(mended.ours)


@pytest.mark.parametrize("met", MET, ids=source)
def test_a_printed_definition_is_there_already_and_stays_as_it_is(engine: Engine, met: Met) -> None:
    with pytest.raises(psycopg.Error) as caught:
        engine.connection.execute(met.sql)
    assert caught.value.sqlstate == met.sqlstate
    job_in(engine, "pending", POST)
    assert engine.value("select count(*) from publication_jobs") == 1


@pytest.mark.parametrize("role", ["authenticated", "service_role"])
def test_api_roles_may_run_what_reads(engine: Engine, alice: uuid.UUID, role: str) -> None:
    assert len(READS) == 11
    with engine.as_role(role, {"role": role, "sub": str(alice)}):
        for printed in READS:
            engine.connection.execute(reading(printed))


@pytest.mark.parametrize("view", list(TABLES))
def test_a_printed_table_has_its_columns(engine: Engine, view: str) -> None:
    rows = engine.connection.execute(
        "select c.column_name, c.udt_name from information_schema.columns c"
        " where c.table_schema = 'public' and c.table_name = %s",
        (view,),
    )
    types: dict[str, str] = dict(rows)
    printed = TABLES[view]
    assert {column: types.get(column) for column in printed} == printed


def test_the_printed_queues_have_the_printed_numbers(engine: Engine) -> None:
    rows = engine.connection.execute(
        "select name, concurrency, max_attempts from public.queues where name = any (%s)", (list(QUEUES),)
    )
    assert {name: (concurrency, attempts) for name, concurrency, attempts in rows} == QUEUES


def test_the_printed_limits_are_there_and_hold_the_printed_queues(engine: Engine) -> None:
    printed = "select name, max_hits, window_seconds from public.rate_limiters where name = any (%s)"
    limiters = engine.connection.execute(printed, (list(LIMITERS),))
    assert {name: (hits, seconds) for name, hits, seconds in limiters} == LIMITERS
    others = "select queue, limiter, key from public.queue_limits where queue <> 'publication_queue'"  # 001 prints none
    assert set(engine.connection.execute(others).fetchall()) == LIMITED


def test_a_limit_is_checked_as_003_checks_it(engine: Engine) -> None:
    engine.enqueue(*[MESSAGE | {"group_key": None}] * 21)
    assert len(engine.claim("messages", 30)["jobs"]) == 20
    answer = engine.call("rate_limit_status", "whatsapp", "loja-1")
    assert (answer["allowed"], answer["remaining"], answer["retry_after"] > 0) == (False, 0, True)
    assert engine.call("rate_limit_status", "campaign", "nobody")["allowed"] is True


def test_the_printed_backoff_is_the_queues(engine: Engine) -> None:
    rows = engine.connection.execute(
        "select distinct backoff_base_seconds, backoff_factor from public.queues"
        " where name in ('campaign_messages', 'message_retry')"
    ).fetchall()
    assert rows == [(2, 2)], "exponential from 2,000 ms"


def test_the_message_queues_pauses_and_bounds_are_the_printed_ones(engine: Engine) -> None:
    row = engine.connection.execute(
        "select gap_min_ms, gap_max_ms, max_attempts, stall_seconds, on_stall"
        " from public.queues where name = 'messages'"
    ).fetchone()
    assert row == (500, 2000, 3, 3600, "retry")


def test_a_job_of_a_kind_without_a_handler_waits(engine: Engine) -> None:
    paused = {"message_retry", "campaign_scheduler", "campaign_messages", "campaign_notifications"}
    rows = engine.connection.execute("select name from public.queues where paused_at is not null")
    assert {row[0] for row in rows} == paused
    engine.enqueue({"kind": "schedule-campaign"})
    assert engine.claim("campaign_scheduler")["state"] == "paused"


# What they answer -------------------------------------------------------------------------------


def rows_of(engine: Engine, printed: str) -> list[tuple[Any, ...]]:
    [statement] = [reading(entry) for entry in READS if entry.source == printed]
    return engine.connection.execute(statement).fetchall()


def test_the_statistics_of_000_count_jobs_and_average_attempts(engine: Engine) -> None:
    for status in ("pending", "retrying", "retrying", "failed", "cancelled"):
        job_in(engine, status, POST)
    counts = {status: (total, float(average)) for status, total, average in rows_of(engine, "000:83")}
    assert counts == {"pendente": (3, pytest.approx(2 / 3)), "falha": (1, 1), "cancelado": (1, 0)}


def test_the_lists_of_000_are_in_order(engine: Engine) -> None:
    pending = [job_in(engine, "pending", POST) for _ in range(3)]
    failed = [job_in(engine, "failed", POST) for _ in range(3)]
    assert [str(row[0]) for row in rows_of(engine, "000:73")] == pending
    assert [str(row[0]) for row in rows_of(engine, "000:78")] == failed[::-1]


def test_the_monitoring_of_001_finds_what_it_looks_for(engine: Engine) -> None:
    job_in(engine, "completed", POST)
    long = job_in(engine, "processing", POST)
    assert dict(rows_of(engine, "001:238")) == {"completed": 1, "processing": 1}
    assert rows_of(engine, "001:244") == []
    engine.connection.execute(
        "update public.jobs set started_at = now() - interval '31 minutes' where id = %s", (long,)
    )
    [(job_id, platform, _, duration)] = rows_of(engine, "001:244")
    assert (str(job_id), platform, duration.total_seconds() > 1800) == (long, "tiktok", True)


def test_the_metrics_of_001_count_the_posts_on_their_way_which_is_what_pgmq_holds_under_limits(engine: Engine) -> None:
    job_in(engine, "pending", POST)
    job_in(engine, "processing", POST)
    row = engine.connection.execute("SELECT * FROM pgmq.metrics('publication_queue')").fetchone()
    assert row is not None and row[:2] == ("publication_queue", 1)


def test_the_queries_of_004_find_what_they_look_for(engine: Engine) -> None:
    message = MESSAGE | {"group_key": None}
    for status in ("pending", "retrying", "failed", "failed", "cancelled"):
        job_in(engine, status, message)
    stuck = job_in(engine, "processing", message)
    assert dict(rows_of(engine, "004:271")) == {"PENDING": 2, "FAILED": 2, "CANCELLED": 1, "PROCESSING": 1}
    assert len(rows_of(engine, "004:265")) == len(rows_of(engine, "004:268")) == 2
    assert rows_of(engine, "004:322") == [("It broke.", 2)]
    assert rows_of(engine, "004:274") == [(0,)] and rows_of(engine, "004:297") == []
    engine.connection.execute(
        "update public.jobs set finished_at = now() - interval '8 days' where finished_at is not null"
    )
    engine.connection.execute("update public.jobs set started_at = now() - interval '2 hours' where id = %s", (stuck,))
    assert rows_of(engine, "004:274") == [(3,)]
    assert [str(row[0]) for row in rows_of(engine, "004:297")] == [stuck]


# Calls of their programs, in SQL -------------------------------------------------------------------


def test_the_jobs_of_000_are_enqueued_with_their_payload_and_attempts(engine: Engine) -> None:
    message = {"contato_id": "c", "conteudo": "Olá!", "user_id": "u", "instance_id": "i"}
    campaign = {
        "campanha_id": "k",
        "contatos_ids": ["1", "2", "3"],
        "mensagem": "m",
        "user_id": "u",
        "instance_id": "i",
    }
    first, second = engine.enqueue(
        {"kind": "envio_mensagem", "payload": message},
        {"kind": "envio_campanha", "payload": campaign, "max_attempts": 5},
    )
    assert (engine.job(first)["queue"], engine.job(first)["max_attempts"]) == ("messages", 3)
    assert (engine.job(second)["queue"], engine.job(second)["max_attempts"]) == ("campaign_scheduler", 5)
    row = engine.connection.execute('select instance, "chatId" from message_queue_items').fetchone()
    assert row == ("i", "c"), "its names are understood"


def test_the_campaign_of_003_waits_for_its_time(engine: Engine) -> None:
    at = "2999-01-01T00:00:00+00:00"
    payload = {"campaignId": "c", "scheduledAt": at, "userId": "u"}
    [job_id] = engine.enqueue({"kind": "schedule-campaign", "payload": payload, "scheduled_at": at})
    assert engine.value("select agendado_para from queue_jobs where id = %s", job_id).isoformat() == at


def test_the_calls_of_004_have_their_equals(engine: Engine) -> None:
    message = MESSAGE | {"priority": 10, "max_attempts": 5, "idempotency_key": "message-1"}
    assert len({*engine.enqueue(message), *engine.enqueue(message)}) == 1, "the caller's messageId counts once"
    assert engine.call("queue_stats", {"queue": "messages", "instance_id": "loja-1"})["pending"] == 1
    cleared = {"queue": "messages", "group_key": MESSAGE["group_key"]}
    assert engine.call("cancel_jobs", cleared)["changed"] == 1
    old = {"queue": "messages", "status": "pending", "created_before": "2020-01-01T00:00:00Z"}
    assert engine.call("cancel_jobs", old)["changed"] == 0
    engine.call("create_queue", "messages", {"retention_completed": "3 days"})
    engine.connection.execute("update public.jobs set finished_at = now() - interval '4 days'")
    assert engine.call("limpar_queue_jobs_antigos") == 1


@pytest.mark.parametrize("kind", ["envio_mensagem", "processamento_webhook", "envio_campanha", "schedule-campaign"])
def test_users_wait_for_a_handler_before_they_may_enqueue(engine: Engine, alice: uuid.UUID, kind: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        engine.call_as(alice, "enqueue_jobs", [{"kind": kind}])
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == ("PT403", "service_only")


# The document that explains it ----------------------------------------------------------------------


def test_every_printed_statement_is_in_the_document() -> None:
    explained = {
        f"{document}:{line}"
        for document, lines in re.findall(r"^\| (\d{3}):([\d, ]+) \|", DOCUMENT, re.MULTILINE)
        for line in lines.split(", ")
    }
    assert {printed.source.split()[0] for printed in [*RUNS, *MENDED, *MET]} <= explained


def test_every_view_and_limit_is_in_the_document() -> None:
    assert [name for name in [*TABLES, *LIMITERS] if f"`{name}`" not in DOCUMENT] == []


def test_the_example_of_the_document_runs(engine: Engine) -> None:
    [example] = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
    with engine.as_role("service_role"):
        engine.connection.execute(example)
    row = engine.connection.execute(
        'select instance, "chatId", "clientId", "isGroup", status, priority, "maxRetries" from message_queue_items'
    ).fetchone()
    assert row == ("loja-1", "5511999999999", 7, False, "PENDING", 10, 5)
