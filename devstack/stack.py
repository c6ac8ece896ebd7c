"""The whole stack in one process: database, migrations, services, gateway, started in this order."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from devstack.auth.limits import HOSTED, UNLIMITED
from devstack.cluster import Cluster, ClusterError, free_port, remove_cluster, start_cluster
from devstack.fingerprint import OldBootstrapError, check_bootstrap
from devstack.gateway import PortTakenError, listen
from devstack.keys import ProjectKeys, local_keys, project_keys
from devstack.logs import log_file, postgres_log, writing_logs
from devstack.migrations import MigrationError, apply_migrations, apply_seed, find_migrations
from devstack.services import Site, serving_project
from devstack.signing import SigningKeysError
from devstack.state import StackError, StackOptions, StackState, hold, write_state

STORAGE = "storage"


class Stack:
    """A local Supabase project: ``async with Stack(StackOptions(...)) as stack: stack.api_url``.

    Start it in the main thread of the process: on Linux the database ends with the thread that started it.
    """

    def __init__(self, options: StackOptions, *, is_held: bool = False) -> None:
        """`is_held`: this process already holds the folder."""
        self.keys: ProjectKeys = local_keys()
        self._options = options
        self._is_held = is_held
        self._data_dir = options.data_dir.resolve()
        self._parts = contextlib.AsyncExitStack()
        self._cluster: Cluster | None = None
        self._state: StackState | None = None

    @property
    def state(self) -> StackState:
        """Where the stack listens; there is none before `start` and after `stop`."""
        if self._state is None:
            raise StackError("the stack is not running")
        return self._state

    @property
    def api_url(self) -> str:
        """Base URL of the gateway: what clients call the project's URL."""
        return self.state.api_url

    @property
    def db_url(self) -> str:
        """Connection URL of the database, as role postgres."""
        return self.state.db_url

    async def start(self) -> None:
        """Bring everything up and return when it is ready; on any failure, nothing stays behind.

        Raises:
            StackError: the folder is in use, a port is taken, a migration fails, …
        """
        try:
            await self._start()
        except BaseException as error:
            await self.stop()
            if isinstance(error, PortTakenError | MigrationError | SigningKeysError):
                raise StackError(str(error)) from error
            if isinstance(error, ClusterError | OldBootstrapError):
                raise StackError(_advice(error, self._data_dir)) from error
            raise

    async def stop(self) -> None:
        """Bring everything down; the data stays."""
        self._state = None
        await self._parts.aclose()

    async def until_broken(self) -> None:
        """Wait for as long as the database lives.

        Raises:
            StackError: it has died.
        """
        if self._cluster is not None:
            code = await asyncio.to_thread(self._cluster.process.wait)
            log = log_file(self._data_dir, "postgres")
            raise StackError(f"PostgreSQL ended by itself (code {code}); see {log}, then start the stack again")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _start(self) -> None:
        options = self._options
        options.check()
        if options.migrations is not None:
            self.keys = project_keys(options.migrations.parent / "config.toml")
        if not self._is_held:
            self._parts.enter_context(hold(self._data_dir))
        listener = listen(options.port)
        self._parts.callback(listener.close)
        self._parts.enter_context(writing_logs(self._data_dir))
        cluster = self._cluster = start_cluster(
            self._data_dir,
            port=options.db_port,
            log=postgres_log(self._data_dir),
            postgres_bin=options.postgres_bin,
        )
        self._parts.push_async_callback(asyncio.to_thread, cluster.stop)
        with cluster.connect() as connection:
            check_bootstrap(connection)
        if options.migrations is not None:
            await asyncio.to_thread(_migrate, cluster.dsn(), options.migrations)
        state = StackState(
            pid=os.getpid(),
            postgres_pid=cluster.process.pid,
            api_port=listener.getsockname()[1],
            db_port=cluster.port,
            functions_port=options.functions_port or free_port(),
            migrations=str(options.migrations.resolve()) if options.migrations else "",
            postgres_bin=str(options.postgres_bin.resolve()) if options.postgres_bin else "",
            auth_limits=options.auth_limits,
        )
        site = Site(
            lambda role: cluster.dsn(user=role),
            listener,
            self._data_dir / STORAGE,
            self.keys,
            state.functions_url,
            auth_limits=HOSTED if options.auth_limits else UNLIMITED,
        )
        await self._parts.enter_async_context(serving_project(site))
        write_state(self._data_dir, state)
        self._state = state


def _advice(error: Exception, data_dir: Path) -> str:
    """What to say of a database that cannot be used, and what to do."""
    if isinstance(error, OldBootstrapError):
        return (
            f"the database in {data_dir} was made by another version of devstack and would not behave as this one's;"
            f" make it anew with `python -m devstack reset --data-dir {data_dir}` (its data is deleted, all migrations"
            " are applied again), or use another folder"
        )
    if str(error).startswith("PostgreSQL did not"):
        return (
            f"{error}\nIf its data is beyond repair, delete it with"
            f" `python -m devstack stop --delete --data-dir {data_dir}` and start again."
        )
    return str(error)


def remove_data(data_dir: Path) -> None:
    """Delete the database and the media of a stack that does not run."""
    remove_cluster(data_dir)
    shutil.rmtree(data_dir / STORAGE, ignore_errors=True)


def _migrate(dsn: str, folder: Path) -> None:
    apply_migrations(dsn, find_migrations(folder))
    apply_seed(dsn, folder.parent / "seed.sql")
