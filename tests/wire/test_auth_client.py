"""Users and sessions through the official client, as an app uses them; also against a hosted project (`hosted`)."""

import os
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from supabase import AuthApiError, AuthWeakPasswordError

from tests.wire.hosted import named_project
from tests.wire.test_auth_server import DOMAIN, PASSWORD, AuthApi, new_email, running_project

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(request: pytest.FixtureRequest) -> AsyncIterator[AuthApi]:
    """A project where an address need not be confirmed."""
    named = named_project(os.environ)
    if named is None:
        async with running_project(request.getfixturevalue("cluster")) as running:
            yield running
        return
    async with httpx.AsyncClient() as http:
        yield AuthApi(named.url, http, named.anon_key, named.service_role_key)
    named.sql(f"delete from auth.users where email like '%@{DOMAIN}'")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def careful_project(request: pytest.FixtureRequest) -> AsyncIterator[AuthApi]:
    """A project where an address must be confirmed; always one of the test's own."""
    async with running_project(request.getfixturevalue("cluster"), autoconfirm=False) as running:
        yield running


async def test_signing_up_signs_in(project: AuthApi) -> None:
    client, email = await project.client(), new_email()
    answer = await client.auth.sign_up(
        {"email": email.upper(), "password": PASSWORD, "options": {"data": {"name": "Ana", "nothing": None}}}
    )
    assert answer.session is not None
    assert answer.user is not None
    assert answer.session.user == answer.user
    assert answer.session.token_type == "bearer"
    assert answer.session.expires_in == 3600
    user = answer.user
    assert (user.email, user.role, user.aud) == (email, "authenticated", "authenticated")
    assert user.app_metadata == {"provider": "email", "providers": ["email"]}
    assert user.user_metadata == {
        "name": "Ana",
        "sub": user.id,
        "email": email,
        "email_verified": True,
        "phone_verified": False,
    }
    assert user.email_confirmed_at == user.confirmed_at is not None
    assert user.last_sign_in_at is not None
    assert user.is_anonymous is False


async def test_a_user_who_signs_up_has_an_email_identity(project: AuthApi) -> None:
    client, email = await project.client(), new_email()
    user = (await client.auth.sign_up({"email": email, "password": PASSWORD})).user
    assert user is not None
    assert user.identities is not None
    (identity,) = user.identities
    assert identity.id == identity.user_id == user.id
    assert uuid.UUID(identity.identity_id) != uuid.UUID(user.id)
    assert identity.provider == "email"
    assert identity.identity_data["sub"] == user.id
    assert identity.identity_data["email"] == email


async def test_signing_in_does_not_mind_the_case_of_the_address(project: AuthApi) -> None:
    user = (await project.sign_up())["user"]
    client = await project.client()
    answer = await client.auth.sign_in_with_password({"email": user["email"].upper(), "password": PASSWORD})
    assert answer.user is not None
    assert answer.user.id == user["id"]


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(project: AuthApi) -> None:
    user, client = (await project.sign_up())["user"], await project.client()
    for email, password in [(user["email"], "wrong horse"), (new_email(), PASSWORD), (user["email"], "x" * 100)]:
        with pytest.raises(AuthApiError, match=r"^Invalid login credentials$") as refused:
            await client.auth.sign_in_with_password({"email": email, "password": password})
        assert (refused.value.status, refused.value.code) == (400, "invalid_credentials")


async def test_an_address_signs_up_only_once(project: AuthApi) -> None:
    user, client = (await project.sign_up())["user"], await project.client()
    with pytest.raises(AuthApiError, match="User already registered") as refused:
        await client.auth.sign_up({"email": user["email"].upper(), "password": "another horse"})
    assert (refused.value.status, refused.value.code) == (422, "user_already_exists")


async def test_a_short_password_is_weak(project: AuthApi) -> None:
    client = await project.client()
    with pytest.raises(AuthWeakPasswordError, match="at least 6 characters") as refused:
        await client.auth.sign_up({"email": new_email(), "password": "12345"})
    assert refused.value.reasons == ["length"]


async def test_the_client_reads_the_user_and_the_claims_from_the_server(project: AuthApi) -> None:
    client = await project.client()
    signed_up = await client.auth.sign_up({"email": new_email(), "password": PASSWORD})
    answer = await client.auth.get_user()
    claims = await client.auth.get_claims()
    assert answer is not None
    assert answer.user == signed_up.user
    assert claims is not None
    assert signed_up.user is not None
    assert claims["claims"]["sub"] == signed_up.user.id


async def test_refreshing_gives_a_new_refresh_token(project: AuthApi) -> None:
    client = await project.client()
    before = (await client.auth.sign_up({"email": new_email(), "password": PASSWORD})).session
    after = (await client.auth.refresh_session()).session
    assert before is not None
    assert after is not None
    assert after.refresh_token != before.refresh_token
    assert after.user == before.user


async def test_users_change_their_own_data_key_by_key(project: AuthApi) -> None:
    client = await project.client()
    await client.auth.sign_up(
        {"email": new_email(), "password": PASSWORD, "options": {"data": {"name": "Ana", "city": "Recife"}}}
    )
    user = (await client.auth.update_user({"data": {"city": None, "plan": {"level": 2}}})).user
    assert user.user_metadata["name"] == "Ana"
    assert user.user_metadata["plan"] == {"level": 2}
    assert "city" not in user.user_metadata


