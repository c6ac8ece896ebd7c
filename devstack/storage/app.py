"""The ASGI app behind `/storage/v1`: the routes, and a connection to the database while it runs."""

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from devstack.storage.buckets import Buckets
from devstack.storage.callers import Pool
from devstack.storage.errors import StorageError, bad_form, decline, hang_up, refuse, refuse_of_database
from devstack.storage.files import Files
from devstack.storage.objects import Objects
from devstack.storage.settings import StorageSettings
from devstack.storage.signed import SignedUrls
from devstack.storage.uploads import Uploads

OBJECT = "{bucket}/{name:path}"


class Storage:
    """Serves the buckets and objects of one project. `start` it before the first request, `stop` it after the last."""

    def __init__(self, settings: StorageSettings) -> None:
        self._files = Files(settings.folder)
        self._pool: Pool = AsyncConnectionPool(
            settings.db_dsn,
            kwargs={"row_factory": dict_row},
            min_size=1,
            max_size=settings.pool_size,
            open=False,
            check=AsyncConnectionPool.check_connection,  # a database that restarted is not the caller's trouble
        )
        buckets = Buckets(settings, self._pool, self._files)
        objects = Objects(settings, self._pool, self._files)
        uploads = Uploads(settings, self._pool, self._files)
        signed = SignedUrls(settings, self._pool, objects, uploads)
        self._app = Starlette(
            routes=[
                Route("/bucket", buckets.create, methods=["POST"]),
                Route("/bucket", buckets.list_all, methods=["GET"]),
                Route("/bucket/{bucket}", buckets.read, methods=["GET"]),
                Route("/bucket/{bucket}", buckets.update, methods=["PUT"]),
                Route("/bucket/{bucket}", buckets.delete, methods=["DELETE"]),
                Route("/bucket/{bucket}/empty", buckets.empty, methods=["POST"]),
                Route(f"/object/public/{OBJECT}", objects.public, methods=["GET"]),
                Route(f"/object/authenticated/{OBJECT}", objects.private, methods=["GET"]),
                Route(f"/object/info/{OBJECT}", objects.info, methods=["GET"]),
                Route("/object/list/{bucket}", objects.list_folder, methods=["POST"]),
                Route(f"/object/upload/sign/{OBJECT}", signed.sign_upload, methods=["POST"]),
                Route(f"/object/upload/sign/{OBJECT}", signed.upload, methods=["PUT"]),
                Route("/object/sign/{bucket}", signed.sign_many, methods=["POST"]),
                Route(f"/object/sign/{OBJECT}", signed.sign, methods=["POST"]),
                Route(f"/object/sign/{OBJECT}", signed.read, methods=["GET"]),
                Route("/object/{bucket}", objects.remove, methods=["DELETE"]),
                Route(f"/object/{OBJECT}", objects.private, methods=["GET"]),
                Route(f"/object/{OBJECT}", uploads.create, methods=["POST"]),
                Route(f"/object/{OBJECT}", uploads.update, methods=["PUT"]),
                Route(f"/object/{OBJECT}", objects.remove_one, methods=["DELETE"]),
            ],
            exception_handlers={
                404: decline,
                405: decline,
                StorageError: refuse,
                psycopg.Error: refuse_of_database,
                400: bad_form,
                ClientDisconnect: hang_up,
            },
        )
        self._app.router.redirect_slashes = False

    async def start(self) -> None:
        """Make the folder, and connect to the database.

        Raises:
            psycopg_pool.PoolTimeout: it cannot be reached.
        """
        self._files.prepare()
        await self._pool.open(wait=True)

    async def stop(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._app(scope, receive, send)
