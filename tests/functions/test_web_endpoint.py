"""The frame around every endpoint: ids, logs, one error shape, and nothing of the inside shown."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from filaviva import errors as engine_errors
from functions.app import create_app
from functions.web.endpoint import Call, endpoint
from functions.web.engine import from_engine
from functions.web.errors import WebError, bad_request, internal, unauthorized, unavailable
from functions.web.logs import redact
from functions.web.services import Services, services_of
from tests.functions.conftest import CRON_SECRET, Logs, make_settings, wait_until

Error = dict[str, Any]


@endpoint("GET")
async def hello(call: Call) -> Response:
    call.log.info("hello")
    return JSONResponse({"request_id": call.request_id})


@endpoint("GET")
async def broken(call: Call) -> Response:
    raise RuntimeError(f"Authorization: Bearer canary-token for {call.request_id}")


@endpoint("GET")
async def unencodable(call: Call) -> Response:
    call.log.info("half", text="\ud800")
    raise bad_request("c", "half a pair: \ud800", "h")


@pytest.fixture
async def client(logs: Logs) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(make_settings(), logs.logger)
    app.router.routes += [Route("/hello", hello), Route("/broken", broken), Route("/unencodable", unencodable)]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client
    await app.state.services.close()


def error_of(answer: httpx.Response) -> Error:
    error: Error = answer.json()["error"]
    assert set(answer.json()) == {"error"}
    assert set(error) == {"code", "message", "hint", "details"}
    return error


async def test_a_request_id_is_kept_and_logged(client: httpx.AsyncClient, logs: Logs) -> None:
    answer = await client.get("/hello", headers={"X-Request-Id": "order-7:1"})
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "order-7:1"
    assert {line["request_id"] for line in logs.lines} == {"order-7:1"}
    (line,) = logs.find("request")
    assert (line["method"], line["path"], line["status"], line["level"]) == ("GET", "/hello", 200, "info")


@pytest.mark.parametrize("bad", ["", "a b", "x" * 101, 'quote"', "new\\nline", "<script>"])
async def test_a_strange_request_id_is_replaced(client: httpx.AsyncClient, bad: str) -> None:
    answer = await client.get("/hello", headers={"X-Request-Id": bad})
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] != bad


async def test_a_fault_of_ours_shows_nothing_and_is_logged(client: httpx.AsyncClient, logs: Logs) -> None:
    answer = await client.get("/broken", headers={"X-Request-Id": "abc"})
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["details"]) == (500, "internal_error", {"request_id": "abc"})
    assert "RuntimeError" not in answer.text and "Traceback" not in answer.text
    (line,) = logs.find("request failed")
    assert line["request_id"] == "abc" and "RuntimeError" in line["exception"]
    assert "canary" not in logs.stream.getvalue()


async def test_an_answer_that_cannot_be_written_is_a_fault_in_our_shape(client: httpx.AsyncClient, logs: Logs) -> None:
    answer = await client.get("/unencodable")
    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal_error")
    assert answer.headers["X-Request-Id"]
    assert [line["event"] for line in logs.lines] == ["half", "request failed", "request"]


async def test_a_long_path_is_cut_in_the_log(client: httpx.AsyncClient, logs: Logs) -> None:
    await client.get("/api/jobs/" + "x" * 5000)
    assert len(logs.find("request")[0]["path"]) == 201


@pytest.mark.parametrize("path", ["/", "/api", "/api/nothing", "/api/jobs/", "/api/health/x"])
async def test_an_unknown_path_is_a_404_in_our_shape(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path)
    assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/jobs", "POST"),
        ("DELETE", "/api/jobs/5", "GET"),
        ("PUT", "/api/queue/process", "GET"),
        ("GET", "/api/publications/enqueue", "POST"),
    ],
)
async def test_a_wrong_method_is_a_405_that_names_the_right_one(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, error_of(answer)["code"]) == (405, "method_not_allowed")
    assert allowed in answer.headers["Allow"].split(", ")
    assert allowed in error_of(answer)["hint"]


async def test_a_look_at_the_drain_drains_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.head("/api/queue/process", headers={"Authorization": f"Bearer {CRON_SECRET}"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


async def test_a_function_alone_refuses_a_wrong_method_itself(logs: Logs) -> None:
    app = Starlette(routes=[Route("/{path:path}", hello, methods=["GET", "POST"])])  # as functions-framework has it
    app.state.services = Services(make_settings(), logs.logger)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/any/where")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    await app.state.services.close()


async def test_a_function_alone_without_configuration_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    app = Starlette(routes=[Route("/", hello)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/")
    assert (answer.status_code, error_of(answer)["code"]) == (500, "not_configured")
    assert "SUPABASE_URL: is not set" in capsys.readouterr().out


async def test_a_function_alone_builds_its_services_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SUPABASE_URL": "http://127.0.0.1:1",
        "SUPABASE_ANON_KEY": "a",
        "SUPABASE_SERVICE_ROLE_KEY": "s",
        "CRON_SECRET": "c",
    }.items():
        monkeypatch.setenv(name, value)
    app = Starlette()
    request = Request({"type": "http", "app": app})
    services = services_of(request)
    assert services_of(request) is services
    await services.close()


# Who may call ------------------------------------------------------------------------------------

INTERNAL = ["/api/queue/process", "/api/internal/process-publication"]


@pytest.mark.parametrize("path", INTERNAL)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", f"Token {CRON_SECRET}", CRON_SECRET, "Bearer wrong",
     f"Bearer {CRON_SECRET}x", f"Bearer {CRON_SECRET[:-1]}", f"Bearer {CRON_SECRET} {CRON_SECRET}",
     f"Bearer {CRON_SECRET.upper()}", "Bearer " + "x" * 9000],
)  # fmt: skip
async def test_internal_endpoints_let_only_the_secret_in(
    client: httpx.AsyncClient, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await client.post(path, headers=headers, content=b"not even JSON")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert error_of(answer)["code"] in {"missing_token", "invalid_token"}
    assert CRON_SECRET not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/jobs"), ("GET", "/api/jobs/5"), ("POST", "/api/publications/enqueue")],
)
async def test_user_endpoints_want_a_token_before_they_read_anything(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, path, content=b"not even JSON")
    assert (answer.status_code, error_of(answer)["code"]) == (401, "missing_token")


# What may pass by itself never looks like the caller's fault ---------------------------------------

NEVER_FOR_RETRYABLE = {400, 401, 403, 404, 422}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/jobs", {"kind": "any"}),
        ("GET", "/api/jobs/00000000-0000-0000-0000-000000000001", None),
        (
            "POST",
            "/api/publications/enqueue",
            {"userId": "00000000-0000-0000-0000-000000000001", "selectedOptions": ["tiktok_video"]},
        ),
        ("POST", "/api/queue/process", {}),
        ("POST", "/api/internal/process-publication", {"job_id": "00000000-0000-0000-0000-000000000001"}),
        ("GET", "/api/health", None),
    ],
)
async def test_an_unreachable_database_is_a_503_with_retry_after(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any
) -> None:
    monkeypatch.setattr("functions.worker.ledger.TRIES", 2)
    answer = await client.request(method, path, json=body, headers={"Authorization": f"Bearer {CRON_SECRET}"})
    assert (answer.status_code, error_of(answer)["code"]) == (503, "database_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("code", "status"),
    [("40P01", 503), ("40001", 503), ("55P03", 503), ("57014", 503), ("57P01", 503), ("53300", 503), ("08006", 503),
     ("PGRST000", 503), ("PGRST001", 503), ("PGRST003", 503), ("no_answer", 503), ("http_502", 503), ("XX000", 500)],
)  # fmt: skip
async def test_what_the_database_cannot_do_now_is_retryable(code: str, status: int) -> None:
    status_of_class = 500 if code == "XX000" else 503
    answer = from_engine(engine_errors.Unavailable("x", code=code, status=status_of_class)).response()
    assert answer.status_code == status
    assert answer.status_code not in NEVER_FOR_RETRYABLE


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (engine_errors.InvalidRequest("m", code="unknown_kind", hint="h"), 400, "unknown_kind"),
        (engine_errors.InvalidRequest("m", code="22P02"), 400, "invalid_request"),
        (engine_errors.NotSignedIn("JWT expired", code="PGRST303"), 401, "invalid_token"),
        (engine_errors.NotSignedIn("m", code="not_signed_in"), 401, "not_signed_in"),
        (engine_errors.NotSignedIn("m", code="42501"), 401, "invalid_token"),
        (engine_errors.Forbidden("m", code="service_only"), 403, "service_only"),
        (engine_errors.Forbidden("m", code="42501"), 403, "forbidden"),
        (engine_errors.NotFound("m", code="unknown_job"), 404, "unknown_job"),
        (engine_errors.Conflict("m", code="idempotency_conflict"), 409, "idempotency_conflict"),
        (engine_errors.PayloadTooLarge("m", code="payload_too_large"), 413, "payload_too_large"),
        (engine_errors.FilaVivaError("m", code="not_installed", status=404), 500, "database_refused"),
        (engine_errors.NotSignedIn("Invalid API key", code="refused"), 500, "database_refused"),
        (engine_errors.FilaVivaError("m", code="unexpected_answer"), 500, "database_refused"),
        (engine_errors.Unavailable("m", code="no_answer"), 503, "database_unavailable"),
    ],
)
def test_the_engines_errors_keep_their_status_and_code(
    error: engine_errors.FilaVivaError, status: int, code: str
) -> None:
    found = from_engine(error)
    assert (found.status, found.code) == (status, code)
    assert ("WWW-Authenticate" in found.headers) == (status == 401)
    assert ("Retry-After" in found.headers) == (status in {429, 503})


def test_a_rate_limit_says_how_long_to_wait() -> None:
    error = engine_errors.RateLimited("Too many calls.", code="rate_limited", hint="Wait 12.5 seconds.")
    found = from_engine(error)
    assert (found.status, found.headers["Retry-After"]) == (429, "13")


def test_every_maker_of_errors_gives_a_remedy() -> None:
    made: list[WebError] = [
        bad_request("c", "m", "h", "f"), unauthorized("c", "m", "h"), unavailable("m"), internal("id"),
    ]  # fmt: skip
    assert [error.status for error in made] == [400, 401, 503, 500]
    assert all(error.hint for error in made)


# Work that outlives its request --------------------------------------------------------------------


async def test_work_goes_on_when_the_caller_hangs_up() -> None:
    services = Services(make_settings())
    begun, may_end = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        begun.set()
        await may_end.wait()
        ended.append("done")

    request = asyncio.create_task(services.finish(work()))
    await begun.wait()
    request.cancel()
    await asyncio.wait({request})
    assert request.cancelled() and not ended
    closing = asyncio.create_task(services.close())
    await wait_until(services.stopping.is_set)
    assert not closing.done()
    may_end.set()
    await closing
    assert ended == ["done"]


async def test_a_failure_after_the_caller_hung_up_complains_nowhere() -> None:
    services = Services(make_settings())
    may_end = asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        raise RuntimeError

    request = asyncio.create_task(services.finish(work()))
    await asyncio.sleep(0)
    request.cancel()
    await asyncio.wait({request})
    may_end.set()
    await services.close()


def test_what_looks_like_a_secret_is_blanked_in_logs() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    texts = [
        "https://graph.test/v1/me?access_token=canary&fields=id",
        "{'access_token': 'canary', 'x': 1}",
        "Authorization: Bearer canary.abc-_~+/=",
        "authorization: basic canary",
        f"JWT {token.replace('c2lnbmF0dXJl', 'canary')}",
        "apikey=canary",
        '{"client_secret": "canary"}',
        "password=canary",
    ]
    assert not [text for text in texts if "canary" in redact(text)]
    assert redact("https://graph.test/v1/me?access_token=canary&fields=id").endswith("&fields=id")
    assert redact("the token expired; tokens: 5") == "the token expired; tokens: 5"


def test_a_line_stays_json_whatever_is_blanked_in_it(logs: Logs) -> None:
    facts = {"access_token": "canary", "token": 5, "nested": {"secret": "canary", "list": ["password=canary"]}}
    logs.logger.info('it\'s said: "token": "canary"', **facts, exc_info=ValueError("apikey='canary'"))
    (line,) = logs.lines
    assert "canary" not in logs.stream.getvalue()
    assert (line["token"], line["access_token"], line["nested"]["secret"]) == (5, "***", "***")
