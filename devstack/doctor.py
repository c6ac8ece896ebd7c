"""What `devstack doctor` looks at: whether a stack can run here, what is left of earlier ones, and the next step."""

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devstack.doctor_system import (
    folders_of_dead_tests,
    listener_of,
    port_is_free,
    postgres_servers,
    size_of,
)
from devstack.faults import Faults
from devstack.homes import HOMES, Abandoned, abandoned
from devstack.install import InstallationError, find_installation
from devstack.logs import FOLDER
from devstack.state import STATE, StackOptions, StackState, holder, read_state

LITTLE_SPACE, TOO_LITTLE_SPACE = 2 << 30, 300 << 20
"""Bytes: a new database takes about 40 MB, its WAL may take 1 GB more."""

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen of one subject, and, unless all is well, what to do."""

    level: Level
    subject: str
    text: str
    next_step: str = ""


def examine(options: StackOptions) -> Iterator[Finding]:
    """Look at everything; `options` are those that `up` would be given."""
    folder = options.data_dir
    state = read_state(folder) if folder.is_dir() else None
    yield _python()
    yield _postgres(options.postgres_bin)
    yield from _folder(folder)
    yield _stack(folder, state)
    if state is not None:
        yield _faults(state)
    yield from _ports(options, state)
    yield from _leftovers(folder, state)
    yield _shared_memory()
    yield _clock(folder)


def leftovers() -> list[Abandoned]:
    """Folders that killed stacks and test runs left behind, and that nobody is thought to want."""
    tests = [Abandoned(folder, "of a killed test run") for folder in folders_of_dead_tests()]
    return [*tests, *abandoned({server.data for server in postgres_servers()})]


def _python() -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < (3, 11):  # noqa: UP036 - the doctor says it even where nothing else checked
        return Finding("problem", "Python", text, "use Python 3.11 or newer")
    return Finding("ok", "Python", text)


def _postgres(programs: Path | None) -> Finding:
    libc = " ".join(platform.libc_ver()).strip()
    where = f"{platform.system()} {platform.machine()}{', ' + libc if libc else ''}"
    other = "give another PostgreSQL, 15 or newer, with --postgres-bin or DEVSTACK_POSTGRES_BIN"
    try:
        found = find_installation(programs)
    except InstallationError as error:
        return Finding("problem", "PostgreSQL", f"{error} ({where})", other)
    command = [str(found.programs / "postgres"), "--version"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - found or named by the user
    if run.returncode:
        reason = run.stderr.strip().splitlines()[-1:] or [f"code {run.returncode}"]
        return Finding("problem", "PostgreSQL", f"{command[0]} does not run on {where}: {reason[0]}", other)
    return Finding("ok", "PostgreSQL", f"{found.version} at {found.programs} ({where})")


def _folder(folder: Path) -> Iterator[Finding]:
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        what = "is no folder" if not place.is_dir() else "cannot be written to"
        yield Finding("problem", "Data folder", f"{place} {what}", "choose another with --data-dir")
        return
    yield Finding("ok", "Data folder", f"{folder}{'' if folder.exists() else ' (not there yet)'}")
    free = shutil.disk_usage(place).free
    text = f"{free / (1 << 30):.1f} GB free"
    if free < LITTLE_SPACE:
        level: Level = "problem" if free < TOO_LITTLE_SPACE else "warning"
        yield Finding(level, "Disk", text, f"make room on the disk of {place}, or choose another with --data-dir")
    else:
        yield Finding("ok", "Disk", text)


def _stack(folder: Path, state: StackState | None) -> Finding:
    if state is not None:
        return Finding("ok", "Stack", f"runs at {state.api_url} (process {state.pid})")
    pid = holder(folder) if folder.is_dir() else None
    if pid is not None:
        step = "wait a moment; if it stays so, `python -m devstack logs devstack postgres`, then `… stop`"
        return Finding("warning", "Stack", f"is starting or stopping (process {pid})", step)
    if (folder / STATE).exists():
        return Finding("warning", "Stack", "was killed", "start it again: `python -m devstack up` cleans up after it")
    return Finding("ok", "Stack", "does not run")


def _faults(state: StackState) -> Finding:
    with Faults(state.db_url) as faults:
        pending = [fault.fault for fault in faults.pending()]
    if pending:
        step = "if you do not want that any more: `python -m devstack fault clear`"
        return Finding("warning", "Faults", f"to happen on purpose: {', '.join(pending)}", step)
    return Finding("ok", "Faults", "none is to happen")


def _ports(options: StackOptions, state: StackState | None) -> Iterator[Finding]:
    ours = (state.api_port, state.db_port) if state else ()
    wanted = (("API port", options.port, "--port"), ("Database port", options.db_port, "--db-port"))
    for subject, port, option in wanted:
        if port == 0 or port in ours:
            yield Finding("ok", subject, f"{port} is this stack's" if port else "a free one will be taken")
        elif port_is_free(port):
            yield Finding("ok", subject, f"{port} is free")
        else:
            owner = listener_of(port)
            by = f"process {owner[0]} ({owner[1]})" if owner else "another program"
            step = f"end that program, or choose another port with {option} (0 takes a free one)"
            yield Finding("problem", subject, f"{port} is taken by {by}", step)


def _leftovers(folder: Path, state: StackState | None) -> Iterator[Finding]:
    ours = state.postgres_pid if state else 0
    servers = [server for server in postgres_servers() if server.orphaned and server.pid != ours]
    for server in servers:
        step = f"end it: `kill -INT {server.pid}`; a start on its folder ends it as well"
        yield Finding("warning", "Left process", f"PostgreSQL {server.pid} serves {server.data} for nobody", step)
    for left in folders_of_dead_tests():
        step = "`python -m devstack doctor --clean` deletes it after asking"
        yield Finding("warning", "Left folder", f"{left} of a killed test run, {size_of(left)} MB", step)
    lost = list(abandoned({server.data for server in postgres_servers()}))
    if lost:
        text = f"{len(lost)} in {HOMES} that nobody comes back for, {sum(size_of(one.home) for one in lost)} MB"
        step = "`python -m devstack doctor --clean` names them, and deletes them after asking"
        yield Finding("warning", "Left databases", text, step)
    if HOMES.is_dir() and (kept := len(list(HOMES.iterdir())) - len(lost)):
        text = f"{kept} in {HOMES}; `stop --delete` removes a folder's own"
        yield Finding("ok", "Databases of root", text)
    if not servers:
        yield Finding("ok", "Left processes", "none")


def _shared_memory() -> Finding:
    memory = Path("/dev/shm")  # noqa: S108 - the system's own
    if not memory.is_dir():
        return Finding("ok", "Shared memory", "this system has no /dev/shm; PostgreSQL uses another kind")
    free = shutil.disk_usage(memory).free >> 20
    if free < 64:
        step = "make room there; in a container, give it more (docker run --shm-size=256m)"
        return Finding("warning", "Shared memory", f"{free} MB free in /dev/shm", step)
    return Finding("ok", "Shared memory", f"{free} MB free in /dev/shm")


def _clock(folder: Path) -> Finding:
    newest = max((file.stat().st_mtime for file in (folder / FOLDER).glob("*.log")), default=0.0)
    ahead = newest - time.time()
    if ahead > 5:
        step = "set the clock right (timedatectl, or the virtual machine's settings): tokens and schedules go by it"
        return Finding("warning", "Clock", f"it is {ahead:.0f} s behind the newest log: it was stepped back", step)
    return Finding("ok", "Clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))