async def test_a_new_password_ends_the_other_sessions(project: AuthApi) -> None:
    user, client = (await project.sign_up())["user"], await project.client()
    await client.auth.sign_in_with_password({"email": user["email"], "password": PASSWORD})
    other = await project.sign_in(user)
    await client.auth.update_user({"password": "battery staple"})
    assert (await project.refresh(other["refresh_token"])).json()["error_code"] == "refresh_token_not_found"
    assert (await project.try_password(user["email"])).json()["error_code"] == "invalid_credentials"
    await client.auth.refresh_session()
    await project.sign_in(user, "battery staple")


async def test_a_changed_address_holds_at_once_where_addresses_need_no_confirmation(project: AuthApi) -> None:
    user, client, email = (await project.sign_up())["user"], await project.client(), new_email()
    await client.auth.sign_in_with_password({"email": user["email"], "password": PASSWORD})
    changed = (await client.auth.update_user({"email": email})).user
    assert changed.identities is not None
    assert [changed.email, changed.identities[0].identity_data["email"]] == [email, email]
    await project.sign_in({"email": email})
    assert (await project.try_password(user["email"])).status_code == 400


async def test_a_changed_address_waits_where_addresses_are_confirmed(careful_project: AuthApi) -> None:
    email, client = new_email(), await careful_project.client()
    created = await careful_project.admin(
        "POST", "", {"email": new_email(), "password": PASSWORD, "email_confirm": True}
    )
    await client.auth.sign_in_with_password({"email": created.json()["email"], "password": PASSWORD})
    changed = (await client.auth.update_user({"email": email})).user
    assert changed.email == created.json()["email"]
    assert changed.new_email == email


async def test_whoever_must_confirm_gets_no_session(careful_project: AuthApi) -> None:
    client, email = await careful_project.client(), new_email()
    answer = await client.auth.sign_up({"email": email, "password": PASSWORD})
    assert answer.session is None
    assert answer.user is not None
    assert answer.user.confirmation_sent_at is not None
    assert answer.user.email_confirmed_at is None
    with pytest.raises(AuthApiError, match="Email not confirmed") as refused:
        await client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
    assert refused.value.code == "email_not_confirmed"
    again = await client.auth.sign_up({"email": email, "password": PASSWORD})
    assert again.user is not None
    assert again.user.id == answer.user.id


async def test_signing_up_does_not_tell_that_a_confirmed_address_is_known(careful_project: AuthApi) -> None:
    client, email = await careful_project.client(), new_email()
    known = await careful_project.admin("POST", "", {"email": email, "email_confirm": True})
    answer = await client.auth.sign_up({"email": email, "password": PASSWORD, "options": {"data": {"name": "Eva"}}})
    assert answer.session is None
    assert answer.user is not None
    assert answer.user.id != known.json()["id"]
    assert answer.user.identities == []
    assert answer.user.user_metadata == {"name": "Eva"}
    assert answer.user.email_confirmed_at is None


async def test_signing_out_here_leaves_the_other_devices_alone(project: AuthApi) -> None:
    user, client = (await project.sign_up())["user"], await project.client()
    here = (await client.auth.sign_in_with_password({"email": user["email"], "password": PASSWORD})).session
    other = await project.sign_in(user)
    assert here is not None
    await client.auth.sign_out({"scope": "local"})
    assert (await project.refresh(here.refresh_token)).json()["error_code"] == "refresh_token_not_found"
    assert (await project.refresh(other["refresh_token"])).status_code == 200


async def test_signing_out_the_others_keeps_this_session(project: AuthApi) -> None:
    user, client = (await project.sign_up())["user"], await project.client()
    await client.auth.sign_in_with_password({"email": user["email"], "password": PASSWORD})
    other = await project.sign_in(user)
    await client.auth.sign_out({"scope": "others"})
    assert (await project.refresh(other["refresh_token"])).json()["error_code"] == "refresh_token_not_found"
    await client.auth.refresh_session()


async def test_signing_out_everywhere_is_the_default(project: AuthApi) -> None:
    user, client = (await project.sign_up())["user"], await project.client()
    await client.auth.sign_in_with_password({"email": user["email"], "password": PASSWORD})
    other, bystander = await project.sign_in(user), await project.sign_up()
    await client.auth.sign_out()
    assert (await project.refresh(other["refresh_token"])).json()["error_code"] == "refresh_token_not_found"
    assert (await project.refresh(bystander["refresh_token"])).status_code == 200


async def test_an_access_token_whose_session_ended_is_refused(project: AuthApi) -> None:
    client = await project.client()
    session = (await client.auth.sign_up({"email": new_email(), "password": PASSWORD})).session
    assert session is not None
    await client.auth.sign_out({"scope": "local"})
    with pytest.raises(AuthApiError, match="Session from session_id claim in JWT does not exist") as refused:
        await client.auth.get_user(session.access_token)
    assert (refused.value.status, refused.value.code) == (403, "session_not_found")
