"""What SQL sees of a request, and what it says back: settings, roles, time limits, errors, response settings."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from devstack.cluster import Cluster
from tests.wire.test_rest_server import USER, Api, bearer, error_of, serve_schema

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = """
create function public.setting(name text) returns text language sql stable as 'select current_setting(name, true)';
create function public.settings(names text[]) returns jsonb language sql stable
  as 'select jsonb_object_agg(n, current_setting(n, true)) from unnest(names) n';
create function public.users() returns text[] language sql stable as 'select array[current_user, session_user]::text[]';
create function public.slow() returns void language sql set statement_timeout = '20ms' as 'select pg_sleep(5)';
create function public.sleep(seconds float) returns void language sql as 'select pg_sleep(seconds)';
create function public.level() returns text language sql stable set default_transaction_isolation = 'serializable'
  as $$select current_setting('transaction_isolation')$$;
create function public.fail(code text, message text default 'told', detail text default null, hint text default null)
  returns void language plpgsql as $$
begin
  raise exception using errcode = code, message = message, detail = coalesce(detail, ''), hint = coalesce(hint, '');
end $$;
create function public.respond(headers text, status text default '') returns text language sql
as $$
  select set_config('response.headers', headers, true), set_config('response.status', status, true);
  select 'done';
$$;
create table public.marks (id int primary key, at text);
create table public.late (id int references public.marks (id) deferrable initially deferred);
grant all on public.marks, public.late to anon, authenticated;
create function public.mark(id int) returns text language plpgsql as $$
begin
  insert into public.marks values (id, current_setting('app.pre', true));
  return current_setting('app.pre', true);
end $$;
create function public.mark_badly(id int) returns void language sql as 'insert into public.late values (id)';
create function public.before() returns void language plpgsql as $$
begin
  if current_setting('request.headers')::json ->> 'x-stop' is not null then
    raise sqlstate 'PT418' using message = 'stopped';
  end if;
  perform set_config('app.pre', current_user || current_setting('request.method'), true);
end $$;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with serve_schema(cluster, SCHEMA, pre_request="public.before") as api:
        yield api


async def test_sql_sees_the_request(api: Api) -> None:
    names = ["search_path", "request.method", "request.path", "request.cookies"]
    headers = bearer(company="acme") | {"X-Custom": "ola", "Cookie": "a=1; b=two"}
    seen = (await api.post("/rpc/settings", {"names": names}, headers)).json()
    assert seen["search_path"] == '"public", "public", "extensions"'
    assert (seen["request.method"], seen["request.path"]) == ("POST", "/rpc/settings")
    assert seen["request.cookies"] == '{"a":"1","b":"two"}'


async def test_sql_sees_headers_in_lower_case_and_without_cookies(api: Api) -> None:
    response = await api.get("/rpc/setting?name=request.headers", {"X-Custom": "a'b\"c", "Cookie": "a=1"})
    seen = api.sql("select %s::json", response.json())[0][0]
    assert seen["x-custom"] == "a'b\"c"
    assert "cookie" not in seen


@pytest.mark.parametrize(
    ("headers", "claims"),
    [
        ({}, {"role": "anon"}),
        (bearer(), {"role": "authenticated", "sub": USER}),
        (
            bearer(email="ü@x", nested={"a": [1]}),
            {"role": "authenticated", "sub": USER, "email": "ü@x", "nested": {"a": [1]}},
        ),
    ],
)
async def test_sql_sees_the_claims_with_the_role(api: Api, headers: dict[str, str], claims: dict[str, Any]) -> None:
    response = await api.get("/rpc/setting?name=request.jwt.claims", headers)
    assert api.sql("select %s::json", response.json()) == [(claims,)]


async def test_the_role_is_taken_for_the_transaction_only(api: Api) -> None:
    assert (await api.get("/rpc/users", bearer())).json() == ["authenticated", "authenticator"]
    assert (await api.get("/rpc/users")).json() == ["anon", "authenticator"]


