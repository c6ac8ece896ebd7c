"""The seed-named surface as the documents' programs use it: through the official client, over REST."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from postgrest import AsyncPostgrestClient
from postgrest.exceptions import APIError

from devstack.rest.app import Rest
from devstack.rest.settings import RestSettings
from tests.conftest import Database
from tests.sql.conftest import Engine, Json, make_user
from tests.sql.seed_jobs import MESSAGE
from tests.wire.test_rest_server import SECRET, bearer

Client = Callable[..., AsyncPostgrestClient]


@pytest.fixture
async def client(database: Database) -> AsyncIterator[Client]:
    """Makes clients: `client("service_role")`, `client("authenticated", sub=…)`."""
    rest = Rest(RestSettings(database.dsn("authenticator"), jwt_secret=SECRET, pool_size=2))
    await rest.start()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(rest), base_url="http://rest") as http:
            yield lambda role, **claims: AsyncPostgrestClient(
                "http://rest", headers=bearer(role, **claims), http_client=http
            )
    finally:
        await rest.stop()


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    with database.connect() as connection:
        yield Engine(connection)


async def rows(request: Any) -> list[Json]:
    """What a request of the client answers."""
    found: list[Json] = (await request.execute()).data
    return found


async def test_a_user_publishes_by_an_insert_and_looks_it_up(client: Client, engine: Engine) -> None:
    user = str(make_user(engine))
    jobs = client("authenticated", sub=user).from_("publication_jobs")
    post = {"user_id": user, "platform": "tiktok_video", "content": {"caption": "Olá"}}
    [made] = await rows(jobs.insert(post))
    assert (made["platform"], made["status"], made["max_retries"]) == ("tiktok", "pending", 3)
    found = await rows(jobs.select("id,status").eq("user_id", user).eq("status", "pending").order("created_at"))
    assert found == [{"id": made["id"], "status": "pending"}]
    stranger = client("authenticated", sub=str(uuid.uuid4())).from_("publication_jobs")
    assert await rows(stranger.select("*")) == []


async def test_a_wrong_insert_is_answered_with_its_reason(client: Client, engine: Engine) -> None:
    user = str(make_user(engine))
    jobs = client("authenticated", sub=user).from_("publication_jobs")
    with pytest.raises(APIError) as caught:
        await rows(jobs.insert({"user_id": user, "platform": "orkut", "content": {}}))
    assert (caught.value.code, caught.value.details) == ("PT400", "unknown_platform")


async def test_the_dead_letter_function_of_002_runs_as_printed(client: Client, engine: Engine) -> None:
    engine.enqueue(MESSAGE)
    supabase = client("service_role")
    [message] = await rows(supabase.rpc("get_next_queue_message", {}))
    letter = {
        "original_message_id": message["id"],
        "correlation_id": message["correlation_id"],
        "message_type": message["message_type"],
        "payload": message["payload"],
        "error_message": "no such number",
        "failure_count": message["retry_count"] + 1,
        "metadata": message["metadata"] or {},
    }
    await rows(supabase.from_("failed_messages").insert(letter))
    [stored] = await rows(supabase.from_("failed_messages").select("*"))
    assert (stored["original_message_id"], stored["failure_count"]) == (message["id"], 1)
    assert (stored["error_message"], stored["metadata"]) == ("no such number", MESSAGE["metadata"])


async def test_a_consumer_reports_by_an_update(client: Client, engine: Engine) -> None:
    engine.enqueue(MESSAGE)
    supabase = client("service_role")
    [message] = await rows(supabase.rpc("get_next_queue_message", {}))
    report = supabase.from_("message_queue").update({"status": "completed"}).eq("id", message["id"])
    assert [row["status"] for row in await rows(report)] == ["completed"]
    assert await rows(supabase.rpc("get_next_queue_message", {})) == []


async def test_users_consume_nothing(client: Client, engine: Engine) -> None:
    engine.enqueue(MESSAGE)
    user = client("authenticated", sub=str(make_user(engine)))
    with pytest.raises(APIError) as caught:
        await rows(user.rpc("get_next_queue_message", {}))
    assert caught.value.code == "42501"
