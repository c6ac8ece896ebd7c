"""What is chosen for a stack, and what other processes know of a running one. Light, so that `status` is quick.

A running stack holds a lock on the folder. The system lets go of it when the process ends, however
it ends, so whatever a dead stack has written here is recognised as old and ignored.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from devstack.install import InstallationError, find_installation

LOCK = "devstack.lock"
STATE = "state.json"


class StackError(RuntimeError):
    """The stack cannot start, stop, or go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What may be chosen.

    Attributes:
        data_dir: where everything of this stack lives; two stacks need two folders.
        port: of the API; 0 takes a free one.
        db_port: of the database; 0 takes a free one.
        functions_port: where the project's own HTTP functions are expected; 0 picks a free number for them.
        migrations: folder to apply, with `seed.sql` beside it; None for none.
        postgres_bin: programs of another PostgreSQL, version 15 or newer; None for the packaged one.
        auth_limits: let Auth refuse those who ask too often, as a new hosted project does.
    """

    data_dir: Path = Path(".devstack")
    port: int = 54321
    db_port: int = 54322
    functions_port: int = 54330
    migrations: Path | None = Path("supabase/migrations")
    postgres_bin: Path | None = None
    auth_limits: bool = False

    def check(self) -> None:
        """Raise a StackError if what is chosen does not exist, or cannot serve."""
        if self.migrations is not None and not self.migrations.is_dir():
            raise StackError(
                f"there is no folder {self.migrations}; run this in the project's root, or name it with --migrations"
            )
        try:
            find_installation(self.postgres_bin)
        except InstallationError as error:
            raise StackError(str(error)) from None


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack that is ready.

    Attributes:
        pid: the process of the stack itself.
        postgres_pid: its database server.
        functions_port: where the project's own HTTP functions are expected; devstack does not serve them.
        migrations: the folder that was applied, absolute; empty for none.
        postgres_bin: programs of the PostgreSQL that was chosen, absolute; empty for the packaged one.
        auth_limits: whether Auth refuses those who ask too often.
    """

    pid: int
    postgres_pid: int
    api_port: int
    db_port: int
    functions_port: int
    migrations: str
    postgres_bin: str = ""
    auth_limits: bool = False

    @property
    def api_url(self) -> str:
        """Base URL of the gateway, as clients are given it."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def db_url(self) -> str:
        """Connection URL of the database, as role postgres."""
        return f"postgresql://postgres:postgres@127.0.0.1:{self.db_port}/postgres"

    @property
    def functions_url(self) -> str:
        """Base URL of the project's HTTP functions."""
        return f"http://127.0.0.1:{self.functions_port}"


@contextlib.contextmanager
def hold(data_dir: Path, lock: int | None = None) -> Iterator[None]:
    """Be the one stack on `data_dir` while the context lasts; the state is removed at its end.

    `lock`: its descriptor, where whoever started this process has `locked` the folder for it.

    Raises:
        StackError: another process is it.
    """
    with locked(data_dir) if lock is None else contextlib.nullcontext(lock) as descriptor:
        announce(descriptor, os.getpid())
        (data_dir / STATE).unlink(missing_ok=True)
        try:
            yield
        finally:
            (data_dir / STATE).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[int]:
    """The lock of `data_dir`, as a descriptor: a process that is given it holds the lock after this context as well.

    Raises:
        StackError: another process has it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(descriptor, data_dir)
        announce(descriptor, os.getpid())
        yield descriptor
    finally:
        os.close(descriptor)


def announce(lock: int, pid: int) -> None:
    """Say which process is to be ended when the stack is; readers never find a number that is half written."""
    os.pwrite(lock, f"{pid:<20}".encode(), 0)


def _lock(descriptor: int, data_dir: Path) -> None:
    deadline = time.monotonic() + 1  # whoever only looks (`holder`) has the lock for a moment, too
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        state = read_state(data_dir)
        if state or time.monotonic() > deadline:
            where = f"at {state.api_url} (process {state.pid})" if state else f"(process {holder(data_dir)})"
            raise StackError(f"a stack already runs on {data_dir} {where}; stop it first, or use another folder")
        time.sleep(0.01)


def holder(data_dir: Path) -> int | None:
    """The process that runs a stack on `data_dir`, ready or not; None if there is none."""
    try:
        file = (data_dir / LOCK).open()
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read(20).strip() or 0) or None
    return None


def write_state(data_dir: Path, state: StackState) -> None:
    """Make `state` known, all of it at once."""
    draft = data_dir / f"{STATE}.new"
    draft.write_text(json.dumps(asdict(state), indent=2) + "\n")
    draft.replace(data_dir / STATE)


def read_state(data_dir: Path) -> StackState | None:
    """The stack that is ready on `data_dir`; None if none is, or it is still starting."""
    pid = holder(data_dir)
    if pid is None:
        return None
    try:
        state = StackState(**json.loads((data_dir / STATE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # not ready yet, or not of this version
        return None
    return state if state.pid == pid else None
