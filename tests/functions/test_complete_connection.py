"""Coming back from a platform: a state is good once, in its time, for its browser and its platform alone."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from tests.functions.accounts_support import SITE, Browser, Office, Platforms, open_office, told
from tests.functions.conftest import Logs, Project, wait_until

CALLBACK = "/api/accounts/x/callback"


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


@pytest.fixture
def thief(office: Office) -> Browser:
    """Another user, with a browser of their own."""
    return office.browser()


async def agreed(browser: Browser, platform: str = "x") -> str:
    """The address that a platform sends the browser back to."""
    begun = await browser.begin(platform)
    return await browser.agree(begun.json()["authorize_url"])


def stored(project: Project) -> int:
    row = project.connection.execute("select count(*) from public.social_accounts").fetchone()
    assert row is not None
    return int(row[0])


def remove(project: Project, browser: Browser) -> None:
    with project.database.connect("supabase_admin") as admin:
        admin.execute("delete from auth.users where id = %s", (browser.user.id,))


def connections(project: Project) -> int:
    with project.database.connect("supabase_admin") as admin:
        row = admin.execute("select count(*) from filaviva.account_connections").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_state_is_good_once(browser: Browser, project: Project, platforms: Platforms) -> None:
    back = await agreed(browser)
    assert told(await browser.come_back(back))["connected"] == "true"
    assert told(await browser.come_back(back)) == {"platform": "x", "error": "state_invalid"}
    assert platforms.oauth.grants.done == [("x", "code")], "the second one did not even reach the platform"


async def test_of_many_returns_at_once_one_connects(browser: Browser, platforms: Platforms) -> None:
    back = await agreed(browser)
    ends = [told(answer) for answer in await asyncio.gather(*(browser.come_back(back) for _ in range(8)))]
    assert sorted(end.get("error", "connected") for end in ends) == ["connected"] + ["state_invalid"] * 7
    assert platforms.oauth.grants.done == [("x", "code")]


async def test_a_user_who_was_deleted_meanwhile_gets_no_account(
    browser: Browser, project: Project, platforms: Platforms
) -> None:
    before, after = await agreed(browser), Browser(browser.api, project.sign_up())
    remove(project, browser)
    assert told(await browser.come_back(before)) == {"platform": "x", "error": "state_invalid"}
    assert platforms.oauth.grants.done == []
    back = await agreed(after)
    platforms.order("token", "hang", seconds=0.5)
    returning = asyncio.create_task(after.come_back(back))
    await wait_until(lambda: connections(project) == 0)
    remove(project, after)
    assert told(await returning) == {"platform": "x", "error": "not_stored"}
    assert stored(project) == 0
    assert project.connection.execute("select count(*) from vault.secrets where name like 'social%'").fetchone() == (0,)


async def test_a_code_is_good_once(browser: Browser, project: Project) -> None:
    first = await agreed(browser, "linkedin")
    assert told(await browser.come_back(first))["connected"] == "true"
    spent = parse_qs(urlsplit(first).query)["code"][0]
    begun = await browser.begin("linkedin")
    state = parse_qs(urlsplit(begun.json()["authorize_url"]).query)["state"][0]
    back = f"/api/accounts/linkedin/callback?{urlencode({'state': state, 'code': spent})}"
    assert told(await browser.come_back(back)) == {"platform": "linkedin", "error": "sign_in_refused"}


async def test_a_code_of_another_sign_in_does_not_pass_pkce(browser: Browser, thief: Browser, project: Project) -> None:
    stolen = parse_qs(urlsplit(await agreed(browser)).query)["code"][0]
    begun = await thief.begin("x")
    state = parse_qs(urlsplit(begun.json()["authorize_url"]).query)["state"][0]
    back = f"{CALLBACK}?{urlencode({'state': state, 'code': stolen})}"
    assert told(await thief.come_back(back)) == {"platform": "x", "error": "sign_in_refused"}
    assert stored(project) == 0


async def test_the_verifier_stays_here(browser: Browser) -> None:
    begun = await browser.begin("x")
    query = parse_qs(urlsplit(begun.json()["authorize_url"]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert "code_verifier" not in query and "verifier" not in begun.text.replace("code_verifier", "")


async def test_nobody_can_be_led_to_connect_their_account_for_somebody_else(
    browser: Browser, thief: Browser, project: Project
) -> None:
    """The thief begins, and sends the platform's address to a victim, who agrees there."""
    begun = await thief.begin("x")
    back = await browser.agree(begun.json()["authorize_url"])
    await browser.begin("x")  # the victim's browser has a cookie too, of a sign-in of its own
    assert told(await browser.come_back(back)) == {"platform": "x", "error": "state_invalid"}
    assert told(await thief.come_back(back))["error"] == "state_invalid", "it is spent"
    assert stored(project) == 0


