"""What a server does with the service role's key, and nobody else."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from supabase import AsyncClient, AuthApiError

from devstack.cluster import Cluster
from devstack.keys import local_keys
from tests.wire.test_auth_server import PASSWORD, Project, claims_of, new_email, refusal, running_project, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEYS = local_keys()
NOBODY = "6d9d0d1e-0a4c-4f5e-9c7b-0f1f3f5d7a11"  # a test is named by it: always the same


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(cluster: Cluster) -> AsyncIterator[Project]:
    async with running_project(cluster) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(project: Project) -> AsyncClient:
    return await project.client(KEYS.secret_key)


async def test_an_operator_created_by_an_admin_is_one_in_the_next_token(project: Project, admin: AsyncClient) -> None:
    email = new_email()
    created = await admin.auth.admin.create_user(
        {
            "email": email,
            "password": PASSWORD,
            "email_confirm": True,
            "app_metadata": {"filaviva_role": "operator"},
            "user_metadata": {"name": "Ana"},
        }
    )
    session = await project.sign_in({"email": email})
    assert claims_of(session)["app_metadata"] == created.user.app_metadata
    assert created.user.app_metadata == {"provider": "email", "providers": ["email"], "filaviva_role": "operator"}
    assert created.user.user_metadata == {"name": "Ana", "email_verified": True}
    assert created.user.last_sign_in_at is None


async def test_metadata_changed_by_an_admin_is_in_the_next_token(project: Project, admin: AsyncClient) -> None:
    session = await project.sign_up(data={"name": "Ana", "city": "Recife"})
    changed = await admin.auth.admin.update_user_by_id(
        session["user"]["id"],
        {"app_metadata": {"filaviva_role": "operator"}, "user_metadata": {"city": None}, "role": "service_role"},
    )
    assert changed.user.app_metadata["filaviva_role"] == "operator"
    assert changed.user.app_metadata["providers"] == ["email"]
    assert "city" not in changed.user.user_metadata
    claims = claims_of((await project.refresh(session["refresh_token"])).json())
    assert claims["app_metadata"]["filaviva_role"] == "operator"
    assert claims["user_metadata"]["name"] == "Ana"
    assert claims["role"] == "service_role"


async def test_whom_nobody_confirmed_cannot_sign_in_until_an_admin_does(project: Project, admin: AsyncClient) -> None:
    email = new_email()
    created = await admin.auth.admin.create_user({"email": email, "password": PASSWORD})
    assert refusal(await project.try_password(email)) == (400, "email_not_confirmed", "Email not confirmed")
    confirmed = await admin.auth.admin.update_user_by_id(created.user.id, {"email_confirm": True})
    assert confirmed.user.email_confirmed_at is not None
    await project.sign_in({"email": email})


async def test_a_user_without_a_password_cannot_sign_in(project: Project, admin: AsyncClient) -> None:
    email = new_email()
    await admin.auth.admin.create_user({"email": email, "email_confirm": True})
    for password in ("", PASSWORD):
        assert refusal(await project.try_password(email, password))[1] == "invalid_credentials"


async def test_an_admin_chooses_the_id(admin: AsyncClient) -> None:
    user_id = str(uuid.uuid4())
    created = await admin.auth.admin.create_user({"id": user_id, "email": new_email()})
    assert created.user.id == user_id
    with pytest.raises(AuthApiError, match="id already exists") as refused:
        await admin.auth.admin.create_user({"id": user_id, "email": new_email()})
    assert (refused.value.status, refused.value.code) == (409, "conflict")


async def test_a_password_set_by_an_admin_ends_every_session(project: Project, admin: AsyncClient) -> None:
    session = await project.sign_up()
    await admin.auth.admin.update_user_by_id(session["user"]["id"], {"password": "battery staple"})
    assert refusal(await project.refresh(session["refresh_token"]))[1] == "refresh_token_not_found"
    await project.sign_in(session["user"], "battery staple")


async def test_an_address_changed_by_an_admin_is_the_one_to_sign_in_with(project: Project, admin: AsyncClient) -> None:
    user, email = (await project.sign_up())["user"], new_email()
    changed = await admin.auth.admin.update_user_by_id(user["id"], {"email": email})
    assert changed.user.identities is not None
    assert [changed.user.email, changed.user.identities[0].identity_data["email"]] == [email, email]
    await project.sign_in({"email": email})


async def test_a_banned_user_is_kept_out_until_the_ban_ends(project: Project, admin: AsyncClient) -> None:
    session = await project.sign_up()
    user = session["user"]
    banned = await admin.auth.admin.update_user_by_id(user["id"], {"ban_duration": "1h30m"})
    assert banned.user.banned_until is not None
    until = datetime.fromisoformat(banned.user.banned_until)
    assert abs(until - datetime.now(UTC) - timedelta(hours=1.5)) < timedelta(minutes=1)
    assert refusal(await project.try_password(user["email"])) == (400, "user_banned", "User is banned")
    assert refusal(await project.refresh(session["refresh_token"]))[:2] == (400, "user_banned")
    assert refusal(await project.call("GET", "/user", token=session["access_token"]))[:2] == (403, "user_banned")
    free = await admin.auth.admin.update_user_by_id(user["id"], {"ban_duration": "none"})
    assert free.user.banned_until is None
    assert (await project.refresh(session["refresh_token"])).status_code == 200


async def test_deleting_a_user_takes_along_what_refers_to_it(project: Project, admin: AsyncClient) -> None:
    session = await project.sign_up()
    user_id = session["user"]["id"]
    with project.database.connect("postgres") as connection:
        connection.execute(
            "create table if not exists public.notes (owner uuid references auth.users (id) on delete cascade)"
        )
        connection.execute("insert into public.notes values (%s)", (user_id,))
        await admin.auth.admin.delete_user(user_id)
        assert connection.execute("select count(*) from public.notes where owner = %s", (user_id,)).fetchone() == (0,)
    for table in ("identities", "sessions", "refresh_tokens"):
        query = f"select count(*) from auth.{table} where user_id::text = %s"
        assert project.execute(query, user_id) == [(0,)], table
    assert refusal(await project.admin("GET", f"/{user_id}")) == (404, "user_not_found", "User not found")


async def test_a_softly_deleted_user_leaves_a_row_that_says_nothing(project: Project, admin: AsyncClient) -> None:
    session = await project.sign_up(data={"name": "Ana"})
    user = session["user"]
    await admin.auth.admin.delete_user(user["id"], should_soft_delete=True)
    kept = (await admin.auth.admin.get_user_by_id(user["id"])).user
    assert kept.deleted_at is not None
    assert kept.user_metadata == kept.app_metadata == {}
    assert user["email"] not in kept.model_dump_json()
    assert refusal(await project.refresh(session["refresh_token"]))[1] == "refresh_token_not_found"
    again = (await project.sign_up(email=user["email"]))["user"]
    assert again["id"] != user["id"]


async def test_users_are_listed_newest_first_page_by_page(cluster: Cluster) -> None:
    async with running_project(cluster) as project:
        made = [(await project.admin("POST", "", {"email": new_email()})).json()["id"] for _ in range(5)]
        admin = await project.client(KEYS.service_role_key)
        everyone = await admin.auth.admin.list_users()
        assert [user.id for user in everyone] == made[::-1]
        assert [user.id for user in await admin.auth.admin.list_users(page=2, per_page=2)] == [made[2], made[1]]
        answer = await project.admin("GET", "?page=2&per_page=2")
        assert answer.json()["aud"] == "authenticated"
        assert answer.headers["x-total-count"] == "5"
        assert answer.headers["link"] == (
            '</admin/users?page=3&per_page=2>; rel="next", </admin/users?page=3&per_page=2>; rel="last"'
        )
        last = await project.admin("GET", "?page=3&per_page=2")
        assert last.headers["link"] == '</admin/users?page=3&per_page=2>; rel="last"'
        assert (await project.admin("GET", "?page=9")).json()["users"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("GET", f"/{NOBODY}"), ("PUT", f"/{NOBODY}"), ("DELETE", f"/{NOBODY}")],
)
async def test_nobody_but_the_service_role_is_an_admin(project: Project, method: str, path: str) -> None:
    session = await project.sign_up()
    for token in (KEYS.anon_key, session["access_token"], signed(role="authenticated")):
        answer = await project.call(method, f"/admin/users{path}", {}, token=token)
        assert refusal(answer) == (403, "not_admin", "User not allowed")
    forged = await project.call(method, f"/admin/users{path}", {}, token=KEYS.service_role_key[:-4] + "AAAA")
    assert refusal(forged)[:2] == (403, "bad_jwt")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "message"),
    [
        ("POST", "", {"password": PASSWORD}, 400, "validation_failed", "Cannot create a user without either"),
        ("POST", "", {"email": "nonsense"}, 400, "validation_failed", "Unable to validate email address"),
        ("POST", "", {"email": "a@example.com", "id": "7"}, 400, "validation_failed", "ID must conform to the uuid"),
        ("POST", "", {"email": "a@example.com", "id": str(uuid.UUID(int=0))}, 400, "validation_failed", "ID cannot be"),
        ("POST", "", {"email": "a@example.com", "password": "x" * 73}, 400, "validation_failed", "Password cannot be"),
        ("POST", "", {"email": "a@example.com", "ban_duration": "1 day"}, 400, "validation_failed", "invalid format"),
        ("POST", "", {"email": "a@example.com", "ban_duration": "-"}, 400, "validation_failed", "invalid format"),
        ("POST", "", {"email": "a@example.com", "ban_duration": "9" * 400 + "h"}, 400, "validation_failed", "invalid"),
        ("POST", "", {"email": "a@example.com", "role": "r" * 256}, 400, "bad_json", "Could not parse"),
        ("POST", "", {"email": "a@example.com", "email_confirm": "yes"}, 400, "bad_json", "Could not parse"),
        ("POST", "", {"email": "a@example.com", "phone": "+351910000000"}, 501, "not_implemented", "Auth of devstack"),
        ("POST", "", {"email": "a@example.com", "password_hash": "$2a$"}, 501, "not_implemented", "Auth of devstack"),
        ("POST", "", b"{", 400, "bad_json", "Could not parse request body as JSON"),
        ("GET", "?page=x", None, 400, "validation_failed", "Bad Pagination Parameters: page must be a number from 1"),
        ("GET", "?page=-1", None, 400, "validation_failed", "Bad Pagination Parameters"),
        ("GET", "?page=99999999999999999999", None, 400, "validation_failed", "Bad Pagination Parameters"),
        ("GET", "?per_page=0", None, 400, "validation_failed", "Bad Pagination Parameters"),
        ("GET", "/7", None, 404, "validation_failed", "user_id must be an UUID"),
        ("GET", f"/{NOBODY}", None, 404, "user_not_found", "User not found"),
        ("PUT", f"/{NOBODY}", {}, 404, "user_not_found", "User not found"),
        ("DELETE", f"/{NOBODY}", None, 404, "user_not_found", "User not found"),
    ],
)
async def test_a_wrong_request_of_an_admin_is_told_why(
    project: Project, method: str, path: str, body: object, status: int, code: str, message: str
) -> None:
    answer = refusal(await project.admin(method, path, body))
    assert answer[:2] == (status, code)
    assert answer[2].startswith(message)


async def test_a_taken_address_is_refused(project: Project) -> None:
    ana, eva = (await project.sign_up())["user"], (await project.sign_up())["user"]
    expected = (422, "email_exists", "A user with this email address has already been registered")
    assert refusal(await project.admin("POST", "", {"email": ana["email"].upper()})) == expected
    assert refusal(await project.admin("PUT", f"/{eva['id']}", {"email": ana["email"]})) == expected


async def test_a_weak_password_is_refused_when_an_admin_changes_it(project: Project) -> None:
    user = (await project.sign_up())["user"]
    assert refusal(await project.admin("PUT", f"/{user['id']}", {"password": "short"}))[:2] == (422, "weak_password")


async def test_a_user_is_deleted_with_or_without_a_body(project: Project) -> None:
    for body in (None, {}, {"should_soft_delete": False}):
        user = (await project.sign_up())["user"]
        answer = await project.admin("DELETE", f"/{user['id']}", body)
        assert (answer.status_code, answer.json()) == (200, {})
