"""The seed-named views: what they show of a job, to whom, and what an insert of a publication does."""

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.sql.conftest import Engine, Json
from tests.sql.seed_jobs import ERROR, MESSAGE, POST, job_in

VIEWS = ["queue_jobs", "publication_jobs", "message_queue", "message_queue_items", "failed_messages"]
STATUSES = {
    "pending": ("pendente", "pending", "PENDING"),
    "processing": ("processando", "processing", "PROCESSING"),
    "retrying": ("pendente", "pending", "PENDING"),
    "completed": ("concluido", "completed", "COMPLETED"),
    "failed": ("falha", "failed", "FAILED"),
    "cancelled": ("cancelado", "failed", "CANCELLED"),
    "unconfirmed": ("nao_confirmado", "failed", "FAILED"),
}
INSERT = "insert into publication_jobs (user_id, platform, content) values (auth.uid(), 'tiktok_video', '{}')"


def claims(user: uuid.UUID) -> Json:
    return {"role": "authenticated", "sub": str(user)}


def seen(engine: Engine, view: str, column: str, job_id: str) -> Any:
    return engine.value(f'select "{column}" from public.{view} where id = %s', job_id)


def insert_as(engine: Engine, user: uuid.UUID | None, row: Json) -> Json:
    """Insert a row into publication_jobs as a user, or as the service role; the row that comes back."""
    role = "authenticated" if user else "service_role"
    with engine.as_role(role, claims(user) if user else {"role": role}):
        values = [json.dumps(value) if isinstance(value, dict | list) else value for value in row.values()]
        answer: Json = engine.value(
            f"insert into public.publication_jobs as p ({', '.join(row)}) values ({', '.join(['%s'] * len(row))})"
            " returning to_jsonb(p)",
            *values,
        )
    return answer


# Reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(STATUSES))
def test_every_status_has_its_word_in_every_view(engine: Engine, status: str) -> None:
    portuguese, publication, upper = STATUSES[status]
    post, message = job_in(engine, status, POST), job_in(engine, status, MESSAGE)
    assert seen(engine, "queue_jobs", "status", post) == portuguese
    assert seen(engine, "publication_jobs", "status", post) == publication
    assert seen(engine, "message_queue", "status", message) == status
    assert seen(engine, "message_queue_items", "status", message) == upper
    assert (seen(engine, "failed_messages", "id", message) is not None) == (status == "failed")


@pytest.mark.parametrize("status", ["cancelled", "unconfirmed"])
def test_a_publication_that_failed_without_an_error_says_why(engine: Engine, status: str) -> None:
    assert "publication" in seen(engine, "publication_jobs", "error_message", job_in(engine, status, POST))


@pytest.mark.parametrize("committed", [False, True])
def test_a_post_that_the_platform_works_on_is_processing(engine: Engine, committed: bool) -> None:
    [job_id] = engine.enqueue(POST)
    job = engine.claim_one("publication_queue")
    if committed:
        engine.call("commit_job", job_id, job["claim_id"], {}, True, 30)
        engine.settle(job, "unconfirmed")
    else:
        engine.settle(job, "snooze", after_seconds=60)
    assert engine.job(job_id)["status"] == "retrying"
    assert seen(engine, "publication_jobs", "status", job_id) == "processing"


def test_attempts_are_counted_as_each_document_counts_them(engine: Engine) -> None:
    [job_id] = engine.enqueue(MESSAGE | {"max_attempts": 2})
    post = job_in(engine, "retrying", POST)
    assert seen(engine, "publication_jobs", "retry_count", post) == 0, "one attempt is no retry"
    assert seen(engine, "queue_jobs", "tentativas", post) == 1
    for attempt in (1, 2):
        job = engine.claim_one("messages")
        assert seen(engine, "message_queue", "retry_count", job_id) == attempt, "002 counts at the claim"
        assert seen(engine, "message_queue_items", "retryCount", job_id) == attempt - 1, "004 counts at the failure"
        engine.settle(job, "retry", error=ERROR, after_seconds=0)
    spent = engine.value('select "retryCount" = "maxRetries" and status = \'FAILED\' from message_queue_items')
    assert (spent, seen(engine, "failed_messages", "failure_count", job_id)) == (True, 2)


def test_a_message_shows_its_chat(engine: Engine) -> None:
    job_in(engine, "completed", MESSAGE | {"priority": 4})
    row = engine.connection.execute(
        'select instance, "chatId", "clientId", "isGroup", priority, error, "processedAt" = processed_at,'
        ' "processingStartedAt" = processing_started_at, "createdAt" = created_at, "updatedAt" = updated_at'
        " from message_queue_items"
    ).fetchone()
    assert row == ("loja-1", "5511999999999", 7, False, 4, None, True, True, True, True)


