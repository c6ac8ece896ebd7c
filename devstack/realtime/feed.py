"""Keeps the stream of changes running while somebody is subscribed, through restarts of the database."""

import asyncio
import logging
from collections.abc import Iterable

import psycopg

from devstack.realtime.bindings import Binding, SubscriptionError
from devstack.realtime.catalog import Catalog
from devstack.realtime.database import Database
from devstack.realtime.delivery import Delivery
from devstack.realtime.pgoutput import Decoder, Relation
from devstack.realtime.settings import RealtimeSettings
from devstack.realtime.subscriptions import Listener, Registry, Resolver
from devstack.realtime.tokens import Identity
from devstack.realtime.wal import WalStream

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 0.25
_LONGEST_RETRY_SECONDS = 4.0


class Feed:
    """Row changes for whoever subscribes. Without subscribers there is no slot and no work."""

    def __init__(self, settings: RealtimeSettings) -> None:
        """Nothing is opened before `start`."""
        self._settings = settings
        self._database = Database(settings.dsn)
        self._catalog = Catalog(self._database)
        self._registry = Registry()
        self._resolver = Resolver(self._database, self._catalog, settings.publication)
        self._delivery = Delivery(self._database, self._catalog, self._registry)
        self._wanting: set[Listener] = set()
        self._wanted = asyncio.Event()
        self._live = asyncio.Event()
        self._retry_seconds = _RETRY_SECONDS
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and wait for subscribers."""
        await self._database.open()
        self._task = asyncio.create_task(self._run(), name="realtime feed")

    async def stop(self) -> None:
        """Close the stream, which removes its slot, and every connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._database.close()

    async def subscribe(self, listener: Listener, bindings: Iterable[Binding], identity: Identity) -> None:
        """Deliver to `listener` what its bindings ask for and `identity` may see; returns once changes flow.

        Takes the place of what it was subscribed to before. Waits while the database is away.

        Raises:
            SubscriptionError: a binding is impossible; nothing is subscribed any more.
        """
        self._wanting.add(listener)
        self._wanted.set()
        try:
            resolved = await self._resolve(list(bindings), identity.role)
        except SubscriptionError:
            self.unsubscribe(listener)
            raise
        self._registry.put(listener, resolved, identity)

    def unsubscribe(self, listener: Listener) -> None:
        """Deliver nothing more to `listener`."""
        self._registry.remove(listener)
        self._wanting.discard(listener)
        if not self._wanting:
            self._wanted.clear()

    async def _resolve(self, bindings: list[Binding], role: str) -> list[Binding]:
        while True:
            await self._live.wait()
            try:
                return await self._resolver.resolve(bindings, role)
            except (psycopg.OperationalError, psycopg.InterfaceError):  # the database is away
                await asyncio.sleep(_RETRY_SECONDS)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                await self._follow()
            except (psycopg.Error, OSError) as error:
                _log.warning("the stream of changes broke and is opened again: %s", error)
            except Exception:
                _log.exception("a change could not be delivered; the stream of changes is opened again")
            else:
                continue
            finally:
                self._live.clear()
            await asyncio.sleep(self._retry_seconds)
            self._retry_seconds = min(2 * self._retry_seconds, _LONGEST_RETRY_SECONDS)

    async def _follow(self) -> None:
        """Open the stream and deliver from it until nobody wants it; asked at each sign of life, every 10 s or so."""
        decoder = Decoder(wanted=self._is_wanted, on_relation=self._catalog.forget)
        async with WalStream(self._settings.dsn, self._settings.publication) as stream:
            await self._database.replace_broken()
            self._live.set()
            self._retry_seconds = _RETRY_SECONDS
            for listener in self._registry.listeners():
                listener.resumed()
            while self._wanted.is_set():
                decoded = [decoder.decode(message) for message in await stream.read()]
                changes = [change for change in decoded if change is not None]
                if changes:
                    await self._delivery.deliver(changes)
                stream.confirm()
            self._live.clear()  # before the slot is gone: who comes now waits for the next one

    def _is_wanted(self, relation: Relation) -> bool:
        return bool(self._registry.of_table(relation))
