"""The handler and the tokens of an account: renewed in time, once, by one worker; and never a post for a token's sake.

The platform's steps are scripted; the accounts are in a real database, and a double answers for the sign-in servers.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from devstack.providers.oauth_grants import Grant
from functions.handlers import publish_post as module
from functions.handlers.publish_post import RECONNECT_LOOK_SECONDS
from functions.jobs.context import ClaimedJob
from functions.jobs.outcomes import Done, JsonObject, Reject, Retry, Snooze, Unconfirmed
from functions.platforms.answers import Ready
from functions.platforms.oauth import session
from functions.platforms.post import Account, Post
from functions.worker.ledger import LedgerUnavailable
from functions.worker.rest_ledger import RestLedger
from tests.functions.accounts_support import Office, open_office
from tests.functions.conftest import wait_until
from tests.functions.publishing import ProcessDied, new_job
from tests.functions.token_scene import REFUSED, SCOPES, Run, Scene, ScriptedPlatform

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(cluster: Cluster) -> AsyncIterator[Office]:
    async with open_office(cluster) as office:
        yield office


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(shared: Office) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """To the database, and to the outside."""
    async with httpx.AsyncClient(base_url=f"{shared.project.url}/rest/v1") as database, httpx.AsyncClient() as outside:
        yield database, outside


@pytest.fixture
def scene(
    shared: Office, clients: tuple[httpx.AsyncClient, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> Scene:
    office, platform = shared.reset(), ScriptedPlatform()
    monkeypatch.setattr(module, "build_platform", lambda *_: platform)
    user, key = office.project.sign_up(), office.project.settings().supabase_service_role_key
    database, outside = clients
    return Scene(office.project, office.platforms, platform, user, RestLedger(database, key), outside, office.logs)


def committed(remote: JsonObject | None = None, **more: Any) -> ClaimedJob:
    checkpoint = {"remote": remote or {"upload": "u1"}, "looks": 0, "account": "1"}
    return new_job(committed=True, checkpoint=checkpoint | more)


async def test_a_refused_token_is_renewed_and_the_step_done_once_more(scene: Scene) -> None:
    scene.connect()
    scene.platform.bad_tokens = {"old"}
    assert isinstance(await scene.run(), Snooze)
    first, second = scene.platform.tokens("prepare")
    assert first == "old" and second.startswith("double:1#")
    assert scene.platform.tokens("finish") == [second]
    assert (scene.renewals, scene.account()) == (1, ("connected", None))
    written = scene.logs.stream.getvalue()
    assert "double:" not in written and "refresh-" not in written


async def test_a_token_that_is_refused_again_marks_the_account(scene: Scene) -> None:
    scene.connect()
    scene.platform.script["prepare"] = deque([REFUSED] * 5)
    outcome = await scene.run()
    assert isinstance(outcome, Reject)
    assert outcome.error.code == "reconnect_required"
    assert (len(scene.platform.calls), scene.renewals) == (2, 1)
    assert scene.account() == ("reconnect", "token_refused")
    scene.platform.calls.clear()
    again = await scene.run()
    assert isinstance(again, Reject) and again.error.code == "reconnect_required"
    assert scene.platform.calls == [], "an account to reconnect is not tried"


@pytest.mark.parametrize(
    ("network", "secrets", "reason"),
    [
        ("x", {"refresh_token": "spent"}, "refresh_refused"),
        ("x", {"refresh_token": ""}, "token_refused"),
        ("facebook", {"user_token": "dead"}, "refresh_refused"),
        ("facebook", {}, "token_refused"),
    ],
)
async def test_a_token_that_cannot_be_renewed_any_more_marks_the_account(
    scene: Scene, network: str, secrets: dict[str, str], reason: str
) -> None:
    scene.connect(network, lives=None, **secrets)
    scene.platform.bad_tokens = {"old"}
    outcome = await scene.run()
    assert isinstance(outcome, Reject)
    assert outcome.error.code == "reconnect_required"
    assert "The platform says the token is bad. Connect the account again." in outcome.error.message
    assert (scene.account(), len(scene.platform.calls)) == (("reconnect", reason), 1)


async def test_a_pages_token_is_had_again_with_its_users(scene: Scene) -> None:
    users = scene.platforms.oauth.grants.new_access_token(Grant("facebook", "1", SCOPES))
    scene.connect("facebook", user_token=users)
    scene.platform.bad_tokens = {"old"}
    assert isinstance(await scene.run(), Snooze)
    assert scene.platform.tokens("finish")[0].startswith("double:1#")


@pytest.mark.parametrize("mode", ["fail_before", "reset", "rate_limit", "hang"])
async def test_a_sign_in_server_that_fails_costs_an_attempt_and_not_the_account(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    scene.connect("youtube")
    scene.platform.bad_tokens = {"old"}
    scene.platforms.order("refresh", mode, seconds=20)
    with monkeypatch.context() as patch:
        patch.setattr(session, "RENEW_SECONDS", 0.5 if mode == "hang" else session.RENEW_SECONDS)
        outcome = await scene.run()
    assert isinstance(outcome, Retry)
    assert outcome.error.code == "token_not_renewed"
    assert scene.account() == ("connected", None)
    assert isinstance(await scene.run(), Snooze), "the right to renew was given back: nobody waits for its end"


async def test_an_app_that_is_set_up_wrong_does_not_cost_the_users_their_accounts(scene: Scene) -> None:
    scene.connect()
    scene.apps["x_client_secret"] = "of-another-app"
    scene.platform.bad_tokens = {"old"}
    outcome = await scene.run()
    assert isinstance(outcome, Retry)
    assert (outcome.error.details, scene.account()) == ({"reason": "invalid_client"}, ("connected", None))


@pytest.mark.parametrize(("seconds", "renewed"), [(-10, True), (30, True), (300, False)])
async def test_a_token_that_ends_within_a_minute_is_renewed_before_the_first_call(
    scene: Scene, seconds: float, renewed: bool
) -> None:
    scene.connect(lives=timedelta(seconds=seconds))
    assert isinstance(await scene.run(), Snooze)
    assert len(scene.platform.tokens("prepare")) == 1
    assert (scene.platform.tokens("prepare")[0] != "old", scene.renewals) == (renewed, int(renewed))


async def test_a_token_that_renews_itself_is_renewed_at_the_half_of_its_life(scene: Scene) -> None:
    grants = scene.platforms.oauth.grants
    long_lived = grants.new_access_token(Grant("threads", "1", SCOPES))
    scene.connect("threads", lives=timedelta(days=20), access_token=long_lived)
    scene.platforms.order("exchange", "fail_before")
    assert isinstance(await scene.run(), Snooze), "it has 20 days: another run will renew it"
    assert scene.platform.tokens("prepare") == [long_lived]
    assert isinstance(await scene.run(), Snooze)
    assert scene.platform.tokens("prepare")[1] != long_lived
    assert (scene.renewals, scene.account()) == (1, ("connected", None))


async def test_of_two_jobs_at_once_one_renews_and_the_other_takes_the_new_token(scene: Scene) -> None:
    scene.connect()
    scene.platform.bad_tokens = {"old"}
    scene.platforms.order("refresh", "hang", seconds=0.3)
    outcomes = await asyncio.gather(scene.run(), scene.run())
    waited = [each for each in outcomes if isinstance(each, Snooze) and each.checkpoint is None]
    assert len(waited) == 1
    assert waited[0].until <= timedelta(seconds=2)  # type: ignore[operator]
    assert isinstance(await scene.run(), Snooze)
    assert scene.renewals == 1
    assert len(set(scene.platform.tokens("finish"))) == 1, "both have published with the one new token"


async def test_a_job_that_was_refused_with_a_token_since_replaced_renews_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = scene.connect()

    async def renewed_meanwhile(post: Post, account_used: Account, remote: JsonObject, looks: int) -> Any:
        if account_used.access_token == "old":
            right = await scene.ledger.begin_refresh(UUID(account), 1, 60)
            await scene.ledger.store_refreshed(UUID(account), right.fence, {"access_token": "theirs"}, None)
            raise REFUSED
        return scene.platform.answer("prepare", account_used, Ready({}))

    monkeypatch.setattr(scene.platform, "prepare", renewed_meanwhile)
    assert isinstance(await scene.run(), Snooze)
    assert (scene.platform.tokens("finish"), scene.renewals) == (["theirs"], 0)


async def test_a_token_that_another_worker_left_and_that_has_ended_too_is_renewed(scene: Scene) -> None:
    account = UUID(scene.connect())
    scene.platform.bad_tokens = {"old", "theirs"}
    stale = await scene.ledger.credentials(UUID(scene.user.id), "x")
    right = await scene.ledger.begin_refresh(account, 1, 60)
    await scene.ledger.store_refreshed(account, right.fence, {"access_token": "theirs"}, None)

    class Late(Run):
        async def credentials(self, platform: str) -> JsonObject | None:
            return stale

    assert isinstance(await scene.run(run=Late(scene.ledger, UUID(scene.user.id))), Snooze)
    assert scene.platform.tokens("prepare")[:2] == ["old", "theirs"]
    assert (scene.platform.tokens("finish")[0][:9], scene.renewals) == ("double:1#", 1)
    assert scene.account() == ("connected", None)


async def test_after_the_commit_an_old_token_is_renewed_and_the_post_found(scene: Scene) -> None:
    scene.connect()
    scene.platform.bad_tokens = {"old"}
    outcome = await scene.run(committed())
    assert isinstance(outcome, Done) and outcome.result == {"id": "post-1"}
    assert [step for step, _ in scene.platform.calls] == ["poll", "poll"]
    assert scene.renewals == 1


async def test_after_the_commit_a_dead_token_waits_for_the_owner_and_the_post_is_found_then(scene: Scene) -> None:
    scene.connect(refresh_token="spent")
    scene.platform.bad_tokens = {"old"}
    for number in (1, 2):  # refused, then marked already
        outcome = await scene.run(committed())
        assert isinstance(outcome, Snooze), number
        assert outcome.until == timedelta(seconds=RECONNECT_LOOK_SECONDS)
        assert outcome.checkpoint == committed().checkpoint | {"looks": 1}  # type: ignore[operator]
    assert (scene.account(), len(scene.platform.calls)) == (("reconnect", "refresh_refused"), 1)
    scene.connect(access_token="new")
    assert isinstance(await scene.run(committed()), Done)
    scene.project.call("mark_reconnect", scene.connect(refresh_token="spent"), 3, "token_refused")
    assert isinstance(await scene.run(committed(looks=1000)), Unconfirmed), "not for ever"


async def test_the_irreversible_call_is_not_repeated_in_the_run_that_renews_its_token(scene: Scene) -> None:
    scene.connect()
    scene.platform.script["finish"] = deque([REFUSED])
    run = Run(scene.ledger, UUID(scene.user.id))
    outcome = await scene.run(run=run)
    assert isinstance(outcome, Retry), "it was refused, so it did not happen: the next attempt begins anew"
    assert (len(scene.platform.tokens("finish")), len(run.commits), scene.renewals) == (1, 1, 1)
    assert isinstance(await scene.run(new_job(attempt=2), run), Snooze)
    assert len(run.commits) == 2, "and it commits again"
    assert scene.platform.tokens("finish")[1].startswith("double:1#")


@pytest.mark.parametrize(("mode", "expected"), [("dead", Reject), ("database", Retry), ("busy", Retry)])
async def test_an_irreversible_call_that_was_refused_is_never_an_open_question(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, mode: str, expected: type[Any]
) -> None:
    account = scene.connect(refresh_token="spent")
    scene.platform.script["finish"] = deque([REFUSED])
    if mode == "busy":
        await scene.ledger.begin_refresh(UUID(account), 1, 60)
    if mode == "database":

        async def down(*_: object) -> None:
            raise RuntimeError("the database does not answer")

        monkeypatch.setattr(scene.ledger, "begin_refresh", down)
    assert isinstance(await scene.run(), expected)
    assert len(scene.platform.tokens("finish")) == 1


async def test_waiting_for_another_worker_is_no_look_at_the_post(scene: Scene) -> None:
    account = scene.connect()
    scene.platform.bad_tokens = {"old"}
    await scene.ledger.begin_refresh(UUID(account), 1, 60)
    outcome = await scene.run(committed(looks=3))
    assert isinstance(outcome, Snooze) and outcome.checkpoint is not None
    assert outcome.checkpoint["looks"] == 3, "adapters take looks for time that has passed at the platform"


@pytest.mark.parametrize(("network", "end"), [("x", "reconnect"), ("youtube", "connected")])
async def test_a_worker_that_dies_between_renewing_and_storing_leaves_an_account_that_recovers_or_says_so(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, network: str, end: str
) -> None:
    scene.connect(network)
    scene.platform.bad_tokens = {"old"}

    async def die(*_: object) -> None:
        raise ProcessDied

    with monkeypatch.context() as patch:
        patch.setattr(scene.ledger, "store_refreshed", die)
        with suppress(ProcessDied):
            await scene.run()
    waiting = await scene.run()
    assert isinstance(waiting, Snooze) and waiting.checkpoint is None, "the dead one's right still holds"
    scene.shift_clock(41)
    patient = await scene.run()
    assert isinstance(patient, Snooze) and patient.until >= timedelta(seconds=20)  # type: ignore[operator]
    scene.shift_clock(50)
    outcome = await scene.run()
    assert scene.account()[0] == end, "a refresh token that rotates is lost, another is good again"
    assert isinstance(outcome, Reject if end == "reconnect" else Snooze)


async def test_a_database_that_is_away_for_a_moment_costs_no_account(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.connect()
    scene.platform.bad_tokens = {"old"}
    monkeypatch.setattr(session, "STORE_AGAIN_SECONDS", 0.01)
    store, away = scene.ledger.store_refreshed, [LedgerUnavailable("restarting")] * 3

    async def store_in_the_end(*arguments: Any) -> Any:
        if away:
            raise away.pop()
        return await store(*arguments)

    monkeypatch.setattr(scene.ledger, "store_refreshed", store_in_the_end)
    assert isinstance(await scene.run(), Snooze)
    assert (scene.renewals, away, scene.account()[0]) == (1, [], "connected")
    credentials = await scene.ledger.credentials(UUID(scene.user.id), "x")
    assert credentials is not None and credentials["access_token"] != "old"


async def test_a_database_that_stays_away_is_an_error_in_the_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.connect()
    scene.platform.bad_tokens = {"old"}
    monkeypatch.setattr(session, "STORING_SECONDS", 0.05)
    monkeypatch.setattr(session, "STORE_AGAIN_SECONDS", 0.01)

    async def away(*_: object) -> None:
        raise LedgerUnavailable("away")

    monkeypatch.setattr(scene.ledger, "store_refreshed", away)
    with pytest.raises(LedgerUnavailable):
        await scene.run()


async def test_a_renewal_under_way_is_stored_although_the_run_is_cut_off(scene: Scene) -> None:
    scene.connect()
    scene.platform.bad_tokens = {"old"}
    scene.platforms.order("refresh", "hang", seconds=0.3)
    running = asyncio.create_task(scene.run())
    await wait_until(lambda: scene.renewals == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    credentials = await scene.ledger.credentials(UUID(scene.user.id), "x")
    assert credentials is not None and credentials["access_token"].startswith("double:1#")
    assert credentials["refresh_token"].startswith("refresh-")


async def test_a_post_is_not_looked_for_on_another_account(scene: Scene) -> None:
    scene.connect()
    outcome = await scene.run(committed(account="another"))
    assert isinstance(outcome, Unconfirmed) and outcome.error.code == "account_changed"
    begun = new_job(checkpoint={"remote": {"upload": "theirs"}, "looks": 3, "account": "another"})
    outcome = await scene.run(begun)
    assert isinstance(outcome, Snooze)
    assert outcome.checkpoint == {"remote": {"upload": "u1"}, "looks": 0, "account": "1"}