def test_values_that_do_not_fit_a_printed_type_are_null_and_harm_nobody(engine: Engine) -> None:
    metadata = {"chat_id": 5, "client_id": "seven", "is_group": "yes"}
    job_id = job_in(engine, "failed", MESSAGE | {"metadata": metadata, "correlation_id": "order-7"})
    row = engine.connection.execute('select "chatId", "clientId", "isGroup" from message_queue_items').fetchone()
    assert row == ("5", None, False)
    assert seen(engine, "message_queue", "correlation_id", job_id) is None
    assert seen(engine, "failed_messages", "correlation_id", job_id) is None


def test_a_correlation_follows_a_message_to_the_dead_letters(engine: Engine) -> None:
    correlation = uuid.uuid4()
    job_id = job_in(engine, "failed", MESSAGE | {"correlation_id": str(correlation)})
    for view in ("message_queue", "failed_messages"):
        assert seen(engine, view, "correlation_id", job_id) == correlation


@pytest.mark.parametrize("view", VIEWS)
def test_a_user_sees_their_own_rows_alone(engine: Engine, alice: uuid.UUID, bob: uuid.UUID, view: str) -> None:
    for owner in (alice, bob, bob):
        job = POST if view == "publication_jobs" else MESSAGE | {"group_key": str(uuid.uuid4())}
        job_in(engine, "failed", job | {"user_id": str(owner)})
    for user, rows in ((alice, 1), (bob, 2), (uuid.uuid4(), 0)):
        with engine.as_role("authenticated", claims(user)):
            assert engine.value(f"select count(*) from public.{view}") == rows
    with engine.as_role("service_role"):
        assert engine.value(f"select count(*) from public.{view}") == 3
    with pytest.raises(psycopg.errors.InsufficientPrivilege), engine.as_role("anon"):
        engine.connection.execute(f"select from public.{view}")


@pytest.mark.parametrize("role", ["postgres", "authenticated"])
@pytest.mark.parametrize("view", ["queue_jobs", "publication_jobs"])
def test_a_filter_reaches_the_jobs_through_the_view(engine: Engine, alice: uuid.UUID, view: str, role: str) -> None:
    engine.connection.execute(
        "insert into public.jobs (queue, kind, user_id, msg_id, max_attempts, timeout_seconds, payload)"
        " select 'publication_queue', 'publish_post', case when mod(n, 500) = 0 then %s::uuid end, n, 3, 60, '{}'"
        " from generate_series(1, 5000) n",
        (alice,),
    )
    engine.connection.execute("analyze public.jobs")
    statement = f"explain (analyze, format json) select * from {view} where user_id = %s and status like 'pend%%'"
    with engine.as_role(role, claims(alice)):
        [plan] = engine.value(statement, alice)
    scan = plan["Plan"]
    assert scan["Relation Name"] == "jobs", "the view is no step of its own"
    assert (scan["Actual Rows"], "jobs_by_user" in json.dumps(scan)) == (10, True)


# Inserting --------------------------------------------------------------------------------------


def test_an_insert_enqueues_a_publication_and_answers_its_row(engine: Engine, alice: uuid.UUID) -> None:
    content = {"mediaFiles": [], "caption": "Olá", "settings": {}}
    row = insert_as(
        engine,
        alice,
        {
            "user_id": alice,
            "platform": "tiktok_video",
            "content": content,
            "max_retries": 5,
            "metadata": {"campaign": 1},
        },
    )
    job = engine.claim_one("publication_queue")
    assert (job["job_id"], job["kind"], job["user_id"]) == (row["id"], "publish_post", str(alice))
    assert job["payload"] == {"option": "tiktok_video", "platform": "tiktok", "content": content}
    assert (job["metadata"], job["max_attempts"]) == ({"campaign": 1}, 5)
    shown = {key: row[key] for key in ("platform", "option", "content", "status", "retry_count", "max_retries")}
    assert shown == {
        "platform": "tiktok",
        "option": "tiktok_video",
        "content": content,
        "status": "pending",
        "retry_count": 0,
        "max_retries": 5,
    }


@pytest.mark.parametrize(
    ("platform", "option"),
    [
        ("tiktok", "tiktok_video"),
        ("facebook", "facebook_feed"),
        ("instagram", "instagram_feed"),
        ("youtube", "youtube_video"),
        ("threads", "threads_post"),
        ("x", "x_post"),
        ("linkedin", "linkedin_post"),
    ],
)
def test_a_platform_alone_means_its_first_option(engine: Engine, alice: uuid.UUID, platform: str, option: str) -> None:
    row = insert_as(engine, alice, {"platform": platform, "content": {}})
    assert (row["platform"], row["option"], row["user_id"]) == (platform, option, str(alice))


