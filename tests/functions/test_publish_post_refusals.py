"""Payloads that `publish_post` refuses before it speaks to any platform, and waits that it decides alone."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import respx
import structlog
from pydantic import ValidationError

from functions.handlers.publish_post import PublishPost
from functions.jobs import registry
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import Hold, JsonObject, Outcome, Reject, Retry, Snooze, Unconfirmed
from functions.settings import Settings
from tests.functions.publishing import RecordingLease

TLS = httpx.create_ssl_context()  # once: it takes longer than a test
FILE = {"name": "clip.mp4", "size": 1000, "type": "video/mp4", "url": "https://media.example/clip.mp4"}
CONTENT: JsonObject = {"mediaFiles": [FILE], "caption": "caption", "settings": {"privacy": "SELF_ONLY"}}
SETTINGS = Settings.from_environ(
    {
        "SUPABASE_URL": "http://127.0.0.1:54321",
        "SUPABASE_ANON_KEY": "anon",
        "SUPABASE_SERVICE_ROLE_KEY": "service",
        "CRON_SECRET": "secret",
    }
)
GRAPH = "https://graph.facebook.com/v26.0"


class OneAccount(RecordingLease):
    """A lease that only knows the owner's account."""

    async def commit(self, checkpoint: JsonObject, *, reconcilable: bool) -> None:
        raise AssertionError("nothing here may commit")


CONNECTED = OneAccount({"external_id": "17", "access_token": "secret"})


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(verify=TLS) as client:
        yield client


async def run(
    http: httpx.AsyncClient,
    *,
    lease: OneAccount = CONNECTED,
    content: JsonObject | None = None,
    option: str = "tiktok_video",
    platform: str | None = None,
    **job: Any,
) -> Outcome:
    registry.load()
    registration = registry.find("publish_post")
    assert registration is not None
    now = datetime.now(UTC)
    claimed = ClaimedJob(
        job_id=uuid4(),
        claim_id=1,
        mode="run",
        attempt=1,
        max_attempts=3,
        queue="publication_queue",
        kind="publish_post",
        payload={},
        metadata={},
        timeout_seconds=60,
        lease_seconds=30,
        lease_expires_at=now,
        created_at=now,
    ).model_copy(update=job)
    named = {"option": option, "platform": platform or option.partition("_")[0], "content": content or CONTENT}
    context = Context(http, SETTINGS, structlog.stdlib.get_logger(), 0.0, lease, reconcilable=True)
    return await registration.run(claimed, PublishPost.model_validate(named), context)


def test_the_kind_is_registered_with_its_reconcile_function() -> None:
    registry.load()
    registration = registry.find("publish_post")
    assert registration is not None
    assert registration.payload is PublishPost
    assert registration.reconcile is not None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"option": "tiktok_dance"}, "unknown_option"),
        ({"platform": "instagram"}, "platform_mismatch"),
        ({"content": CONTENT | {"mediaFiles": []}}, "media_count"),
        ({"content": CONTENT | {"mediaFiles": [FILE | {"type": "image/png"}]}}, "media_type"),
        ({"content": CONTENT | {"mediaFiles": [FILE | {"url": "http://10.0.0.1/a"}]}}, "media_url_not_allowed"),
        ({"content": CONTENT | {"caption": "x" * 2201}}, "caption_too_long"),
        ({"content": CONTENT | {"settings": {}}}, "setting_required"),
        ({"lease": OneAccount(None)}, "account_missing"),
    ],
)
async def test_a_post_that_cannot_go_out_is_rejected_without_a_call(
    http: httpx.AsyncClient, changes: dict[str, Any], code: str
) -> None:
    with respx.mock:
        outcome = await run(http, **changes)
    assert isinstance(outcome, Reject)
    assert outcome.error.code == code
    assert outcome.error.message


async def test_a_rejection_names_every_wrong_field(http: httpx.AsyncClient) -> None:
    outcome = await run(http, content={"mediaFiles": [FILE | {"type": "image/png"}], "settings": {}})
    assert isinstance(outcome, Reject)
    assert outcome.error.details == {"fields": ["mediaFiles.0.type", "settings.tiktok_video.privacy"]}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"mediaFiles": [FILE], "captions": "x"},
        {"mediaFiles": [{"url": "https://x"}]},
        {"mediaFiles": [FILE | {"size": 0}]},
    ],
)
def test_a_payload_of_another_shape_does_not_validate(content: JsonObject) -> None:
    with pytest.raises(ValidationError):
        PublishPost.model_validate({"option": "tiktok_video", "platform": "tiktok", "content": content})


async def test_a_post_that_may_be_out_is_never_rejected_for_a_missing_account(http: httpx.AsyncClient) -> None:
    outcome = await run(http, lease=OneAccount(None), committed=True, checkpoint={"remote": {}, "looks": 0})
    assert isinstance(outcome, Unconfirmed)
    assert outcome.error.code == "account_missing"


async def test_a_used_up_quota_waits_and_spends_no_attempt(http: httpx.AsyncClient) -> None:
    quota = {"quota_usage": 50, "config": {"quota_total": 50}}
    with respx.mock:
        respx.get(f"{GRAPH}/17/content_publishing_limit").respond(json={"data": [quota]})
        outcome = await run(http, option="instagram_feed", content=CONTENT | {"settings": {}})
    assert isinstance(outcome, Hold)
    assert (outcome.after, outcome.limiter, outcome.checkpoint) == (3600, "account_posts", None)


async def test_a_quota_that_frees_up_after_more_than_a_day_is_rejected(http: httpx.AsyncClient) -> None:
    with respx.mock:
        limited = {"error": {"code": 4, "message": "limit"}}
        route = respx.get(f"{GRAPH}/17/content_publishing_limit")
        route.respond(400, json=limited, headers={"Retry-After": "90000"})
        outcome = await run(http, option="instagram_feed", content=CONTENT | {"settings": {}})
    assert isinstance(outcome, Reject)
    assert outcome.error.code == "graph_4"


async def test_media_that_never_gets_processed_is_tried_anew(http: httpx.AsyncClient) -> None:
    with respx.mock:
        respx.get(f"{GRAPH}/c1").respond(json={"status_code": "IN_PROGRESS"})
        checkpoint = {"remote": {"container": "c1"}, "looks": 35}
        outcome = await run(http, option="instagram_feed", content=CONTENT | {"settings": {}}, checkpoint=checkpoint)
    assert isinstance(outcome, Retry)
    assert outcome.error.code == "processing_too_slow"


async def test_a_token_refused_while_looking_waits_for_the_owner_and_then_leaves_the_outcome_open(
    http: httpx.AsyncClient,
) -> None:
    instagram: dict[str, Any] = {"option": "instagram_feed", "content": CONTENT | {"settings": {}}, "committed": True}
    with respx.mock:
        respx.get(f"{GRAPH}/c1").respond(400, json={"error": {"code": 190, "message": "expired"}})
        checkpoint = {"remote": {"container": "c1"}, "looks": 0}
        waiting = await run(http, **instagram, checkpoint=checkpoint)
        outcome = await run(http, **instagram, checkpoint=checkpoint | {"looks": 1000})
    assert isinstance(waiting, Snooze)
    assert waiting.checkpoint == checkpoint | {"looks": 1, "account": "17"}
    assert isinstance(outcome, Unconfirmed)
    assert outcome.error.code == "outcome_unknown"