async def test_a_browser_without_the_cookie_connects_nothing(browser: Browser, project: Project) -> None:
    back = await agreed(browser)
    browser.cookies.clear()
    assert told(await browser.come_back(back))["error"] == "state_invalid"
    assert stored(project) == 0


async def test_a_state_of_one_platform_is_no_good_at_another(
    browser: Browser, platforms: Platforms, project: Project
) -> None:
    back = await agreed(browser, "linkedin")
    await browser.begin("x")
    assert told(await browser.come_back(back.replace("/linkedin/", "/x/")))["error"] == "state_invalid"
    assert (stored(project), platforms.oauth.grants.done) == (0, [])


async def test_after_ten_minutes_the_state_has_expired(browser: Browser, project: Project) -> None:
    back = await agreed(browser)
    with project.database.connect() as operator:
        operator.execute("insert into filaviva.clock_shift (shift) values ('10 minutes')")
    assert told(await browser.come_back(back))["error"] == "state_invalid"
    assert stored(project) == 0


@pytest.mark.parametrize(
    "query",
    [
        "",
        "state=&code=c",
        "state=made-up&code=c",
        "code=c",
        "state=%00%ff&code=c",
        "state=" + "s" * 5000 + "&code=c",
        "error=access_denied",
    ],
)
async def test_a_state_that_was_never_given_is_refused(browser: Browser, project: Project, query: str) -> None:
    await browser.begin("x")
    assert told(await browser.come_back(f"{CALLBACK}?{query}")) == {"platform": "x", "error": "state_invalid"}
    assert stored(project) == 0


@pytest.mark.parametrize("more", ["", "&code=", "&code=" + "c" * 5000])
async def test_a_return_without_a_code_is_refused(browser: Browser, more: str) -> None:
    begun = await browser.begin("x")
    state = parse_qs(urlsplit(begun.json()["authorize_url"]).query)["state"][0]
    assert told(await browser.come_back(f"{CALLBACK}?state={state}{more}"))["error"] == "sign_in_refused"


@pytest.mark.parametrize(
    "path",
    [
        f"{CALLBACK}?redirect_uri=https://evil.example&next=https://evil.example&return_to=//evil.example",
        "/api/accounts/evil.example/callback?state=s",
        "/api/accounts/%2F%2Fevil.example/callback",
        "/api/accounts/x%0d%0aLocation:%20https:%2F%2Fevil.example/callback",
    ],
)
async def test_a_redirect_leads_to_the_site_and_nowhere_else(browser: Browser, path: str) -> None:
    answer = await browser.api.get(path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    if answer.status_code != 404:
        assert answer.headers["location"].startswith(f"{SITE}/contas?")
    assert "evil" not in answer.headers.get("location", "")


async def test_the_callback_address_is_the_sites_whatever_host_was_called(browser: Browser) -> None:
    headers = {**browser.user.headers, "Host": "evil.example"}
    begun = await browser.api.get("/api/accounts/x/connect", headers=headers)
    query = parse_qs(urlsplit(begun.json()["authorize_url"]).query)
    assert query["redirect_uri"] == [f"{SITE}/api/accounts/x/callback"]


async def test_the_cookie_is_for_the_site_alone_and_goes_when_it_is_over(browser: Browser) -> None:
    begun = await browser.begin("x")
    cookie = begun.headers["set-cookie"]
    assert cookie.startswith("__Host-filaviva-connect-x=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=600"} <= set(cookie.split("; ")[1:])
    assert begun.headers["cache-control"] == "no-store"
    back = await browser.agree(begun.json()["authorize_url"])
    answer = await browser.come_back(back)
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")


async def test_no_secret_of_a_sign_in_is_logged(browser: Browser, logs: Logs, platforms: Platforms) -> None:
    platforms.order("identity", "fail_before")
    back = await agreed(browser)
    assert told(await browser.come_back(back))["error"] == "try_again_later"
    written = logs.stream.getvalue()
    query = parse_qs(urlsplit(back).query)
    secrets = [query["state"][0], query["code"][0], *browser.cookies.values(), "double:", "refresh-", "double-secret"]
    assert not [secret for secret in secrets if secret in written]


async def test_an_account_is_stored_although_the_tab_was_closed(
    browser: Browser, project: Project, platforms: Platforms
) -> None:
    """A code that was traded is spent: what it gave must not be lost with the request."""
    back = await agreed(browser)
    platforms.order("identity", "hang", seconds=0.5)
    request = asyncio.create_task(browser.come_back(back))
    await wait_until(lambda: bool(platforms.oauth.grants.done))
    request.cancel()
    await wait_until(lambda: stored(project) == 1)
