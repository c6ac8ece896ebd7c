"""The whole project on this machine: devstack, the provider doubles and the functions, as processes.

`make dev`, `make demo` and the end-to-end tests start it; it ends with them and leaves nothing behind.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

REPOSITORY = Path(__file__).parent.parent
START_SECONDS = 60
CALL_TIMEOUT_MS = 200
"""How long the local database waits for the drain's answer: short, since nobody needs it."""


class StartError(RuntimeError):
    """A part of the project did not come up; the message says which, and why or the end of its log."""


_DOUBLES = {
    "TIKTOK": "tiktok",
    "INSTAGRAM": "instagram",
    "INSTAGRAM_LOGIN": "instagram",
    "FACEBOOK": "facebook",
    "FACEBOOK_VIDEO": "facebook",
    "THREADS": "threads",
    "YOUTUBE": "youtube",
    "X": "x",
    "LINKEDIN": "linkedin",
    "FILAVIVA_OAUTH": "oauth",
}
"""Whose address is set, and the double that answers there."""


@dataclass(slots=True)
class LocalProject:
    """Use it as a context manager; the addresses and keys are set once it is entered.

    Args:
        data_dir: where the database, the media and the logs live.
        port, db_port, functions_port, providers_port: TCP ports on loopback; 0 takes a free one.
        on_step: called with the name of each part as it is started.

    Raises:
        StartError: on entering: a port is held by another program, or a part does not come up.
    """

    data_dir: Path
    port: int = 0
    db_port: int = 0
    functions_port: int = 0
    providers_port: int = 0
    on_step: Callable[[str], None] = lambda _name: None

    api_url: str = ""
    db_url: str = ""
    anon_key: str = ""
    service_role_key: str = ""
    cron_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def functions_url(self) -> str:
        """Where the HTTP functions answer."""
        return f"http://127.0.0.1:{self.functions_port}"

    @property
    def providers_url(self) -> str:
        """Where the provider doubles answer."""
        return f"http://127.0.0.1:{self.providers_port}"

    def __enter__(self) -> Self:
        for name in ("port", "db_port", "functions_port", "providers_port"):
            if wanted := getattr(self, name):
                _check_free(wanted)
            else:
                setattr(self, name, free_port())
        self.data_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._start_devstack()
            self.start_functions()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_functions(self) -> None:
        """Start the functions, again if they were killed, and wait until they answer."""
        self.on_step("functions")
        self._start("functions", "-m", "functions", "--port", str(self.functions_port), environment=self.environment())
        self._wait_for("functions", f"{self.functions_url}/api/health")

    def kill_functions(self) -> None:
        """End the functions as a crash would: no signal handler runs."""
        child = self._children.pop("functions")
        child.kill()
        child.wait()

    def wait_until_one_ends(self) -> str:
        """Block for as long as every part lives; answer what is to be said of the one that ended."""
        while True:
            for name, child in self._children.items():
                if child.poll() is not None:
                    return self._ended(name)
            time.sleep(0.2)

    def environment(self) -> dict[str, str]:
        """What the functions read; a program of your own may use the same."""
        return {
            "SUPABASE_URL": self.api_url,
            "SUPABASE_ANON_KEY": self.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": self.service_role_key,
            "CRON_SECRET": self.cron_secret,
            **{f"{name}_BASE_URL": f"{self.providers_url}/{double}" for name, double in _DOUBLES.items()},
            "FILAVIVA_POLL_SCALE": "0.05",  # the doubles are done at once; the platforms want seconds
        }

    def stop(self) -> None:
        """End every process, the last started first, and wait for each."""
        for child in reversed(self._children.values()):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in reversed(self._children.values()):
            try:
                child.wait(timeout=40)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()

    def log(self, name: str) -> Path:
        """The log of a part: devstack, providers or functions."""
        return self.data_dir / f"{name}.log"

    def _start_devstack(self) -> None:
        self.on_step("devstack")
        data = ["--data-dir", str(self.data_dir)]
        ports = ["--port", str(self.port), "--db-port", str(self.db_port), "--functions-port", str(self.functions_port)]
        self._start("devstack", "-m", "devstack", "up", "--quiet", *data, *ports)
        self._start("providers", "-m", "devstack.providers", "--port", str(self.providers_port))
        self.api_url = f"http://127.0.0.1:{self.port}"
        self._wait_for("devstack", self.api_url)
        self._wait_for("providers", f"{self.providers_url}/_ledger")
        status = self._run("-m", "devstack", "status", "-o", "json", *data)
        variables = json.loads(status)
        self.db_url, self.anon_key = variables["DB_URL"], variables["ANON_KEY"]
        self.service_role_key = variables["SERVICE_ROLE_KEY"]
        self.rpc("configure_drain", {
            "p_url": f"{self.functions_url}/api/queue/process",
            "p_token": self.cron_secret,
            "p_call_timeout_ms": CALL_TIMEOUT_MS,
        })  # fmt: skip

    def rpc(self, function: str, arguments: dict[str, object]) -> object:
        """Call a function of the database as the service role, as a trusted server does."""
        key = self.service_role_key
        headers = {"apikey": key, "Authorization": f"Bearer {key}"}
        answer = httpx.post(f"{self.api_url}/rest/v1/rpc/{function}", json=arguments, headers=headers)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def _start(self, name: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        with self.log(name).open("ab") as log:
            self._children[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=REPOSITORY,
                env=os.environ | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in order
            )

    def _run(self, *arguments: str) -> str:
        answer = subprocess.run(
            [sys.executable, *arguments], cwd=REPOSITORY, check=False, capture_output=True, text=True
        )
        if answer.returncode != 0:
            said = answer.stderr.strip().removeprefix("Error: ")
            raise StartError(f"`python {' '.join(arguments)}` ended with code {answer.returncode}: {said}")
        return answer.stdout

    def _wait_for(self, name: str, url: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        for _ in _attempts():
            answered = _answers(url)
            if self._children[name].poll() is not None:  # then it was somebody else who answered
                raise StartError(self._ended(name))
            if answered:
                return
            if time.monotonic() > deadline:
                raise StartError(f"{name} did not answer at {url} in {START_SECONDS} s:\n{self._last_lines(name)}")

    def _ended(self, name: str) -> str:
        return f"{name} ended with code {self._children[name].returncode}:\n{self._last_lines(name)}"

    def _last_lines(self, name: str) -> str:
        return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-10:])


def free_port() -> int:
    """A TCP port on loopback that nobody holds at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a run before may still linger
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            raise StartError(
                f"Port {port} on 127.0.0.1 cannot be used ({problem.strerror}): end the program that holds it"
                " (a project started before, perhaps: `make dev` ends with Ctrl-C), or choose another port."
            ) from None


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, timeout=5).is_success
    return False


def _attempts() -> Iterator[None]:
    while True:
        yield
        time.sleep(0.03)
