"""Disconnecting: the platform takes the tokens back, and here the account is forgotten whatever it answers."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from devstack.providers.oauth_servers import CLIENT_ID, CLIENT_SECRET
from functions import disconnect_account as module
from tests.functions.accounts_support import PLATFORMS, Browser, Office, Platforms, open_office
from tests.functions.conftest import Logs, Project

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(cluster: Cluster) -> AsyncIterator[Office]:
    async with open_office(cluster) as office:
        yield office


@pytest.fixture
def office(shared: Office) -> Office:
    return shared.reset()


@pytest.fixture
def project(office: Office) -> Project:
    return office.project


@pytest.fixture
def platforms(office: Office) -> Platforms:
    return office.platforms


@pytest.fixture
def logs(office: Office) -> Logs:
    return office.logs


@pytest.fixture
def browser(office: Office) -> Browser:
    return office.browser()


def accounts(project: Project) -> dict[str, str]:
    return {platform: str(each) for platform, each in project.connection.execute(
        "select platform, id from public.social_accounts"
    )}  # fmt: skip


async def delete(browser: Browser, account: str) -> tuple[int, dict[str, object]]:
    answer = await browser.api.delete(f"/api/accounts/{account}", headers=browser.user.headers)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_disconnecting_revokes_where_the_platform_can(
    browser: Browser, project: Project, platforms: Platforms, platform: str
) -> None:
    await browser.connect(platform)
    account = accounts(project)[platform]
    status, body = await delete(browser, account)
    revoked = platform != "threads"
    assert (status, body) == (200, {"id": account, "platform": platform, "revoked": revoked})
    grants = platforms.oauth.grants
    assert (grants.done[-1][1] == "revoke") is revoked
    assert bool(grants.access_tokens) is not revoked
    assert accounts(project) == {}
    assert project.connection.execute("select count(*) from vault.secrets where name like 'social%'").fetchone() == (0,)
    assert platforms.seen == []
    assert (await delete(browser, account))[0] == 404


async def test_what_stands_on_the_same_facebook_sign_in_goes_on(
    browser: Browser, project: Project, platforms: Platforms
) -> None:
    await browser.connect("facebook")
    await browser.connect("instagram")
    _, body = await delete(browser, accounts(project)["facebook"])
    assert body["revoked"] is True
    assert platforms.oauth.grants.done[-1] == ("facebook", "revoke pages_manage_posts")
    _, body = await delete(browser, accounts(project)["instagram"])
    assert body["revoked"] is True
    assert platforms.oauth.grants.done[-1] == ("facebook", "revoke"), "the last one takes all of it back"


@pytest.mark.parametrize("mode", ["fail_before", "reset", "hang"])
async def test_a_platform_that_fails_does_not_keep_an_account_here(
    browser: Browser, project: Project, platforms: Platforms, monkeypatch: pytest.MonkeyPatch, logs: Logs, mode: str
) -> None:
    monkeypatch.setattr(module, "REVOKE_SECONDS", 0.3)
    await browser.connect("x")
    platforms.order("revoke", mode, seconds=30)
    status, body = await delete(browser, accounts(project)["x"])
    assert (status, body["revoked"]) == (200, False)
    assert accounts(project) == {}
    assert logs.find("the tokens could not be revoked")


async def test_a_renewal_under_way_is_waited_for_and_its_tokens_are_revoked(
    browser: Browser, project: Project, platforms: Platforms
) -> None:
    """X gives a new refresh token each time: with the old one there would be nothing left to revoke."""
    await browser.connect("x")
    account, grants = accounts(project)["x"], platforms.oauth.grants
    right = project.call("begin_refresh", account, 1, 60)
    disconnecting = asyncio.create_task(delete(browser, account))
    await asyncio.sleep(0.1)
    assert (disconnecting.done(), grants.done[-1]) == (False, ("x", "code"))
    form = {
        "grant_type": "refresh_token",
        "refresh_token": right["credentials"]["refresh_token"],
        "client_id": CLIENT_ID,
    }
    async with httpx.AsyncClient(auth=(CLIENT_ID, CLIENT_SECRET)) as worker:
        renewed = (await worker.post(f"{platforms.url}/oauth/api.x.com/2/oauth2/token", data=form)).json()
    secrets = {name: renewed[name] for name in ("access_token", "refresh_token")}
    assert project.call("store_refreshed", account, right["fence"], secrets) is not None
    status, body = await disconnecting
    assert (status, body["revoked"], grants.done[-1]) == (200, True, ("x", "revoke"))
    assert (grants.access_tokens, grants.refresh_tokens) == ({}, {})


async def test_a_worker_that_died_while_it_renewed_keeps_no_account_here(
    browser: Browser, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEWAL_SECONDS", 0.3)
    await browser.connect("x")
    account = accounts(project)["x"]
    assert project.call("begin_refresh", account, 1, 60)["state"] == "yours"
    status, body = await delete(browser, account)
    assert (status, body["revoked"], accounts(project)) == (200, True, {})


async def test_while_tokens_are_revoked_no_worker_renews_them(
    browser: Browser, project: Project, platforms: Platforms
) -> None:
    await browser.connect("x")
    account = accounts(project)["x"]
    platforms.order("revoke", "hang", seconds=1)
    disconnecting = asyncio.create_task(delete(browser, account))
    while project.connection.execute("select refresh_until from filaviva.account_tokens").fetchone() == (None,):  # noqa: ASYNC110 - a row
        await asyncio.sleep(0.01)
    assert project.call("begin_refresh", account, 1, 60)["state"] == "busy"
    await disconnecting
    assert project.call("begin_refresh", account, 1, 60)["state"] == "gone"


async def test_an_account_to_reconnect_is_disconnected_too(browser: Browser, project: Project) -> None:
    await browser.connect("x")
    account = accounts(project)["x"]
    project.call("mark_reconnect", account, 1, "token_refused")
    assert await delete(browser, account) == (200, {"id": account, "platform": "x", "revoked": False})


async def test_nobody_disconnects_what_is_not_theirs(browser: Browser, project: Project, platforms: Platforms) -> None:
    await browser.connect("x")
    account = accounts(project)["x"]
    stranger = Browser(browser.api, project.sign_up())
    status, body = await delete(stranger, account)
    assert (status, body["error"]["code"]) == (404, "unknown_account")  # type: ignore[index]
    assert (await browser.api.delete(f"/api/accounts/{account}")).status_code == 401
    assert (await delete(browser, str(uuid4())))[0] == 404
    status, body = await delete(browser, "x")
    assert (status, body["error"]["details"]) == (400, {"field": "id"})  # type: ignore[index]
    assert list(accounts(project)) == ["x"]
    assert platforms.oauth.grants.done == [("x", "code")]
