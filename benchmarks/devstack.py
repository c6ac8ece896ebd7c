"""What devstack costs: starts, CPU at rest, memory, live events, sockets, REST calls, each beside its limit.

It starts a stack of its own as people do, in processes apart, and measures from outside, on Linux.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psycopg
import websockets
from rich.console import Console
from rich.table import Table

from devstack.cluster import remove_cluster

IDLE_SECONDS = 15
EVENTS = 200
SOCKETS = 500
CALLS = 6_000
CONNECTIONS = 16
MEGABYTE = 1 << 20

MIGRATION = """
create table public.bench_events (id bigint generated always as identity primary key, note text not null);
alter table public.bench_events enable row level security;
create policy everybody on public.bench_events for select to anon using (true);
grant select on public.bench_events to anon;
alter publication supabase_realtime add table public.bench_events;
create function public.bench_add(a int, b int) returns int language sql immutable set search_path = ''
as $$ select a + b $$;
grant execute on function public.bench_add(int, int) to anon;
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and its limit; `least` says that the limit is a least, not a most."""

    name: str
    value: float
    unit: str
    limit: float
    least: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the number is within the limit."""
        return self.value >= self.limit if self.least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class RunningStack:
    """The stack that is measured."""

    data_dir: Path
    values: dict[str, str]

    def pids(self) -> list[int]:
        """The stack's own process, and the database's with all its children."""
        state = json.loads((self.data_dir / "state.json").read_text())
        return [state["pid"], state["postgres_pid"], *_children(state["postgres_pid"])]


def run() -> dict[str, Any]:
    """Measure everything, show a table, and answer the figures."""
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        migrations = folder / "migrations"
        migrations.mkdir()
        (migrations / "1_bench.sql").write_text(MIGRATION)
        try:
            first, _ = _start(folder)
            _devstack("stop", folder)
            warm, stack = _start(folder)
            figures = [
                Figure("first start", first, "s", 8),
                Figure("warm start", warm, "s", 3),
                *_at_rest(stack),
                *asyncio.run(_rest(stack.values)),
                *asyncio.run(_live(stack.values)),
                *asyncio.run(_sockets(stack)),
            ]
        finally:
            _devstack("stop", folder)
            remove_cluster(folder / "data")
    _show(figures)
    if busy > cores / 4:
        Console().print(f"The machine was busy with other work (load {busy:.1f} on {cores} cores): times mean little.")
    return {figure.name: asdict(figure) | {"kept": figure.is_kept} for figure in figures}