def test_a_platform_and_an_option_of_it_may_both_be_named(engine: Engine, alice: uuid.UUID) -> None:
    row = insert_as(engine, alice, {"platform": "instagram", "option": "instagram_reels", "content": {}})
    assert (row["platform"], row["option"]) == ("instagram", "instagram_reels")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"platform": "orkut"}, "PT400 unknown_platform", "'orkut'"),
        ({"platform": "orkut_video"}, "PT400 unknown_platform", "'orkut_video'"),
        ({"platform": "tiktok_"}, "PT400 unknown_platform", "'tiktok_'"),
        ({"platform": None}, "PT400 unknown_platform", "NULL"),
        ({"option": "x_post"}, "PT400 invalid_field", "platform must be x"),
        ({"status": "completed"}, "PT400 invalid_field", "status of a publication"),
        ({"max_retries": 999999}, "PT400 invalid_field", "max_retries of a publication"),
        ({"retry_count": -5}, "PT400 invalid_field", "retry_count of a publication"),
        ({"id": str(uuid.uuid4())}, "PT400 invalid_field", "id of a publication"),
        ({"created_at": "2020-01-01"}, "PT400 invalid_field", "created_at of a publication"),
        ({"platform_response": {"id": 1}}, "PT400 invalid_field", "platform_response of a publication"),
        ({"content": []}, "PT400 invalid_field", "content of a publication"),
        ({"content": None}, "PT400 invalid_field", "content of a publication"),
        ({"metadata": []}, "PT400 invalid_field", "metadata of a publication"),
        ({"content": {"caption": "x" * 260_000}}, "PT413 payload_too_large", "250 KB"),
        ({"user_id": str(uuid.uuid4())}, "PT403 foreign_user", "another user"),
    ],
)
def test_a_wrong_insert_is_refused_with_its_reason(
    engine: Engine, alice: uuid.UUID, change: Json, code: str, words: str
) -> None:
    with pytest.raises(psycopg.Error, match=words) as caught:
        insert_as(engine, alice, {"platform": "tiktok", "content": {}} | change)
    assert f"{caught.value.sqlstate} {caught.value.diag.message_detail}" == code
    assert caught.value.diag.message_hint
    assert engine.value("select count(*) from public.jobs") == 0


def test_what_a_client_repeats_of_the_defaults_is_no_forgery(engine: Engine, alice: uuid.UUID) -> None:
    defaults = {"status": "pending", "retry_count": 0, "max_retries": 3, "metadata": {}, "started_at": None}
    assert insert_as(engine, alice, {"platform": "x", "content": {}} | defaults)["status"] == "pending"


def test_the_service_role_inserts_for_the_user_it_names(engine: Engine, alice: uuid.UUID) -> None:
    assert insert_as(engine, None, {"user_id": alice, "platform": "x", "content": {}})["user_id"] == str(alice)
    with pytest.raises(psycopg.Error, match="user_id of a publication"):
        insert_as(engine, None, {"platform": "x", "content": {}})


def test_nobody_inserts_without_being_signed_in(engine: Engine) -> None:
    with pytest.raises(psycopg.Error, match="signed-in") as caught, engine.as_role("authenticated"):
        engine.connection.execute(INSERT)
    assert caught.value.sqlstate == "PT401"
    with pytest.raises(psycopg.errors.InsufficientPrivilege), engine.as_role("anon"):
        engine.connection.execute(INSERT)


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize(
    "statement",
    [
        "update publication_jobs set status = 'completed'",
        "update publication_jobs set user_id = auth.uid()",
        "delete from publication_jobs",
        "update queue_jobs set status = 'falha'",
        "insert into queue_jobs (tipo) values ('publish_post')",
        "update message_queue set status = 'completed'",
        "insert into message_queue (message_type) values ('envio_mensagem')",
        "update message_queue_items set status = 'CANCELLED'",
        "insert into failed_messages (original_message_id) values (gen_random_uuid())",
        "delete from failed_messages",
    ],
)
def test_users_write_nothing_else(engine: Engine, alice: uuid.UUID, role: str, statement: str) -> None:
    with pytest.raises(psycopg.Error) as caught, engine.as_role(role, claims(alice) | {"role": role}):
        engine.connection.execute(statement)
    assert caught.value.sqlstate in {"42501", "0A000"}, "no right to it, or a column that nobody can write"