async def test_a_time_zone_can_be_preferred(api: Api) -> None:
    told = await api.get("/rpc/setting?name=timezone", {"Prefer": "timezone=America/Sao_Paulo"})
    assert told.json() == "America/Sao_Paulo"
    assert told.headers["preference-applied"] == "timezone=America/Sao_Paulo"
    unknown = await api.get("/rpc/setting?name=timezone", {"Prefer": "timezone=Mars/Olympus"})
    assert (unknown.json(), unknown.headers.get("preference-applied")) == ("UTC", None)


async def test_settings_of_the_role_hold(api: Api) -> None:
    assert (await api.get("/rpc/setting?name=statement_timeout")).json() == "3s"
    assert (await api.get("/rpc/setting?name=statement_timeout", bearer())).json() == "8s"
    assert (await api.get("/rpc/setting?name=lock_timeout", bearer("service_role"))).json() == "8s"


async def test_a_time_limit_of_a_function_holds_for_its_call(api: Api) -> None:
    assert error_of(await api.post("/rpc/slow")) == (500, "57014")


async def test_a_time_limit_of_the_role_holds_for_any_call(cluster: Cluster) -> None:
    async with serve_schema(cluster, SCHEMA + "alter role service_role set statement_timeout = '30ms';") as api:
        try:
            assert error_of(await api.post("/rpc/sleep", {"seconds": 5}, bearer("service_role"))) == (500, "57014")
            assert (await api.post("/rpc/sleep", {"seconds": 0.05})).status_code == 204
        finally:
            api.sql("alter role service_role reset statement_timeout")


async def test_a_function_decides_about_its_isolation(api: Api) -> None:
    assert (await api.get("/rpc/level")).json() == "serializable"


async def test_the_pre_request_function_runs_in_the_transaction(api: Api) -> None:
    assert (await api.post("/rpc/mark", {"id": 1}, bearer())).json() == "authenticatedPOST"
    refused = await api.post("/rpc/mark", {"id": 2}, {"X-Stop": "1"})
    assert error_of(refused) == (418, "PT418")
    assert api.sql("delete from public.marks returning id") == [(1,)]


async def test_a_deferred_constraint_still_refuses_at_the_end(api: Api) -> None:
    assert error_of(await api.post("/rpc/mark_badly", {"id": 77})) == (409, "23503")
    singular = {"Accept": "application/vnd.pgrst.object+json"}
    assert error_of(await api.post("/late", {"id": 77}, singular)) == (409, "23503")
    assert (await api.post("/rpc/mark", {"id": 3})).status_code == 200
    api.sql("delete from public.marks")


@pytest.mark.parametrize(
    ("code", "anonymous", "signed_in"),
    [
        ("08006", 503, 503), ("09000", 500, 500), ("0L000", 403, 403), ("0P000", 403, 403), ("21000", 500, 500),
        ("22023", 400, 400), ("22P02", 400, 400), ("23502", 400, 400), ("23503", 409, 409), ("23505", 409, 409),
        ("23514", 400, 400), ("25001", 500, 500), ("25006", 405, 405), ("28000", 403, 403), ("2D000", 500, 500),
        ("38000", 500, 500), ("39000", 500, 500), ("3B000", 500, 500), ("40001", 500, 500), ("40P01", 500, 500),
        ("42501", 401, 403), ("42703", 400, 400), ("42883", 404, 404), ("42P01", 404, 404), ("42P17", 500, 500),
        ("53100", 503, 503), ("53400", 500, 500), ("54000", 500, 500), ("55P03", 500, 500), ("57014", 500, 500),
        ("57P01", 503, 503), ("58000", 500, 500), ("F0000", 500, 500), ("HV000", 500, 500), ("P0001", 400, 400),
        ("P0002", 500, 500), ("P0004", 500, 500), ("XX000", 500, 500), ("PT400", 400, 400), ("PT401", 401, 401),
        ("PT409", 409, 409), ("PT413", 413, 413), ("PT429", 429, 429), ("PT503", 503, 503), ("PT40A", 500, 500),
        ("PT099", 500, 500), ("PT999", 500, 500), ("ZZ999", 400, 400),
    ],
)  # fmt: skip
async def test_an_error_has_its_status_and_is_told_in_full(api: Api, code: str, anonymous: int, signed_in: int) -> None:
    body = {"code": code, "message": "what", "detail": "why", "hint": "how"}
    response = await api.post("/rpc/fail", body)
    assert error_of(response) == (anonymous, code)
    assert response.json() == {"code": code, "message": "what", "details": "why", "hint": "how"}
    assert (response.headers.get("www-authenticate") == "Bearer") == (anonymous == 401)
    assert (await api.post("/rpc/fail", body, bearer())).status_code == signed_in


