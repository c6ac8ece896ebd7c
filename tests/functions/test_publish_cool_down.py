"""A network that refuses an account for a while, met by the real drain: the account's posts wait, and are not tried."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from devstack.providers.app import make_providers
from devstack.providers.server import serving
from devstack.providers.world import token_for
from tests.functions.conftest import Logs, NewApp, Project, User, client_of
from tests.functions.draining import drain
from tests.sql.conftest import Engine

DRAIN: dict[str, Any] = {"queues": ["publication_queue"]}


@pytest.fixture
async def providers() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(make_providers()) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


@pytest.fixture
def app(new_app: NewApp, providers: httpx.AsyncClient, project: Project) -> Starlette:
    project.call("process_publication_jobs", 1)  # one at a time: the order of calls is known
    return new_app(
        threads_base_url=f"{providers.base_url}/threads",
        x_base_url=f"{providers.base_url}/x",
        poll_scale=0.01,
        drain_linger_seconds=0.3,
        media_allowed_hosts="127.0.0.1",
    )


def somebody(project: Project, account: str) -> User:
    user = project.sign_up()
    for platform in ("threads", "x"):
        project.call("connect_account", user.id, platform, account, account, {"access_token": token_for(account)})
    return user


def publish(project: Project, user: User, *captions: str, platform: str = "threads") -> list[str]:
    return project.enqueue(
        *[
            {
                "kind": "publish_post",
                "user_id": user.id,
                "payload": {
                    "option": f"{platform}_post",
                    "platform": platform,
                    "content": {"mediaFiles": [], "caption": caption, "settings": {}},
                },
            }
            for caption in captions
        ]
    )


async def refuse(providers: httpx.AsyncClient, platform: str, step: str, seconds: float) -> None:
    fault = {"provider": platform, "step": step, "mode": "rate_limit", "times": 1, "seconds": seconds}
    (await providers.put("/_faults", json=fault)).raise_for_status()


async def posted(providers: httpx.AsyncClient) -> set[str]:
    effects = (await providers.get("/_ledger")).json()
    assert len({effect["key"] for effect in effects}) == len(effects), "nothing went out twice"
    return {effect["key"] for effect in effects}


def later(project: Project, seconds: float) -> None:
    Engine(project.connection).step_clock(timedelta(seconds=seconds))


async def until_over(api: httpx.AsyncClient, project: Project, user: User) -> None:
    for _ in range(20):
        await drain(api, **DRAIN)
        if all(job["finished_at"] for job in project.jobs("user_id = %s", user.id)):
            return
        later(project, 2)
    raise AssertionError(project.jobs())


async def until_parked(api: httpx.AsyncClient, project: Project, ids: list[str], reason: str) -> None:
    """A drain on a busy machine may leave before it has looked at all of them."""
    for _ in range(10):
        await drain(api, **DRAIN)
        if all(project.job(each)["waiting_reason"] == reason for each in ids):
            return
    raise AssertionError([project.job(each) for each in ids])


@pytest.mark.parametrize(
    ("platform", "step", "limiter"),
    [("threads", "container", "account_calls"), ("x", "create_post", "account_posts")],
    ids=["before the commit", "after the commit"],
)
async def test_the_posts_of_the_account_wait_untried_and_then_all_go_out(
    app: Starlette, project: Project, providers: httpx.AsyncClient, logs: Logs, platform: str, step: str, limiter: str
) -> None:
    ana, ben = somebody(project, "ana"), somebody(project, "ben")
    ids = publish(project, ana, "one", "two", "three", platform=platform)
    await refuse(providers, platform, step, 3600)
    async with client_of(app) as api:
        await until_parked(api, project, ids, f"limit:{limiter}")
        assert await posted(providers) == set()
        assert {(project.job(each)["attempt"], project.job(each)["committed_at"]) for each in ids} == {(0, None)}
        why = project.call("why_waiting", ids[2])
        assert why["details"]["because"] == project.job(ids[0])["error_message"]
        assert [line["job_id"] for line in logs.find("[Process Publication API] Job waits")] == [ids[0]]

        publish(project, ben, "four", platform=platform)
        await until_over(api, project, ben)
        assert await posted(providers) == {"ben:four"}, "another account goes on"

        later(project, 3602)
        await until_over(api, project, ana)
    assert await posted(providers) == {"ben:four", "ana:one", "ana:two", "ana:three"}
    assert {(job["status"], job["attempt"]) for job in project.jobs()} == {("completed", 1)}


async def test_a_limit_that_is_changed_while_all_runs_holds_at_once(
    app: Starlette, project: Project, providers: httpx.AsyncClient
) -> None:
    ana = somebody(project, "ana")
    project.call("set_rate_limiter", "threads_day", 1, 86_400)
    first, second = publish(project, ana, "one", "two")
    async with client_of(app) as api:
        while not project.job(first)["finished_at"]:
            await drain(api, **DRAIN)
        assert await posted(providers) == {"ana:one"}
        assert project.job(second)["waiting_reason"] == "limit:threads_day"
        project.call("set_rate_limiter", "threads_day", 2, 86_400)
        await until_over(api, project, ana)
    assert await posted(providers) == {"ana:one", "ana:two"}
