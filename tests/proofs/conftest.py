"""What the proofs share: a real engine behind a real gateway, the drain on it, and where the numbers are kept."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from random import Random
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, ConfigDict
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.stdlib import BoundLogger

from devstack.gateway import gateway, listen, serving
from devstack.keys import ProjectKeys, local_keys
from devstack.rest.app import Rest
from devstack.rest.settings import RestSettings
from functions.jobs import registry
from functions.jobs.registry import HandlerFunction, Registration
from functions.settings import Settings
from functions.web.logs import get_logger
from functions.web.services import Services
from tests.conftest import REPOSITORY, Database
from tests.proofs.oracle import keep_history
from tests.sql.conftest import Engine, make_queue

RESULTS = REPOSITORY / "build" / "proofs"
CRON_SECRET = "the-internal-secret"
INTERNAL = {"Authorization": f"Bearer {CRON_SECRET}"}
GATE_SEED = 20261121
"""A test that gates a change takes the same path every time; the campaign takes a new one each run."""


class Anything(BaseModel):
    """A payload that is not looked at."""

    model_config = ConfigDict(extra="allow")


@dataclass
class Proof:
    """The seed of a proof, and the number it reaches."""

    tier: Literal["Q", "N"]
    seed: int
    random: Random = field(init=False)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def scaled(self, gate: int, campaign: int) -> int:
        """How many: `gate` on every change, `campaign` under `make faults`."""
        return campaign if self.tier == "N" else gate

    def record(self, number: int, name: str, *, reached: str, target: str, **counts: float) -> None:
        """Keep one line in build/proofs/<number>.json, in the place of an earlier one of this name and tier."""
        line = {
            "proof": number, "name": name, "tier": self.tier, "reached": reached, "target": target, "seed": self.seed,
            "counts": {**counts, "seconds": round(time.monotonic() - self.began, 1)},
        }  # fmt: skip
        print(json.dumps(line))  # noqa: T201 - shown with a failure, and by pytest -s
        path = RESULTS / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []
        kept = [old for old in lines if (old["name"], old["tier"]) != (name, self.tier)]
        path.write_text("".join(json.dumps(each) + "\n" for each in [*kept, line]))


@pytest.fixture
def proof(request: pytest.FixtureRequest) -> Proof:
    """The proof's seed, printed so that a failure shows it; PROOF_SEED repeats a run."""
    campaign = request.node.get_closest_marker("faults") is not None
    chosen = os.environ.get("PROOF_SEED")
    seed = int(chosen) if chosen else time.time_ns() % 2**31 if campaign else GATE_SEED
    print(f"PROOF_SEED={seed}")  # noqa: T201
    return Proof("N" if campaign else "Q", seed)


@dataclass
class Stand:
    """A migrated database with a queue `work` and a kind `task`, and its REST gateway."""

    database: Database
    engine: Engine
    keys: ProjectKeys
    url: str

    def settings(self, **changes: Any) -> Settings:
        """Settings of functions that work on this project; the limits for one setting do not hold for proofs."""
        base = Settings.model_validate({
            "supabase_url": self.url, "supabase_anon_key": self.keys.anon_key,
            "supabase_service_role_key": self.keys.service_role_key, "cron_secret": CRON_SECRET,
            "media_allowed_hosts": "127.0.0.1",
        })  # fmt: skip
        return base.model_copy(update={"drain_linger_seconds": 0.0, **changes})

    def queue(self, **settings: object) -> None:
        """Change the queue `work`."""
        self.engine.call("create_queue", "work", settings)

    def is_over(self) -> bool:
        """Whether no job waits or runs."""
        return not self.engine.value("select count(*) from public.jobs where finished_at is null")

    def step(self, seconds: float) -> None:
        """Move the engine's clock."""
        self.engine.step_clock(timedelta(seconds=seconds))


@dataclass
class WakeLog:
    """Notes when an application is called."""

    app: ASGIApp
    at: list[float] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.at.append(time.monotonic())
        await self.app(scope, receive, send)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """`app` on a port of its own; the address."""
    listener = listen(0)
    async with serving(app, listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def stand_on(database: Database, *, history: bool = True, **rest_settings: Any) -> AsyncIterator[Stand]:
    """A gateway before `database`, with PostgREST's settings; `history` is False where it is kept already."""
    keys = local_keys()
    given = {"pool_size": 6, **rest_settings}
    rest = Rest(RestSettings(database.dsn("authenticator"), jwt_secret=keys.jwt_secret, **given))
    await rest.start()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(rest.stop)
        url = await stack.enter_async_context(served(gateway({"/rest/v1": rest}, keys, "http://127.0.0.1:1")))
        connection = stack.enter_context(database.connect())
        engine = Engine(connection)
        make_queue(engine, "work", backoff_base_seconds=0)
        if history:
            keep_history(engine)
        yield Stand(database, engine, keys, url)


@pytest.fixture
async def stand(database: Database) -> AsyncIterator[Stand]:
    """The engine behind a gateway."""
    async with stand_on(database) as stand:
        yield stand


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """The engine alone, with a queue `work`, and the history of its jobs."""
    with database.connect() as connection:
        engine = Engine(connection)
        make_queue(engine, "work", backoff_base_seconds=0)
        keep_history(engine)
        yield engine


def silent() -> BoundLogger:
    """A log that nobody reads."""
    return get_logger(StringIO())


@asynccontextmanager
async def services_of(stand: Stand, **settings: Any) -> AsyncIterator[Services]:
    """What one process of the functions shares, on this project."""
    services = Services(stand.settings(**settings), silent())
    try:
        yield services
    finally:
        await services.close()


async def deliver(stand: Stand, client: httpx.AsyncClient) -> int:
    """Send at once all that the engine has asked pg_net for; answers how many calls."""
    rows = stand.engine.connection.execute("delete from net.http_request_queue returning body").fetchall()
    calls = [client.post("/api/queue/process", json=json.loads(bytes(body))) for (body,) in rows]
    for answer in await asyncio.gather(*calls):
        answer.raise_for_status()
    return len(rows)


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for `condition`; a proof that waits longer than `seconds` has failed."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition may lie in another process
            await asyncio.sleep(0.005)


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> "Handle":
    """Gives the kind `task` its handler."""
    return Handle(monkeypatch)


@dataclass
class Handle:
    """Registers handlers, until the test is over."""

    monkeypatch: pytest.MonkeyPatch

    def __call__(
        self, run: HandlerFunction, *, reconcile: HandlerFunction | None = None, payload: type[BaseModel] = Anything
    ) -> None:
        self.monkeypatch.setitem(registry._registrations, "task", Registration("task", payload, run, reconcile))