async def test_a_missing_role_among_the_messages_is_401(api: Api) -> None:
    message = 'role "x" does not exist'
    assert error_of(await api.post("/rpc/fail", {"code": "22023", "message": message})) == (401, "22023")


async def test_sql_can_raise_a_whole_response(api: Api) -> None:
    message = '{"code":"123","message":"Payment needed","details":"so much","hint":"pay"}'
    detail = '{"status":402,"headers":{"X-Price":"9"}}'
    response = await api.post("/rpc/fail", {"code": "PGRST", "message": message, "detail": detail})
    assert (error_of(response), response.headers["x-price"]) == ((402, "123"), "9")
    assert response.json() == {"code": "123", "message": "Payment needed", "details": "so much", "hint": "pay"}


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ("no json", '{"status":402,"headers":{}}'),
        ('{"code":"1"}', '{"status":402,"headers":{}}'),
        ('{"code":"1","message":"m"}', ""),
        ('{"code":"1","message":"m"}', '{"status":"x","headers":{}}'),
        ('{"code":"1","message":"m"}', '{"status":402,"headers":{"X-A":"a\\r\\nSet-Cookie: b"}}'),
    ],
)
async def test_a_raised_response_that_cannot_be_read_is_500(api: Api, message: str, detail: str) -> None:
    response = await api.post("/rpc/fail", {"code": "PGRST", "message": message, "detail": detail})
    assert error_of(response) == (500, "PGRST121")


async def test_sql_can_set_headers_and_status(api: Api) -> None:
    headers = '[{"X-Mine": "yes"}, {"Cache-Control": "no-store"}, {"Content-Type": "text/x-mine"}]'
    response = await api.post("/rpc/respond", {"headers": headers, "status": "207"})
    assert (response.status_code, response.text) == (207, '"done"')
    assert (response.headers["x-mine"], response.headers["content-type"]) == ("yes", "text/x-mine")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ("no json", "", "PGRST111"),
        ('{"a": "b"}', "", "PGRST111"),
        ('[{"a": "b", "c": "d"}]', "", "PGRST111"),
        ('[{"a": 1}]', "", "PGRST111"),
        ('[{"a": "b\\r\\nc: d"}]', "", "PGRST111"),
        ("[]", "often", "PGRST112"),
        ("[]", "999", "PGRST112"),
    ],
)
async def test_headers_and_status_that_cannot_be_sent_are_500(api: Api, headers: str, status: str, code: str) -> None:
    assert error_of(await api.post("/rpc/respond", {"headers": headers, "status": status})) == (500, code)


@pytest.mark.parametrize(
    ("tx_end", "prefer", "kept", "applied"),
    [
        ("commit", "tx=rollback", True, None),
        ("commit-allow-override", "tx=rollback", False, "tx=rollback"),
        ("commit-allow-override", "tx=commit", True, "tx=commit"),
        ("rollback", "tx=commit", False, None),
        ("rollback-allow-override", "tx=commit", True, "tx=commit"),
    ],
)
async def test_a_transaction_ends_as_the_server_allows(
    cluster: Cluster, tx_end: str, prefer: str, kept: bool, applied: str | None
) -> None:
    async with serve_schema(cluster, SCHEMA, tx_end=tx_end) as api:
        response = await api.post("/marks", {"id": 1}, {"Prefer": prefer})
        assert (response.status_code, response.headers.get("preference-applied")) == (201, applied)
        assert bool(api.sql("select id from public.marks")) is kept
        if not kept:
            assert error_of(await api.post("/late", {"id": 77}, {"Prefer": prefer})) == (409, "23503")
