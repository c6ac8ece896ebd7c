"""Auth's rate limits, for who wants to see what an app makes of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from devstack.auth.limits import AuthLimits, Limit, Limiter
from devstack.cluster import Cluster
from tests.wire.test_auth_server import PASSWORD, Project, new_email, refusal, running_project

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = AuthLimits(tokens=Limit(1, 3600, 2), accounts=Limit(1, 3600, 4), mails=Limit(1, 3600, 1))
TOO_OFTEN = (429, "over_request_rate_limit", "Request rate limit reached")
TOO_MANY_MAILS = (429, "over_email_send_rate_limit", "email rate limit exceeded")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(cluster: Cluster) -> AsyncIterator[Project]:
    async with running_project(cluster, limits=LIMITS, autoconfirm=False) as running:
        yield running


async def test_who_asks_too_often_is_refused_with_the_real_server_s_codes(project: Project) -> None:
    body = {"email": new_email(), "password": PASSWORD}
    codes = [(await project.call("POST", "/token?grant_type=password", body)).status_code for _ in range(2)]
    assert codes == [400, 400]
    assert refusal(await project.call("POST", "/token?grant_type=password", body)) == TOO_OFTEN
    assert refusal(await project.call("POST", "/token?grant_type=refresh_token", {"refresh_token": "x"})) == TOO_OFTEN
    newer = await project.call("POST", "/token?grant_type=password", body, **{"X-Supabase-Api-Version": "2024-01-01"})
    assert newer.json() == {"code": TOO_OFTEN[1], "message": TOO_OFTEN[2]}


async def test_sign_ups_are_limited_by_address_and_by_mails(project: Project) -> None:
    answers = [await project.call("POST", "/signup", {"email": new_email(), "password": PASSWORD}) for _ in range(4)]
    assert answers[0].status_code == 200
    assert [refusal(answer) for answer in answers[1:]] == [TOO_MANY_MAILS] * 3
    assert refusal(await project.call("PUT", "/user", {"data": {}})) == TOO_OFTEN
    assert (await project.call("GET", "/health")).status_code == 200


async def test_a_bucket_fills_up_again_and_each_key_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("devstack.auth.limits.time.monotonic", lambda: now)
    limiter = Limiter(Limit(10, 60, 3))
    assert [limiter.take("a") for _ in range(4)] == [True, True, True, False]
    assert limiter.take("b")
    now += 6
    assert [limiter.take("a") for _ in range(2)] == [True, False]
    now += 600
    assert [limiter.take("a") for _ in range(4)] == [True, True, True, False]
