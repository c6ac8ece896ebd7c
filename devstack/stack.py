"""The whole stack in one process: database, migrations, services, gateway, started in this order."""

import asyncio
import contextlib
import os
import shutil
import socket
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from starlette.types import ASGIApp

from devstack.auth.app import Auth
from devstack.auth.settings import AuthSettings
from devstack.cluster import SUPERUSER, Cluster, ClusterError, free_port, remove_cluster, start_cluster
from devstack.cron import Cron
from devstack.gateway import PortTakenError, gateway, listen, serving
from devstack.keys import ProjectKeys, local_keys
from devstack.migrations import MigrationError, apply_migrations, apply_seed, find_migrations
from devstack.net import Net
from devstack.realtime.app import Realtime
from devstack.realtime.settings import RealtimeSettings
from devstack.rest.app import Rest
from devstack.rest.settings import RestSettings
from devstack.state import StackError, StackOptions, StackState, hold, write_state
from devstack.storage import Storage, StorageSettings

STORAGE = "storage"


class Service(Protocol):
    """A part of the stack with a life of its own."""

    async def start(self) -> None:
        """Begin to work; return when ready."""

    async def stop(self) -> None:
        """End the work and give everything back."""


class Stack:
    """A local Supabase project: ``async with Stack(StackOptions(...)) as stack: stack.api_url``.

    Start it in the main thread of the process: on Linux the database ends with the thread that started it.
    """

    def __init__(self, options: StackOptions) -> None:
        self.keys: ProjectKeys = local_keys()
        self._options = options
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
            if isinstance(error, PortTakenError | ClusterError | MigrationError):
                raise StackError(str(error)) from error
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
            log = self._cluster.data.parent / "postgres.log"
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
        self._parts.enter_context(hold(self._data_dir))
        listener = listen(options.port)
        self._parts.callback(listener.close)
        cluster = self._cluster = start_cluster(self._data_dir, port=options.db_port)
        self._parts.push_async_callback(asyncio.to_thread, cluster.stop)
        if options.migrations is not None:
            await asyncio.to_thread(_migrate, cluster.dsn(), options.migrations)
        state = StackState(
            pid=os.getpid(),
            postgres_pid=cluster.process.pid,
            api_port=listener.getsockname()[1],
            db_port=cluster.port,
            functions_port=options.functions_port or free_port(),
            migrations=str(options.migrations.resolve()) if options.migrations else "",
        )
        await self._start_services(cluster, listener, state)
        write_state(self._data_dir, state)
        self._state = state

    async def _start_services(self, cluster: Cluster, listener: socket.socket, state: StackState) -> None:
        """Start what works on the database, and let the world in when all of it is ready."""
        superuser, secret = cluster.dsn(user=SUPERUSER), self.keys.jwt_secret
        rest = Rest(RestSettings(cluster.dsn(user="authenticator"), jwt_secret=secret))
        auth = Auth(AuthSettings(cluster.dsn(user="supabase_auth_admin"), secret, issuer=f"{state.api_url}/auth/v1"))
        realtime = Realtime(RealtimeSettings(dsn=superuser, jwt_secret=secret))
        storage = Storage(StorageSettings(folder=self._data_dir / STORAGE, jwt_secret=secret))
        cron = Cron(superuser, lambda role: cluster.dsn(user=role))
        services: tuple[Service, ...] = (rest, auth, realtime, storage, Net(superuser), cron)
        for service in services:
            await service.start()
            self._parts.push_async_callback(service.stop)
        routes: dict[str, ASGIApp] = {
            "/rest/v1": rest,
            "/auth/v1": auth,
            "/realtime/v1": realtime,
            "/storage/v1": storage,
        }
        await self._parts.enter_async_context(serving(gateway(routes, self.keys, state.functions_url), listener))


def remove_data(data_dir: Path) -> None:
    """Delete the database and the media of a stack that does not run."""
    remove_cluster(data_dir)
    shutil.rmtree(data_dir / STORAGE, ignore_errors=True)


def _migrate(dsn: str, folder: Path) -> None:
    apply_migrations(dsn, find_migrations(folder))
    apply_seed(dsn, folder.parent / "seed.sql")
