"""What operators do through the library, against a real project: typed answers, and changes to many jobs."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from filaviva import Conflict, FilaViva, Forbidden, InvalidRequest, JobStatus, NotFound
from filaviva.filters import JobFilter
from tests.e2e.cli_project import CliProject, cli, new_queue

__all__ = ["cli"]


@pytest_asyncio.fixture
async def fila(cli: CliProject) -> AsyncIterator[FilaViva]:
    """The service role's client."""
    async with FilaViva(cli.project.api_url, cli.project.secret_key) as client:
        yield client


@pytest.fixture
def queue(cli: CliProject) -> str:
    """A queue of the test's own, with a kind of the same name."""
    return new_queue(cli)


def fail_many(cli: CliProject, queue: str, number: int, committed: int = 0) -> None:
    """So many failed jobs, the oldest `committed` of which may have taken effect."""
    with cli.project.connect() as connection:
        connection.execute(
            "select public.enqueue_jobs((select jsonb_agg(jsonb_build_object('kind', %s::text))"
            " from generate_series(1, %s::int)))",
            (queue, number),
        )
        connection.execute("select public.purge_queue(%s, false)", (queue,))
        connection.execute("select public.purge_queue(%s, false)", (queue,))
        connection.execute(
            "update public.jobs set status = 'failed', error_code = 'no_luck', error_message = 'It had none.'"
            " where queue = %s",
            (queue,),
        )
        connection.execute(
            "update public.jobs set committed_at = now() where id in"
            " (select id from public.jobs where queue = %s order by seq limit %s)",
            (queue, committed),
        )


async def test_queues_and_metrics_are_typed(cli: CliProject, fila: FilaViva, queue: str) -> None:
    cli.enqueue(queue)
    [found] = [one for one in await fila.operator.queues() if one.name == queue]
    assert (found.max_attempts, found.on_stall, found.paused_at) == (3, "retry", None)
    assert (found.metrics.size, found.metrics.due, found.metrics.queue_trend) == (1, 1, None)
    await fila.operator.pause(queue)
    [metrics] = await fila.operator.metrics(queue)
    assert metrics.paused
    await fila.operator.resume(queue)
    with pytest.raises(NotFound):
        await fila.operator.metrics("nowhere")


async def test_limits_and_alerts_are_typed(fila: FilaViva) -> None:
    limits = {one.name: one for one in await fila.operator.limits()}
    assert (limits["whatsapp"].max_hits, limits["whatsapp"].window_seconds) == (20, 60)
    assert ("messages", "instance_id") in {(use.queue, use.key) for use in limits["whatsapp"].queues}
    assert (await fila.rate_limit("whatsapp", "i-1")).remaining == 20
    assert all(alert.resolved_at is None for alert in await fila.operator.alerts())


async def test_a_redrive_of_thousands_takes_each_job_once_and_says_how_far_it_is(
    cli: CliProject, fila: FilaViva, queue: str
) -> None:
    fail_many(cli, queue, 1300)
    told = list[int]()
    dry = await fila.operator.redrive({"queue": queue, "error_text": "had none"}, dry_run=True)
    assert (dry.matched, dry.changed, len(set(dry.job_ids))) == (1300, 0, 1300)
    first = await fila.operator.redrive({"queue": queue}, limit=1100, progress=told.append)
    assert (first.changed, told) == (1100, [1000, 1100])
    assert first.job_ids == dry.job_ids[:1100]  # the oldest first
    rest = await fila.operator.redrive(JobFilter(queue=queue, error_code="no_luck"))
    assert rest.job_ids == dry.job_ids[1100:]
    stats = await fila.stats(queue=queue)
    assert (stats.pending, stats.failed) == (1300, 0)


async def test_jobs_that_may_have_taken_effect_do_not_hide_those_behind_them(
    cli: CliProject, fila: FilaViva, queue: str
) -> None:
    fail_many(cli, queue, 1010, committed=1005)
    assert (await fila.operator.redrive({"queue": queue}, dry_run=True)).matched == 5
    assert (await fila.operator.redrive({"queue": queue})).changed == 5
    assert (await fila.stats(queue=queue)).failed == 1005


async def test_a_redriven_job_that_fails_again_is_not_taken_a_second_time(
    cli: CliProject, fila: FilaViva, queue: str
) -> None:
    fail_many(cli, queue, 1001)

    def fail_again(_done: int) -> None:
        with cli.project.connect() as connection:
            connection.execute("select public.purge_queue(%s, false)", (queue,))
            connection.execute(
                "update public.jobs set status = 'failed' where queue = %s and status = 'cancelled'", (queue,)
            )

    assert (await fila.operator.redrive({"queue": queue}, progress=fail_again)).changed == 1001


async def test_many_jobs_are_named_by_their_ids(cli: CliProject, fila: FilaViva, queue: str) -> None:
    jobs = await fila.enqueue_many([{"kind": queue}] * 250)
    await fila.operator.purge(queue)
    wanted = [job.id for job in jobs[:230]]
    pruned = await fila.operator.prune({"ids": wanted})
    assert set(pruned.job_ids) == set(wanted)
    assert (await fila.stats(queue=queue)).total == 20
    assert (await fila.operator.prune({"ids": []}, dry_run=True)).matched == 0


