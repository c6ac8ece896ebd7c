"""Every way to be refused has GoTrue's status, code and words, in both shapes, and never a 500."""

import time
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from devstack.keys import local_keys
from tests.wire.test_auth_server import PASSWORD, Project, new_email, refusal, running_project, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEYS = local_keys()
SIGN_UP, SIGN_IN, REFRESH = "/signup", "/token?grant_type=password", "/token?grant_type=refresh_token"
BAD_ADDRESS = "Unable to validate email address: invalid format"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(cluster: Cluster) -> AsyncIterator[Project]:
    async with running_project(cluster) as running:
        yield running


async def test_without_an_api_version_the_older_shape_comes_back(project: Project) -> None:
    answer = await project.call("POST", SIGN_IN, {"email": "nobody@example.com", "password": PASSWORD})
    assert answer.json() == {"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials"}
    assert answer.headers["x-sb-error-code"] == "invalid_credentials"
    assert "x-supabase-api-version" not in answer.headers


@pytest.mark.parametrize("version", ["2024-01-01", "2026-06-01"])
async def test_with_an_api_version_the_newer_shape_comes_back(project: Project, version: str) -> None:
    body = {"email": "nobody@example.com", "password": PASSWORD}
    answer = await project.call("POST", SIGN_IN, body, **{"X-Supabase-Api-Version": version})
    assert answer.json() == {"code": "invalid_credentials", "message": "Invalid login credentials"}
    assert answer.headers["x-sb-error-code"] == "invalid_credentials"
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"


@pytest.mark.parametrize("version", ["2023-12-31", "soon", ""])
async def test_an_api_version_that_does_not_exist_means_the_older_shape(project: Project, version: str) -> None:
    answer = await project.call("POST", SIGN_IN, {}, **{"X-Supabase-Api-Version": version})
    assert "error_code" in answer.json()
    assert "x-supabase-api-version" not in answer.headers


@pytest.mark.parametrize("version", ["", "2024-01-01"])
async def test_a_weak_password_tells_its_reasons_in_both_shapes(project: Project, version: str) -> None:
    body = {"email": new_email(), "password": "short"}
    answer = await project.call("POST", SIGN_UP, body, **{"X-Supabase-Api-Version": version})
    assert answer.status_code == 422
    assert answer.json()["weak_password"] == {"reasons": ["length"]}


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "message"),
    [
        (SIGN_UP, {"email": "a@example.com"}, 400, "validation_failed", "Signup requires a valid password"),
        (SIGN_UP, {"email": "a@", "password": PASSWORD}, 400, "validation_failed", BAD_ADDRESS),
        (SIGN_UP, {"email": "a b@example.com", "password": PASSWORD}, 400, "validation_failed", BAD_ADDRESS),
        (SIGN_UP, {"email": "a@example.com\n", "password": PASSWORD}, 400, "validation_failed", BAD_ADDRESS),
        (
            SIGN_UP,
            {"email": "a" * 250 + "@b.com", "password": PASSWORD},
            400,
            "validation_failed",
            "An email address is too long",
        ),
        (
            SIGN_UP,
            {"email": "a@example.com", "password": "ü" * 37},
            400,
            "validation_failed",
            "Password cannot be longer than 72 characters",
        ),
        (
            SIGN_UP,
            {"email": "a@example.com", "phone": "+351910000000", "password": PASSWORD},
            400,
            "validation_failed",
            "Only an email address or phone number should be provided on signup.",
        ),
        (
            SIGN_UP,
            {"phone": "+351910000000", "password": PASSWORD},
            400,
            "phone_provider_disabled",
            "Phone signups are disabled",
        ),
        (SIGN_UP, {"data": {}}, 422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled"),
        (SIGN_IN, {"password": PASSWORD}, 400, "validation_failed", "missing email or phone"),
        (SIGN_IN, {"email": "a@example.com"}, 400, "invalid_credentials", "Invalid login credentials"),
        (
            SIGN_IN,
            {"phone": "+351910000000", "password": PASSWORD},
            422,
            "phone_provider_disabled",
            "Phone logins are disabled",
        ),
        (
            SIGN_IN,
            {"email": "a@example.com", "phone": "+351910000000"},
            400,
            "validation_failed",
            "Only an email address or phone number should be provided on login.",
        ),
        (REFRESH, {}, 400, "validation_failed", "refresh_token required"),
        ("/token", {}, 400, "invalid_credentials", "unsupported_grant_type"),
        ("/token?grant_type=magic", {}, 400, "invalid_credentials", "unsupported_grant_type"),
    ],
)
async def test_an_incomplete_request_is_told_what_is_missing(
    project: Project, path: str, body: object, status: int, code: str, message: str
) -> None:
    assert refusal(await project.call("POST", path, body)) == (status, code, message)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"{", "char"),
        (b'{"email": "\xff"}', "UTF-8"),
        (b"[]", "body: "),
        (b"null", "body: "),
        (b'{"email": 7, "password": "correct horse"}', "email: Input should be a valid string"),
        (b'{"email": "a@example.com", "password": true}', "password: Input should be a valid string"),
        (b'{"email": "a@example.com", "data": []}', "data: Input should be a valid dictionary"),
        (b'{"email": "a@example.com", "password": "correct\\u0000"}', "cannot be stored"),
        (b'{"email": "a@example.com", "data": {"a\\\\\\u0000": 1}}', "cannot be stored"),
        (b'{"email": "a@example.com", "data": {"a": 1e999}}', "infinity"),
        (b'{"email": "a@example.com", "data": {"a": "\\ud800"}}', "surrogate"),
        (b'{"data": ' + b"[" * 400 + b"]" * 400 + b"}", "ecursion limit"),
    ],
)
async def test_a_body_that_is_not_the_json_expected_is_refused(project: Project, body: bytes, reason: str) -> None:
    status, code, message = refusal(await project.call("POST", SIGN_UP, body))
    assert (status, code) == (400, "bad_json")
    assert message.startswith("Could not parse request body as JSON: ")
    assert reason in message


