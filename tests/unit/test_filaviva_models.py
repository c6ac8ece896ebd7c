"""What the library takes and gives."""

from typing import Any

import pytest

from filaviva import FilaViva, FilaVivaError, InvalidRequest, Job, JobStatus, NewJob
from filaviva.models import from_row

ROW: dict[str, Any] = {
    "id": "5b0f7a34-6a2c-4f5e-9a39-0d7c3d0f2f11",
    "seq": 1,
    "queue": "messages",
    "kind": "envio_mensagem",
    "payload": {"a": None},
    "status": "processing",
    "max_attempts": 3,
    "created_at": "2026-01-02T03:04:05.678901+00:00",
    "updated_at": "2026-01-02T03:04:05.678901+00:00",
    "progress": 12.5,
    "version": 4,
    "a_column_of_a_later_engine": True,
}


def client() -> FilaViva:
    return FilaViva("http://127.0.0.1:1", "key")


def test_a_row_with_unknown_columns_is_read() -> None:
    job = from_row(Job, ROW)
    assert (job.status, job.progress, job.payload) == (JobStatus.PROCESSING, 12.5, {"a": None})


def test_a_row_of_another_shape_says_what_to_do() -> None:
    with pytest.raises(FilaVivaError, match=r"status: .*same version") as caught:
        from_row(Job, {**ROW, "status": "asleep"})
    assert caught.value.code == "unexpected_answer"


def test_the_final_statuses_are_those_that_no_worker_changes() -> None:
    final = {status.value for status in JobStatus if status.is_final}
    assert final == {"completed", "failed", "cancelled", "unconfirmed"}


@pytest.mark.parametrize(
    ("job", "field"),
    [
        ({"kind": "k", "payload": [1]}, r"jobs\[1\]\.payload"),
        ({"kind": "k", "priority": "high"}, r"jobs\[1\]\.priority"),
        ({"kind": "k", "scheduled_at": "2026-01-01T00:00:00"}, r"jobs\[1\]\.scheduled_at.*timezone"),
        ({"kind": "k", "prority": 1}, r"jobs\[1\]\.prority: There is no such field\."),
        ({"payload": {}}, r"jobs\[1\]\.kind"),
    ],
)
async def test_a_wrong_field_is_named_with_its_position_and_nothing_is_sent(job: dict[str, Any], field: str) -> None:
    async with client() as fila:
        with pytest.raises(InvalidRequest, match=field):
            await fila.enqueue_many([NewJob(kind="k"), job])


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, "\ud800"])
async def test_what_json_cannot_hold_is_refused_before_it_is_sent(value: object) -> None:
    async with client() as fila:
        with pytest.raises(InvalidRequest) as caught:
            await fila.enqueue("k", {"value": value})
    assert caught.value.code == "not_json"


async def test_a_job_id_that_is_no_uuid_is_refused() -> None:
    async with client() as fila:
        with pytest.raises(InvalidRequest, match="expected a uuid, found 'seven'"):
            await fila.get("seven")


@pytest.mark.parametrize(("url", "key"), [("", "k"), ("example.test", "k"), ("ftp://h", "k"), ("http://h", "")])
def test_a_wrong_address_or_key_is_refused_at_once(url: str, key: str) -> None:
    with pytest.raises(InvalidRequest, match="expected the project's"):
        FilaViva(url, key)


def test_the_client_shows_no_secret() -> None:
    fila = FilaViva("http://127.0.0.1:1", "the-key", access_token="the-token")
    assert repr(fila) == "FilaViva('http://127.0.0.1:1')"
