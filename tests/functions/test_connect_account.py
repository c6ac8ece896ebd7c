"""Connecting an account: each platform's sign-in against its double, from the click to the stored account."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import pytest_asyncio
from psycopg.rows import dict_row

from devstack.cluster import Cluster
from tests.functions.accounts_support import (
    PLATFORMS,
    Browser,
    Office,
    Platforms,
    client_settings,
    open_office,
    told,
)
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


def account_of(project: Project, browser: Browser) -> dict[str, Any]:
    """The one account that is stored, as the worker gets it."""
    with project.connection.cursor(row_factory=dict_row) as cursor:
        (row,) = cursor.execute("select * from public.social_accounts").fetchall()
    assert str(row["user_id"]) == browser.user.id
    credentials: dict[str, Any] = project.call("account_credentials", row["user_id"], row["platform"])
    return row | credentials


EXPECTED: dict[str, dict[str, Any]] = {
    "tiktok": {"external_id": "tiktok-1", "display_name": "Double", "kind": "", "extra": {}},
    "facebook": {"external_id": "facebook-1", "display_name": "Page facebook-1", "kind": "page"},
    "instagram": {"external_id": "ig-facebook-1", "display_name": "Page facebook-1", "kind": "facebook_login"},
    "threads": {"external_id": "threads-1", "display_name": "double", "kind": "", "extra": {}},
    "youtube": {"external_id": "youtube-1", "display_name": "Double", "kind": "", "extra": {}},
    "x": {"external_id": "x-1", "display_name": "double", "kind": "", "extra": {}},
    "linkedin": {"external_id": "linkedin-1", "display_name": "Double", "kind": "person", "extra": {}},
}
LIVES_DAYS = {"tiktok": 1 / 24, "threads": 60, "youtube": 1 / 24, "x": 1 / 12, "linkedin": 60}
RENEWED_WITH = {"facebook": "user_token", "instagram": "user_token", "threads": "access_token"}


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_an_account_of_each_platform_is_connected(
    browser: Browser,
    project: Project,
    platforms: Platforms,
    logs: Logs,
    caplog: pytest.LogCaptureFixture,
    platform: str,
) -> None:
    caplog.set_level("DEBUG")  # httpx writes the address of every request
    assert await browser.connect(platform) == {"platform": platform, "connected": "true"}
    account = account_of(project, browser)
    assert {name: account[name] for name in EXPECTED[platform]} == EXPECTED[platform]
    assert account["access_token"].startswith(f"double:{account['external_id']}#")
    assert account[RENEWED_WITH.get(platform, "refresh_token")]
    if platform in LIVES_DAYS:
        left = datetime.fromisoformat(account["expires_at"]) - datetime.now(UTC)
        assert abs(left - timedelta(days=LIVES_DAYS[platform])) < timedelta(minutes=2)
    else:
        assert account["expires_at"] is None
    assert platforms.seen == []
    written = logs.stream.getvalue()
    assert not [secret for secret in ("double:", "refresh-", "code-", "double-secret") if secret in written]
    assert "/oauth/" in caplog.text
    assert not [secret for secret in ("double:", "refresh-", "double-secret") if secret in caplog.text]


async def test_instagrams_own_sign_in_is_used_where_its_app_is_configured(
    office: Office, project: Project, platforms: Platforms
) -> None:
    browser = Browser(office.client(**platforms.settings, **client_settings("instagram")), project.sign_up())
    assert (await browser.connect("instagram"))["connected"] == "true"
    account = account_of(project, browser)
    assert (account["kind"], account["external_id"]) == ("instagram_login", "instagram-1")
    assert platforms.oauth.grants.done == [("instagram", "code"), ("instagram", "exchange")]


async def test_a_wanted_page_is_chosen_and_the_others_are_offered(browser: Browser, project: Project) -> None:
    begun = await browser.begin("facebook", account="facebook-1-2")
    back = await browser.agree(begun.json()["authorize_url"])
    assert told(await browser.come_back(back))["connected"] == "true"
    account = account_of(project, browser)
    assert (account["external_id"], account["extra"]["page_id"]) == ("facebook-1-2", "facebook-1-2")
    assert [choice["id"] for choice in account["extra"]["choices"]] == ["facebook-1", "facebook-1-2"]


async def test_an_organization_is_connected_with_the_right_to_post_for_it(browser: Browser, project: Project) -> None:
    begun = await browser.begin("linkedin", account="urn:li:organization:77")
    address = begun.json()["authorize_url"]
    assert parse_qs(urlsplit(address).query)["scope"] == ["openid profile w_organization_social"]
    assert told(await browser.come_back(await browser.agree(address)))["connected"] == "true"
    account = account_of(project, browser)
    assert (account["external_id"], account["kind"]) == ("77", "organization")
    assert account["extra"] == {"organization_urn": "urn:li:organization:77"}


@pytest.mark.parametrize(
    ("platform", "double", "code"),
    [
        ("x", {"error": "access_denied"}, "access_denied"),
        ("linkedin", {"error": "user_cancelled_authorize"}, "access_denied"),
        ("x", {"error": "anything <b>else</b>"}, "sign_in_refused"),
        ("tiktok", {"scopes": "video.upload"}, "missing_rights"),
        ("facebook", {"scopes": "pages_show_list"}, "missing_rights"),
    ],
)
async def test_what_a_user_did_not_allow_is_said_and_nothing_is_stored(
    browser: Browser, project: Project, platform: str, double: dict[str, str], code: str
) -> None:
    assert await browser.connect(platform, **double) == {"platform": platform, "error": code}
    assert project.connection.execute("select count(*) from public.social_accounts").fetchone() == (0,)


async def test_a_page_that_was_not_shared_is_not_replaced_by_another(browser: Browser) -> None:
    begun = await browser.begin("facebook", account="not-mine")
    back = await browser.agree(begun.json()["authorize_url"])
    assert told(await browser.come_back(back))["error"] == "account_not_offered"


@pytest.mark.parametrize("step", ["token", "identity"])
@pytest.mark.parametrize("mode", ["fail_before", "reset", "rate_limit"])
async def test_a_platform_that_does_not_answer_is_to_be_tried_again(
    browser: Browser, platforms: Platforms, step: str, mode: str
) -> None:
    platforms.order(step, mode)
    assert await browser.connect("x") == {"platform": "x", "error": "try_again_later"}
    assert (await browser.connect("x"))["connected"] == "true"


async def test_an_app_that_the_platform_does_not_know_is_the_operators_matter(
    office: Office, project: Project, platforms: Platforms, logs: Logs
) -> None:
    settings = {**client_settings(), "linkedin_client_secret": "of-another-app"}
    browser = Browser(office.client(**platforms.settings, **settings), project.sign_up())
    assert (await browser.connect("linkedin"))["error"] == "platform_not_configured"
    assert logs.find("the platform does not accept the operator's app")
    assert "of-another-app" not in logs.stream.getvalue()


async def test_connecting_again_replaces_the_account_and_its_tokens(browser: Browser, project: Project) -> None:
    await browser.connect("x")
    first = account_of(project, browser)
    project.call("mark_reconnect", str(first["id"]), 1, "token_refused")
    await browser.connect("x", account="x-2")
    second = account_of(project, browser)
    assert (second["id"], second["external_id"], second["status"]) == (first["id"], "x-2", "connected")
    assert second["access_token"] != first["access_token"]
    assert (second["version"], second["token_version"]) == (3, 2)


async def test_the_accounts_are_listed_without_tokens(browser: Browser, project: Project) -> None:
    await browser.connect("x")
    await browser.connect("tiktok")
    answer = await browser.api.get("/api/accounts", headers=browser.user.headers)
    assert answer.status_code == 200
    body = answer.json()
    assert [item["platform"] for item in body["items"]] == ["tiktok", "x"]
    assert body["connectable"] == list(PLATFORMS)
    assert "double:" not in answer.text and "refresh" not in answer.text
    stranger = project.sign_up()
    other = await browser.api.get("/api/accounts", headers=stranger.headers)
    assert other.json()["items"] == []


async def test_a_platform_without_an_app_cannot_be_connected(office: Office) -> None:
    api, user = office.client(**office.platforms.settings), office.project.sign_up()
    refused = await api.get("/api/accounts/x/connect", headers=user.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (501, "platform_not_configured")
    listed = await api.get("/api/accounts", headers=user.headers)
    assert listed.json()["connectable"] == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/accounts/myspace/connect", 404, "unknown_platform"),
        ("/api/accounts/x/connect?account=%3Cb%3E", 400, "invalid_field"),
    ],
)
async def test_bad_requests_to_connect_are_refused_clearly(browser: Browser, path: str, status: int, code: str) -> None:
    answer = await browser.api.get(path, headers=browser.user.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["hint"]


async def test_only_a_signed_in_user_begins(browser: Browser, project: Project) -> None:
    forged = {"Authorization": f"Bearer {project.token(uuid4(), exp=1)}"}
    for headers in ({}, {"Authorization": f"Bearer {project.keys.anon_key}"}, forged):
        for path in ("/api/accounts", "/api/accounts/x/connect"):
            answer = await browser.api.get(path, headers=headers)
            assert answer.status_code == 401, (path, answer.text)
    assert project.connection.execute("select count(*) from filaviva.account_connections").fetchone() == (0,)


async def test_without_the_sites_address_nothing_is_begun(office: Office) -> None:
    headers = office.project.sign_up().headers
    refused = await office.client(**client_settings()).get("/api/accounts/x/connect", headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (500, "not_configured")
