"""Everything that works on one database: REST, Auth, Realtime, Storage, cron, net, and the gateway before them."""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.types import ASGIApp

from devstack.access_log import AccessLog
from devstack.auth.app import Auth
from devstack.auth.limits import UNLIMITED, AuthLimits
from devstack.auth.settings import AuthSettings
from devstack.cluster import SUPERUSER
from devstack.cron import Cron
from devstack.gateway import gateway, serving
from devstack.keys import ProjectKeys
from devstack.late_bodies import LateBodies
from devstack.net import Net
from devstack.realtime.app import Realtime
from devstack.realtime.settings import RealtimeSettings
from devstack.rest.app import Rest
from devstack.rest.settings import RestSettings
from devstack.storage.app import Storage
from devstack.storage.settings import StorageSettings

BODY_SECONDS = 30.0
UPLOAD_SECONDS = 600.0
"""How long an object may be on its way into Storage; other bodies have half a minute, as REST gives its own."""


class Service(Protocol):
    """A part of the stack with a life of its own."""

    async def start(self) -> None:
        """Begin to work; return when ready."""

    async def stop(self) -> None:
        """End the work and give everything back."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the services are given.

    Attributes:
        dsn_for: connection URL of the database for a role.
        listener: the socket that the gateway serves.
        media: folder of the stored objects.
        functions_url: where the project's own HTTP functions are expected.
    """

    dsn_for: Callable[[str], str]
    listener: socket.socket
    media: Path
    keys: ProjectKeys
    functions_url: str
    auth_limits: AuthLimits = UNLIMITED

    @property
    def api_url(self) -> str:
        """Base URL of the gateway, as clients are given it."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"


@contextlib.asynccontextmanager
async def serving_project(site: Site) -> AsyncIterator[Cron]:
    """Run all services while the context lasts, and let the world in when all are ready. Yields the scheduler."""
    superuser, secret = site.dsn_for(SUPERUSER), site.keys.jwt_secret
    rest = Rest(RestSettings(site.dsn_for("authenticator"), jwt_secret=site.keys.jwks))
    auth = Auth(
        AuthSettings(
            site.dsn_for("supabase_auth_admin"),
            secret,
            issuer=f"{site.api_url}/auth/v1",
            limits=site.auth_limits,
            signing_keys=site.keys.signing_keys,
        )
    )
    realtime = Realtime(RealtimeSettings(dsn=superuser, jwt_secret=site.keys.jwks))
    storage = Storage(StorageSettings(site.dsn_for("supabase_storage_admin"), site.media, site.keys.jwks))
    cron = Cron(superuser, site.dsn_for)
    services: tuple[Service, ...] = (rest, auth, realtime, storage, Net(superuser), cron)
    apps: dict[str, ASGIApp] = {
        "rest": rest,
        "auth": LateBodies(auth, BODY_SECONDS),
        "realtime": LateBodies(realtime, BODY_SECONDS),
        "storage": LateBodies(storage, UPLOAD_SECONDS),
    }
    routes: dict[str, ASGIApp] = {f"/{name}/v1": AccessLog(app, name) for name, app in apps.items()}
    async with contextlib.AsyncExitStack() as parts:
        for service in services:
            await service.start()
            parts.push_async_callback(service.stop)
        await parts.enter_async_context(serving(gateway(routes, site.keys, site.functions_url), site.listener))
        yield cron
