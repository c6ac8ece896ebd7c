"""Disconnecting: the platform takes the tokens back, and here the account is forgotten whatever it answers."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from devstack.cluster import Cluster
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
