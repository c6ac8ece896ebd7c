"""What a session promises, request by request: claims, rotation of refresh tokens, and their reuse."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from tests.wire.test_auth_server import (
    PASSWORD,
    Json,
    Project,
    claims_of,
    new_email,
    refusal,
    running_project,
    signed,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
ALREADY_USED = (400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(cluster: Cluster) -> AsyncIterator[Project]:
    async with running_project(cluster) as running:
        yield running


async def refreshed(project: Project, session: Json) -> Json:
    """The session's successor."""
    return project.good(await project.refresh(session["refresh_token"]))


def let_time_pass(project: Project, seconds: int) -> None:
    """Make every refresh token's last use lie further back."""
    project.execute("update auth.refresh_tokens set updated_at = updated_at - %s * interval '1 s'", seconds)


async def test_the_access_token_says_who_where_and_how_long(project: Project) -> None:
    session = await project.sign_up()
    claims, user = claims_of(session), session["user"]
    assert claims["iss"] == f"{project.url}/auth/v1"
    assert claims["exp"] == session["expires_at"] == claims["iat"] + 3600
    assert abs(claims["iat"] - time.time()) < 5
    assert claims["session_id"] == str(
        project.execute("select id from auth.sessions where user_id = %s", user["id"])[0][0]
    )
    assert claims["amr"][0]["method"] == "password"
    assert {name: claims[name] for name in ("sub", "aud", "role", "email", "phone", "aal", "is_anonymous")} == {
        "sub": user["id"],
        "aud": "authenticated",
        "role": "authenticated",
        "email": user["email"],
        "phone": "",
        "aal": "aal1",
        "is_anonymous": False,
    }
    assert claims["app_metadata"] == user["app_metadata"]
    assert claims["user_metadata"] == user["user_metadata"]


async def test_a_password_that_is_weak_by_now_still_signs_in_and_is_told(project: Project) -> None:
    body = {"email": new_email(), "password": "short", "email_confirm": True}
    user = project.good(await project.admin("POST", "", body))
    session = await project.sign_in(user, "short")
    assert session["weak_password"]["reasons"] == ["length"]
    assert "weak_password" not in await project.sign_up()


async def test_times_are_utc_and_empty_ones_are_left_out(project: Project) -> None:
    user = (await project.sign_up())["user"]
    assert user["created_at"].endswith("Z")
    assert datetime.fromisoformat(user["created_at"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert not {"banned_until", "deleted_at", "invited_at", "phone_confirmed_at", "new_email"} & user.keys()


async def test_a_session_remembers_its_device(project: Project) -> None:
    email = new_email()
    await project.call("POST", "/signup", {"email": email, "password": PASSWORD}, **{"User-Agent": "tablet"})
    query = """
        select user_agent, host(ip), refreshed_at
        from auth.sessions s join auth.users u on u.id = s.user_id where email = %s
    """
    assert project.execute(query, email) == [("tablet", "127.0.0.1", None)]


async def test_refreshing_keeps_the_session_and_brings_the_claims_up_to_date(project: Project) -> None:
    session = await project.sign_up()
    user_id = session["user"]["id"]
    project.execute("""update auth.users set raw_app_meta_data = '{"team": "blue"}' where id = %s""", user_id)
    after = await refreshed(project, session)
    assert claims_of(after)["session_id"] == claims_of(session)["session_id"]
    assert claims_of(after)["app_metadata"] == {"team": "blue"}
    assert claims_of(after)["amr"] == claims_of(session)["amr"]
    ((at,),) = project.execute("select refreshed_at from auth.sessions where user_id = %s", user_id)
    assert abs(at.replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_token_used_again_at_once_is_answered_with_the_active_one(project: Project) -> None:
    first = await project.sign_up()
    second = await refreshed(project, first)
    third = await refreshed(project, second)
    assert (await refreshed(project, first))["refresh_token"] == third["refresh_token"]
    assert (await refreshed(project, second))["refresh_token"] == third["refresh_token"]


async def test_an_answer_that_was_lost_can_be_had_again_however_late(project: Project) -> None:
    first = await project.sign_up()
    second = await refreshed(project, first)
    let_time_pass(project, 3600)
    assert (await refreshed(project, first))["refresh_token"] == second["refresh_token"]


async def test_a_token_used_again_late_ends_all_tokens_of_the_session(project: Project) -> None:
    first = await project.sign_up()
    third = await refreshed(project, await refreshed(project, first))
    other = await project.sign_in(first["user"])
    let_time_pass(project, 11)
    assert refusal(await project.refresh(first["refresh_token"])) == ALREADY_USED
    assert refusal(await project.refresh(third["refresh_token"])) == ALREADY_USED
    await refreshed(project, other)


async def test_a_token_used_twice_at_the_same_moment_has_one_successor(project: Project) -> None:
    session = await project.sign_up()
    answers = await asyncio.gather(*(project.refresh(session["refresh_token"]) for _ in range(8)))
    assert len({project.good(answer)["refresh_token"] for answer in answers}) == 1


async def test_an_unknown_refresh_token_is_refused(project: Project) -> None:
    expected = (400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
    assert refusal(await project.refresh("abcdefghijkl")) == expected


async def test_a_session_with_an_end_ends_then(project: Project) -> None:
    session = await project.sign_up()
    project.execute("update auth.sessions set not_after = now() where user_id = %s", session["user"]["id"])
    expected = (400, "session_expired", "Invalid Refresh Token: Session Expired")
    assert refusal(await project.refresh(session["refresh_token"])) == expected


async def test_one_address_signed_up_twice_at_the_same_moment_is_one_user(project: Project) -> None:
    body = {"email": new_email(), "password": PASSWORD}
    answers: list[httpx.Response] = await asyncio.gather(*(project.call("POST", "/signup", body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]
    refused = [answer for answer in answers if answer.status_code == 422]
    assert {refusal(answer)[1] for answer in refused} == {"user_already_exists"}


async def test_slow_passwords_do_not_hold_up_other_requests(cluster: Cluster) -> None:
    async with running_project(cluster, bcrypt_cost=13) as slow:
        signing_up = asyncio.create_task(slow.sign_up())
        await slow.call("GET", "/health")  # the sign-up is sent before it on the same loop
        for _ in range(3):
            await slow.call("GET", "/health")
        assert not signing_up.done()
        await signing_up


async def test_a_user_inserted_by_hand_can_sign_in(project: Project) -> None:
    email = new_email()
    with project.database.connect("postgres") as connection:
        connection.execute(
            """
            insert into auth.users (
              instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, created_at, updated_at
            ) values (
              '00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'authenticated', 'authenticated', %s,
              extensions.crypt(%s, extensions.gen_salt('bf', 4)), now(), now(), now()
            )
            """,
            (email, PASSWORD),
        )
    session = await project.sign_in({"email": email})
    assert session["user"]["user_metadata"] == session["user"]["app_metadata"] == {}
    assert session["user"]["identities"] == []


async def test_a_token_that_names_no_session_still_finds_its_user(project: Project) -> None:
    session = await project.sign_up()
    token = signed(sub=session["user"]["id"], role="authenticated", aud="authenticated")
    assert project.good(await project.call("GET", "/user", token=token))["id"] == session["user"]["id"]
    assert (await project.call("POST", "/logout", token=token)).status_code == 204
    assert (await project.refresh(session["refresh_token"])).status_code == 400


async def test_signing_out_answers_with_nothing(project: Project) -> None:
    session = await project.sign_up()
    answer = await project.call("POST", "/logout", token=session["access_token"])
    assert (answer.status_code, answer.content) == (204, b"")