async def test_a_purge_counts_all_and_cancels_all(cli: CliProject, fila: FilaViva, queue: str) -> None:
    await fila.enqueue_many([{"kind": queue}] * 1200)
    told = list[int]()
    assert (await fila.operator.purge(queue, dry_run=True)).matched == 1200
    assert (await fila.operator.purge(queue, progress=told.append)).changed == 1200
    assert told == [1000, 1200]
    assert (await fila.stats(queue=queue)).cancelled == 1200


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({}, "at least one condition"),
        ({"queues": "work"}, "filter.queues: There is no such field"),
        ({"status": "asleep"}, "filter.status"),
        ({"created_before": datetime(2026, 1, 1)}, "filter.created_before.*timezone"),
        ({"ids": ["seven"]}, "filter.ids.0"),
    ],
)
async def test_a_wrong_filter_changes_nothing(fila: FilaViva, conditions: dict[str, object], said: str) -> None:
    for change in (fila.operator.redrive, fila.operator.prune):
        with pytest.raises(InvalidRequest, match=said):
            await change(conditions)


async def test_a_user_is_no_operator(cli: CliProject) -> None:
    user = cli.project.sign_up()
    async with FilaViva(cli.project.api_url, cli.project.publishable_key, user.token) as fila:
        job = await fila.enqueue("noop", {})
        for call in (
            fila.operator.metrics(), fila.operator.queues(), fila.operator.pause("work"), fila.operator.purge("work"),
            fila.operator.prune({"queue": "work", "created_after": datetime.now(UTC) - timedelta(days=1)}),
        ):  # fmt: skip
            with pytest.raises(Forbidden):
                await call
        assert (await fila.get(job.id)).status is JobStatus.PENDING


async def test_a_failed_job_that_may_have_taken_effect_is_not_retried(
    cli: CliProject, fila: FilaViva, queue: str
) -> None:
    fail_many(cli, queue, 1, committed=1)
    [job] = (await fila.jobs(queue=queue)).items
    with pytest.raises(Conflict, match="Look where its effect would be") as caught:
        await fila.retry(job.id)
    assert caught.value.code == "not_retried"
    with pytest.raises(NotFound):
        await fila.retry(uuid.uuid4())
    with pytest.raises(Conflict):
        await fila.resolve(job.id, happened=True)


async def test_pages_neither_repeat_nor_lose_a_job_while_others_are_enqueued(fila: FilaViva, queue: str) -> None:
    jobs = [job.id for job in await fila.enqueue_many([{"kind": queue}] * 7)]
    seen, cursor = list[uuid.UUID](), None
    while True:
        page = await fila.jobs(queue=queue, status=["pending", JobStatus.FAILED], limit=3, cursor=cursor)
        seen += [job.id for job in page.items]
        await fila.enqueue(queue, {})
        if (cursor := page.next_cursor) is None:
            break
    assert seen == jobs[::-1]
    wrong: list[dict[str, Any]] = [{"limit": 0}, {"limit": 501}, {"cursor": "x"}, {"cursor": "9" * 30}, {"status": "x"}]
    for arguments in wrong:
        with pytest.raises(InvalidRequest):
            await fila.jobs(**arguments)


async def test_a_trusted_server_enqueues_for_a_user_and_an_instance(cli: CliProject, fila: FilaViva) -> None:
    user = cli.project.sign_up()
    job = await fila.get((await fila.enqueue("noop", {}, user_id=uuid.UUID(user.id), instance_id="i-1")).id)
    assert (str(job.user_id), job.instance_id) == (user.id, "i-1")


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("envio_mensagem", {"contato_id": "c", "conteudo": "Olá!", "user_id": "u", "instance_id": "i"}),
        (
            "envio_campanha",
            {"campanha_id": "c", "contatos_ids": ["1", "2"], "mensagem": "m", "user_id": "u", "instance_id": "i"},
        ),
    ],
)
async def test_a_payload_as_the_queue_document_prints_it_is_kept_as_written(
    cli: CliProject, fila: FilaViva, kind: str, payload: dict[str, object]
) -> None:
    settings = json.dumps({"queue": "messages" if kind == "envio_mensagem" else "campaign_scheduler"})
    cli.call("register_kind", kind, settings)
    job = await fila.get((await fila.enqueue(kind, payload, max_attempts=5)).id)
    assert (job.payload, job.max_attempts) == (payload, 5)


async def test_a_colleague_sees_a_job_and_its_company_counts_it_but_does_not_retry_it(cli: CliProject) -> None:
    owner, colleague = cli.project.sign_up(), cli.project.sign_up()
    company = uuid.UUID(str(owner.client.rpc("create_company", {"p_name": "Acme"}).execute().data))
    cli.call("set_company_member", str(company), colleague.id, "agent")
    job = cli.failed(user_id=owner.id, company_id=str(company))
    async with FilaViva(cli.project.api_url, cli.project.publishable_key, colleague.token) as fila:
        assert [str(one.id) for one in (await fila.jobs(company_id=company)).items] == [job]
        assert (await fila.stats(company_id=company)).failed == 1
        assert (await fila.stats()).total == 0
        with pytest.raises(Conflict, match="Only its owner or an operator"):
            await fila.retry(job)
