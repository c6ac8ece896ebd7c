"""`POST /api/jobs` and `GET /api/jobs/{id}` over a real project."""

import time
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from filaviva.models import Job
from tests.functions.conftest import Logs, Project, User


@pytest.fixture
def user(project: Project) -> User:
    project.call("create_queue", "work", {})
    project.call("register_kind", "task", {"queue": "work", "user_may_enqueue": True})
    project.call("register_kind", "internal_task", {"queue": "work"})
    return project.sign_up()


async def post(api: httpx.AsyncClient, user: User, body: Any, **headers: str) -> httpx.Response:
    return await api.post("/api/jobs", json=body, headers={**user.headers, **headers})


async def refused(api: httpx.AsyncClient, user: User, body: Any, status: int, **headers: str) -> dict[str, Any]:
    answer = await post(api, user, body, **headers)
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "hint", "details"} and error["hint"]
    return error


async def test_a_job_is_enqueued_for_whoever_the_token_belongs_to(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    body = {"kind": "task", "payload": {"n": 1}, "metadata": {"m": 2}, "priority": 3, "correlation_id": "order-1"}
    answer = await post(api, user, body)
    assert answer.status_code == 202
    (job,) = answer.json()["jobs"]
    assert (set(job), job["status"], job["duplicate"]) == ({"job_id", "status", "duplicate"}, "pending", False)
    row = project.job(job["job_id"])
    assert str(row["user_id"]) == user.id
    assert {name: row[name] for name in body} == body


async def test_many_jobs_are_answered_in_their_order(api: httpx.AsyncClient, project: Project, user: User) -> None:
    answer = await post(api, user, {"jobs": [{"kind": "task", "payload": {"n": n}} for n in range(5)]})
    ids = [job["job_id"] for job in answer.json()["jobs"]]
    assert [project.job(job_id)["payload"]["n"] for job_id in ids] == [0, 1, 2, 3, 4]


async def test_the_same_idempotency_key_answers_the_first_job(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    body = {"kind": "task", "payload": {"n": 1}}
    first = (await post(api, user, body, **{"Idempotency-Key": "key-1"})).json()["jobs"][0]
    again = (await post(api, user, body, **{"Idempotency-Key": "key-1"})).json()["jobs"][0]
    assert (again["job_id"], again["duplicate"]) == (first["job_id"], True)
    assert project.job(first["job_id"])["idempotency_key"] == "key-1"
    error = await refused(api, user, {**body, "payload": {"n": 2}}, 409, **{"Idempotency-Key": "key-1"})
    assert error["code"] == "idempotency_conflict"
    assert len(project.jobs()) == 1


async def test_a_job_may_wait_for_its_time(api: httpx.AsyncClient, project: Project, user: User) -> None:
    job = (await post(api, user, {"kind": "task", "scheduled_at": "2099-01-31T12:00:00-03:00"})).json()["jobs"][0]
    assert project.job(job["job_id"])["scheduled_at"].isoformat() == "2099-01-31T15:00:00+00:00"


async def test_a_lists_key_is_numbered(api: httpx.AsyncClient, project: Project, user: User) -> None:
    body = {"jobs": [{"kind": "task"}, {"kind": "task"}]}
    first = (await post(api, user, body, **{"Idempotency-Key": "key"})).json()
    again = (await post(api, user, body, **{"Idempotency-Key": "key"})).json()
    assert [job["job_id"] for job in again["jobs"]] == [job["job_id"] for job in first["jobs"]]
    assert [row["idempotency_key"] for row in project.jobs()] == ["key:0", "key:1"]


BAD: list[tuple[dict[str, Any], int, str, str]] = [
    ({}, 400, "invalid_field", "kind"),
    ({"kind": 5}, 400, "invalid_field", "kind"),
    ({"kind": "task", "colour": "red"}, 400, "invalid_field", "colour"),
    ({"kind": "task", "payload": []}, 400, "invalid_field", "payload"),
    ({"kind": "task", "priority": 11}, 400, "invalid_field", "priority"),
    ({"kind": "task", "priority": "5"}, 400, "invalid_field", "priority"),
    ({"kind": "task", "max_attempts": 0}, 400, "invalid_field", "max_attempts"),
    ({"kind": "task", "user_id": "me"}, 400, "invalid_field", "user_id"),
    ({"kind": "task", "company_id": "abc"}, 400, "invalid_field", "company_id"),
    ({"kind": "task", "company_id": str(uuid4())}, 400, "unknown_company", "company"),
    ({"kind": "task", "scheduled_at": "tomorrow"}, 400, "invalid_field", "scheduled_at"),
    ({"kind": "task", "scheduled_at": "2027-01-31T12:00:00"}, 400, "invalid_field", "scheduled_at"),
    ({"kind": "task", "scheduled_at": 1800000000}, 400, "invalid_field", "scheduled_at"),
    ({"kind": "task", "group_key": ""}, 400, "invalid_field", "group_key"),
    ({"kind": "task", "idempotency_key": "k" * 257}, 400, "invalid_field", "idempotency_key"),
    ({"kind": "nobody_knows"}, 400, "unknown_kind", "nobody_knows"),
    ({"kind": "task", "queue": "publication_queue"}, 403, "service_only", "The job may"),
    ({"kind": "internal_task"}, 403, "service_only", "The job may"),
    ({"kind": "task", "instance_id": "i"}, 403, "service_only", "The job may"),
    ({"kind": "task", "user_id": str(uuid4())}, 403, "foreign_user", "another user"),
    ({"jobs": []}, 400, "invalid_field", "jobs"),
    ({"jobs": [{"kind": "task"}, {"kind": ""}]}, 400, "unknown_kind", "Job 1"),
    ({"jobs": [{"kind": "task"}, {"kind": "task", "priority": -1}]}, 400, "invalid_field", "jobs.1.priority"),
    ({"jobs": [{"kind": "task"}], "kind": "task"}, 400, "invalid_field", "kind"),
    ({"kind": "publish_post", "payload": {"option": 5}}, 400, "invalid_field", "payload.option"),
    ({"kind": "canary", "payload": {"n": 5}}, 400, "invalid_field", "payload.n"),
]


async def test_bad_input_names_its_place_and_nothing_is_enqueued(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    for body, status, code, named in BAD:
        error = await refused(api, user, body, status)
        assert (error["code"], named in error["message"]) == (code, True), (body, error)
    assert project.jobs() == []


BLAMED: list[tuple[dict[str, Any], str | None]] = [
    ({"kind": "task", "group_key": ""}, "group_key"),
    ({"kind": "nobody_knows"}, "kind"),
    ({"kind": "task", "user_id": str(uuid4())}, "user_id"),
    ({"kind": "internal_task"}, None),
    ({"jobs": [{"kind": "task"}, {"kind": "task", "group_key": ""}]}, "jobs.1.group_key"),
    ({"jobs": [{"kind": "task"}, {"kind": "nobody_knows"}]}, "jobs.1.kind"),
]


async def test_what_the_engine_refuses_names_the_field_of_the_request(api: httpx.AsyncClient, user: User) -> None:
    for body, field in BLAMED:
        answer = (await post(api, user, body)).json()["error"]
        assert answer["details"] == (field and {"field": field}), (body, answer)
        assert ("ob 0" in answer["message"], "ob 1" in answer["message"]) == (False, "jobs" in body), answer


async def test_a_long_text_is_not_repeated_whole(api: httpx.AsyncClient, user: User, logs: Logs) -> None:
    for body in ({"kind": "x" * 100_000}, {"kind": "'\"" + "x" * 100_000}):
        answer = await post(api, user, body)
        assert answer.status_code == 400 and "xxx…" in answer.text
        assert len(answer.text) < 1000
    assert logs.find("the database refused") and len(logs.stream.getvalue()) < 3000


async def test_a_key_given_twice_is_refused(api: httpx.AsyncClient, user: User) -> None:
    error = await refused(api, user, {"kind": "task", "idempotency_key": "a"}, 400, **{"Idempotency-Key": "b"})
    assert error["details"] == {"field": "idempotency_key"}


async def test_a_key_that_cannot_be_one_is_refused(api: httpx.AsyncClient, project: Project, user: User) -> None:
    for key in ("", "k" * 129, "tab\tbed", "ké"):
        headers = [(b"Authorization", f"Bearer {user.token}".encode()), (b"Idempotency-Key", key.encode())]
        answer = await api.post("/api/jobs", json={"kind": "task"}, headers=headers)
        error = answer.json()["error"]
        assert (answer.status_code, error["details"]) == (400, {"field": "Idempotency-Key"}), key
    assert project.jobs() == []


async def test_naming_oneself_is_allowed(api: httpx.AsyncClient, project: Project, user: User) -> None:
    assert (await post(api, user, {"kind": "task", "user_id": user.id})).status_code == 202
    assert str(project.jobs()[0]["user_id"]) == user.id


def bad_tokens(project: Project, user: User) -> dict[str, str]:
    good = {"sub": user.id, "role": "authenticated", "exp": int(time.time()) + 60}
    head, body, _ = user.token.split(".")
    return {
        "expired": project.token(user.id, exp=int(time.time()) - 60),
        "not yet valid": project.token(user.id, nbf=int(time.time()) + 600),
        "another key": jwt.encode(good, "another-secret-with-at-least-32-characters", algorithm="HS256"),
        "no signature": f"{head}.{body}.",
        "alg none": jwt.encode(good, "", algorithm="none"),
        "two parts": f"{head}.{body}",
        "not a token": "hello",
        "anon key": project.keys.anon_key,
    }


async def test_no_bad_token_enqueues_anything(api: httpx.AsyncClient, project: Project, user: User) -> None:
    for name, token in bad_tokens(project, user).items():
        answer = await api.post("/api/jobs", json={"kind": "task"}, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, (name, answer.text)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "invalid_token", name
    assert project.jobs() == []


async def test_a_good_token_that_is_no_users_enqueues_nothing(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    claims: list[dict[str, Any]] = [{"sub": None}, {"role": None}, {"role": "anon"}, {"role": "superman"}]
    for changes in claims:
        headers = {"Authorization": f"Bearer {project.token(user.id, **changes)}"}
        answer = await api.post("/api/jobs", json={"kind": "task"}, headers=headers)
        assert 400 <= answer.status_code < 404, (changes, answer.text)
    assert project.jobs() == []


# GET /api/jobs/{id} --------------------------------------------------------------------------------


async def test_a_job_can_be_read_by_its_owner_alone(api: httpx.AsyncClient, project: Project, user: User) -> None:
    job_id = (await post(api, user, {"kind": "task", "payload": {"n": 1}})).json()["jobs"][0]["job_id"]
    answer = await api.get(f"/api/jobs/{job_id}", headers=user.headers)
    assert answer.status_code == 200
    job = answer.json()
    assert (job["id"], job["status"], job["payload"], job["version"]) == (job_id, "pending", {"n": 1}, 1)

    assert set(job) <= set(Job.model_fields)

    stranger = await api.get(f"/api/jobs/{job_id}", headers=project.sign_up().headers)
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (404, "unknown_job")


async def test_a_job_that_is_not_there_is_said_so(api: httpx.AsyncClient, user: User) -> None:
    cases = [(str(uuid4()), 404, "unknown_job"), ("5", 400, "invalid_field"), ("x' or 1=1", 400, "invalid_field")]
    for job_id, status, code in cases:
        answer = await api.get(f"/api/jobs/{job_id}", headers=user.headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_reading_needs_a_valid_token(api: httpx.AsyncClient, project: Project, user: User) -> None:
    for name, token in bad_tokens(project, user).items():
        answer = await api.get(f"/api/jobs/{uuid4()}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, (name, answer.text)
