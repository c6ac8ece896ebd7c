"""Each function also runs alone under functions-framework, and importing one reads no environment."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from devstack.cluster import free_port
from functions.app import ENDPOINTS
from tests.conftest import REPOSITORY
from tests.functions.conftest import CRON_SECRET

FUNCTIONS = {
    "enqueue_jobs": ("POST", "/api/jobs"),
    "read_job": ("GET", "/api/jobs/1"),
    "enqueue_publications": ("POST", "/"),
    "drain_queue": ("GET", "/"),
    "process_publication": ("POST", "/x"),
}
ENVIRONMENT = {
    "SUPABASE_URL": "http://127.0.0.1:1",
    "SUPABASE_ANON_KEY": "anon",
    "SUPABASE_SERVICE_ROLE_KEY": "service",
    "CRON_SECRET": CRON_SECRET,
}


@contextmanager
def running(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        arguments, env={**os.environ, **environment}, cwd=REPOSITORY, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the framework serves from a child
        process.communicate()


@retry(
    retry=retry_if_exception_type(httpx.ConnectError), stop=stop_after_delay(20), wait=wait_fixed(0.05), reraise=True
)
def ask(method: str, url: str) -> httpx.Response:
    return httpx.request(method, url, trust_env=False)


@pytest.mark.parametrize("name", ["enqueue_jobs", "drain_queue"])
def test_a_function_runs_alone_under_functions_framework(name: str) -> None:
    port = free_port()
    framework = str(Path(sys.executable).with_name("functions-framework"))
    command = [framework, "--asgi", "--target", name, "--source", f"functions/{name}.py"]
    with running([*command, "--host", "127.0.0.1", "--port", str(port)], ENVIRONMENT):
        method, path = FUNCTIONS[name]
        answer = ask(method, f"http://127.0.0.1:{port}{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_token")
        assert answer.headers["X-Request-Id"]
        wrong = ask("PATCH", f"http://127.0.0.1:{port}{path}")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


def test_every_endpoint_is_a_file_of_its_own_that_importing_runs_nothing_of() -> None:
    names = [endpoint.__name__ for endpoint in ENDPOINTS.values()]
    for name in names:
        assert (REPOSITORY / "functions" / f"{name}.py").exists()
    code = "; ".join(
        ["import os", "os.environ.clear()", *(f"import functions.{name}" for name in names), "import functions.app"]
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_python_m_functions_names_what_is_not_configured() -> None:
    environment = dict.fromkeys(ENVIRONMENT, "") | {f"NEXT_PUBLIC_{key}": "" for key in ENVIRONMENT}
    with running([sys.executable, "-m", "functions", "--port", "0"], environment) as process:
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        assert [line.partition(":")[0] for line in output.splitlines()] == list(ENVIRONMENT)


def test_the_servers_application_is_made_when_it_is_first_used() -> None:
    with running(
        [sys.executable, "-m", "uvicorn", "functions.app:app", "--port", str(port := free_port())], ENVIRONMENT
    ):
        answer = ask("GET", f"http://127.0.0.1:{port}/api/nothing")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_the_key_in_a_websockets_address_is_not_logged() -> None:
    port = free_port()
    with running([sys.executable, "-m", "functions", "--port", str(port)], ENVIRONMENT) as process:
        ask("GET", f"http://127.0.0.1:{port}/api/nothing")
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        address = f"http://127.0.0.1:{port}/socket?apikey=canary"
        assert httpx.get(address, headers=headers, trust_env=False).status_code == 404
        process.terminate()
        output, _ = process.communicate(timeout=20)
    assert "Uvicorn running" in output and "canary" not in output