async def test_text_that_only_looks_like_an_unstorable_character_is_kept(project: Project) -> None:
    user = (await project.sign_up(data={"path": "C:\\u0000"}))["user"]
    assert user["user_metadata"]["path"] == "C:\\u0000"


async def test_a_body_over_one_megabyte_is_refused(project: Project) -> None:
    status, code, message = refusal(await project.call("POST", SIGN_UP, {"data": {"text": "x" * 1_000_000}}))
    assert (status, code) == (413, "validation_failed")
    assert "1000000 bytes" in message


@pytest.mark.parametrize("authorization", ["", "Basic YTpi", "Bearer", "Bearer a b"])
async def test_whoever_brings_no_bearer_token_is_refused(project: Project, authorization: str) -> None:
    answer = await project.http.get(
        f"{project.url}/auth/v1/user",
        # the gateway would put the API key in the place of a missing token
        headers={"apikey": KEYS.anon_key, "Authorization": authorization or "none"},
    )
    assert refusal(answer) == (401, "no_authorization", "This endpoint requires a valid Bearer token")


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("not-a-token", "invalid JWT: unable to parse or verify signature"),
        (KEYS.anon_key[:-3] + "abc", "invalid JWT: unable to parse or verify signature"),
        (signed(sub=str(uuid.uuid4()), exp=int(time.time()) - 1), "invalid JWT: unable to parse or verify signature"),
        (signed(sub=str(uuid.uuid4()), exp="later"), "invalid JWT: unable to parse or verify signature"),
        (KEYS.anon_key, "invalid claim: missing sub claim"),
        (signed(sub="ana"), "invalid claim: sub claim must be a UUID"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/user"), ("PUT", "/user"), ("POST", "/logout")])
async def test_a_bad_token_is_refused(project: Project, method: str, path: str, token: str, message: str) -> None:
    status, code, reason = refusal(await project.call(method, path, {}, token=token))
    assert (status, code) == (403, "bad_jwt")
    assert reason.startswith(message)


async def test_a_token_of_someone_deleted_is_refused(project: Project) -> None:
    session = await project.sign_up()
    await project.admin("DELETE", f"/{session['user']['id']}")
    for method, path in [("GET", "/user"), ("PUT", "/user"), ("POST", "/logout")]:
        answer = await project.call(method, path, {}, token=session["access_token"])
        assert refusal(answer) == (403, "user_not_found", "User from sub claim in JWT does not exist")
    assert refusal(await project.refresh(session["refresh_token"]))[1] == "refresh_token_not_found"


async def test_a_token_with_somebody_elses_session_is_refused(project: Project) -> None:
    ana, eva = await project.sign_up(), await project.sign_up()
    ((session_id,),) = project.execute("select id from auth.sessions where user_id = %s", eva["user"]["id"])
    for claim in (str(session_id), str(uuid.uuid4())):
        token = signed(sub=ana["user"]["id"], session_id=claim)
        assert refusal(await project.call("GET", "/user", token=token))[:2] == (403, "session_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"password": PASSWORD}, 422, "same_password"),
        ({"password": "short"}, 422, "weak_password"),
        ({"password": ""}, 422, "weak_password"),
        ({"email": "nonsense"}, 400, "validation_failed"),
        ({"phone": "+351910000000"}, 400, "phone_provider_disabled"),
        ({"data": "text"}, 400, "bad_json"),
        ({"app_metadata": {"filaviva_role": "operator"}}, 403, "not_admin"),
    ],
)
async def test_a_change_that_is_not_allowed_changes_nothing(
    project: Project, body: dict[str, object], status: int, code: str
) -> None:
    session = await project.sign_up()
    answer = await project.call("PUT", "/user", {"data": {"tried": True}, **body}, token=session["access_token"])
    assert refusal(answer)[:2] == (status, code)
    unchanged = await project.call("GET", "/user", token=session["access_token"])
    assert unchanged.json() == session["user"]


async def test_nobody_takes_an_address_that_is_taken(project: Project) -> None:
    ana, eva = await project.sign_up(), await project.sign_up()
    answer = await project.call("PUT", "/user", {"email": eva["user"]["email"]}, token=ana["access_token"])
    expected = (422, "email_exists", "A user with this email address has already been registered")
    assert refusal(answer) == expected


async def test_a_scope_of_signing_out_that_does_not_exist_ends_nothing(project: Project) -> None:
    session = await project.sign_up()
    answer = await project.call("POST", "/logout?scope=nowhere", token=session["access_token"])
    assert refusal(answer) == (400, "validation_failed", 'Unsupported logout scope "nowhere"')
    assert (await project.refresh(session["refresh_token"])).status_code == 200