def _devstack(verb: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "devstack", verb, "--data-dir", str(folder / "data"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"devstack {verb} failed: {done.stderr}")
    return done.stdout


def _start(folder: Path) -> tuple[float, RunningStack]:
    began = time.perf_counter()
    ports = ["--port", "0", "--db-port", "0", "--functions-port", "0"]
    said = _devstack("up", folder, "--detach", "--json", *ports, "--migrations", str(folder / "migrations"))
    return time.perf_counter() - began, RunningStack(folder / "data", json.loads(said))


def _at_rest(stack: RunningStack) -> list[Figure]:
    time.sleep(2)  # what a start still has to do is not rest
    pids = stack.pids()
    before, began = sum(map(_cpu_seconds, pids)), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    used = (sum(map(_cpu_seconds, pids)) - before) / (time.perf_counter() - began)
    return [
        Figure("CPU at rest, of one core", used * 100, "%", 2),
        Figure("memory at rest, without shared buffers", _own_memory(stack.pids()), "MB", 250),
    ]


async def _rest(values: dict[str, str]) -> list[Figure]:
    """Calls of one function: one after the other, then on several connections at once."""
    host = httpx.URL(values["API_URL"])
    body = b'{"a": 1, "b": 2}'
    request = (
        f"POST /rest/v1/rpc/bench_add HTTP/1.1\r\nHost: {host.host}:{host.port}\r\napikey: {values['ANON_KEY']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body

    async def call(count: int) -> list[float]:
        reader, writer = await asyncio.open_connection(host.host, host.port)
        took = []
        for _ in range(count):
            began = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise SystemExit(f"a call failed: {head.decode()}")
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            took.append(time.perf_counter() - began)
        writer.close()
        return took

    await call(200)
    alone = await call(1_000)
    began = time.perf_counter()
    await asyncio.gather(*(call(CALLS // CONNECTIONS) for _ in range(CONNECTIONS)))
    rate = CALLS // CONNECTIONS * CONNECTIONS / (time.perf_counter() - began)
    return [
        Figure("REST rpc p50", median(alone) * 1000, "ms", 3),
        Figure(f"REST rpc calls a second, {CONNECTIONS} connections", rate, "/s", 1_500, least=True),
    ]


async def _live(values: dict[str, str]) -> list[Figure]:
    """From the return of a commit to the event at a subscriber."""
    late = []
    async with await psycopg.AsyncConnection.connect(values["DB_URL"], autocommit=True) as connection:
        socket = await _subscribed(values)
        for _ in range(EVENTS):
            await connection.execute("insert into public.bench_events (note) values ('')")
            committed = time.perf_counter()
            await _event(socket)
            late.append(max(0.0, time.perf_counter() - committed) * 1000)
            await asyncio.sleep(0.01)
        await socket.close()
    p95 = quantiles(late, n=20)[-1]
    return [Figure("live event p50", median(late), "ms", 30), Figure("live event p95", p95, "ms", 100)]


async def _sockets(stack: RunningStack) -> list[Figure]:
    """Many subscribers of one table: all must hear of one insert."""
    sockets = [await _subscribed(stack.values) for _ in range(SOCKETS)]
    memory = _own_memory(stack.pids())
    async with await psycopg.AsyncConnection.connect(stack.values["DB_URL"], autocommit=True) as connection:
        await connection.execute("insert into public.bench_events (note) values ('')")
    began = time.perf_counter()
    heard = await asyncio.gather(*(_event(socket) for socket in sockets))
    took = time.perf_counter() - began
    await asyncio.gather(*(socket.close() for socket in sockets))
    return [
        Figure("sockets that heard one event", sum(heard), "", SOCKETS, least=True),
        Figure("until the last of them heard it", took * 1000, "ms", 1_000),
        Figure(f"memory with {SOCKETS} sockets", memory, "MB", 250),
    ]


async def _subscribed(values: dict[str, str]) -> websockets.ClientConnection:
    url = f"{values['API_URL'].replace('http', 'ws', 1)}/realtime/v1/websocket?apikey={values['ANON_KEY']}&vsn=1.0.0"
    socket = await websockets.connect(url, compression=None, ping_interval=None)
    changes = [{"event": "INSERT", "schema": "public", "table": "bench_events"}]
    config = {"postgres_changes": changes, "broadcast": {}, "presence": {}, "private": False}
    join = {"topic": "realtime:bench", "event": "phx_join", "payload": {"config": config}, "ref": "1", "join_ref": "1"}
    await socket.send(json.dumps(join))
    await _until(socket, lambda frame: frame["event"] == "system" and frame["payload"]["status"] == "ok")
    return socket


async def _event(socket: websockets.ClientConnection) -> bool:
    await _until(socket, lambda frame: frame["event"] == "postgres_changes")
    return True


async def _until(socket: websockets.ClientConnection, is_wanted: Any) -> None:
    async with asyncio.timeout(20):
        while not is_wanted(json.loads(await socket.recv())):
            pass


def _children(parent: int) -> list[int]:
    ps = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)  # noqa: S607
    return [int(pid) for pid in ps.stdout.split()]


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:  # a child of the database that has just ended
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _own_memory(pids: list[int]) -> float:
    """Megabytes in use, shared pages counted once, without shared memory: that is PostgreSQL's buffers."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # a child of the database that has just ended
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss_Anon:", "Pss_File:")):
                    total += int(line.split()[1]) * 1024
    return total / MEGABYTE


def _show(figures: list[Figure]) -> None:
    table = Table(title="What devstack costs", title_justify="left")
    table.add_column("")
    for column in ("measured", "limit", "kept"):
        table.add_column(column, justify="right")
    for figure in figures:
        bound = f"{'≥' if figure.least else '≤'} {figure.limit:,g} {figure.unit}"
        table.add_row(figure.name, f"{figure.value:,.2f} {figure.unit}", bound, "yes" if figure.is_kept else "NO")
    Console().print(table)


def main() -> None:
    """Measure, show, and write build/bench/devstack.json."""
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "devstack.json").write_text(json.dumps(run(), indent=2) + "\n")


if __name__ == "__main__":
    main()
