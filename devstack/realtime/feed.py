"""Row changes for whoever subscribes to them."""

import asyncio
import random
import time
from collections.abc import Iterable, Sequence

import psycopg

from devstack.realtime.bindings import Binding, SubscriptionError
from devstack.realtime.catalog import Catalog
from devstack.realtime.database import Database
from devstack.realtime.delivery import Delivery
from devstack.realtime.follower import RETRY_SECONDS, Follower
from devstack.realtime.pgoutput import Change, Relation
from devstack.realtime.publication import PublicationWatch
from devstack.realtime.settings import RealtimeSettings
from devstack.realtime.subscriptions import Listener, Registry, Resolver
from devstack.realtime.tokens import Identity

BLIP_SECONDS = 1.0
"""An interruption that is over by then is not told."""

TELL_AGAIN_SECONDS = (5.0, 10.0)
"""After how long it is told again, at random between these."""


class Feed:
    """The subscriptions, and the stream that serves them while there are any."""

    def __init__(self, settings: RealtimeSettings, database: Database) -> None:
        """Nothing is done before `start`."""
        self._catalog = Catalog(database)
        self._registry = Registry()
        self._resolver = Resolver(database, self._catalog, settings.publication)
        self._delivery = Delivery(database, self._catalog, self._registry)
        self._wanting: dict[Listener, Identity] = {}
        self._tell_at: float | None = None
        self._watch = PublicationWatch(
            database, settings.publication, settings.publication_seconds, self._publication_changed
        )
        self._follower = Follower(settings.dsn, settings.publication, database, self)

    def start(self) -> None:
        """Wait for subscribers; the database must be open."""
        self._follower.start()
        self._watch.start()

    async def stop(self) -> None:
        """Close the stream, which removes its slot."""
        await self._watch.stop()
        await self._follower.stop()

    async def subscribe(self, listener: Listener, bindings: Iterable[Binding], identity: Identity) -> None:
        """Deliver to `listener` what its bindings ask for and `identity` may see; returns once changes flow.

        Takes the place of what it was subscribed to before. Waits while the database is away.

        Raises:
            SubscriptionError: a binding is impossible; nothing is subscribed any more.
        """
        self._wanting[listener] = identity
        self._follower.wanted.set()
        try:
            resolved = await self._resolve(list(bindings), identity.role)
        except SubscriptionError:
            self.unsubscribe(listener)
            raise
        if self._wanting.get(listener) is identity:  # it may have left meanwhile, or have become somebody else
            self._registry.put(listener, resolved, identity)

    def unsubscribe(self, listener: Listener) -> None:
        """Deliver nothing more to `listener`."""
        self._registry.remove(listener)
        self._wanting.pop(listener, None)
        if not self._wanting:
            self._follower.wanted.clear()

    def wants(self, relation: Relation) -> bool:
        """Whether somebody is subscribed to the table."""
        return bool(self._registry.of_table(relation))

    def described(self, relation: Relation) -> None:
        """Read the table's definition anew when it is needed."""
        self._catalog.forget(relation)

    def interrupted(self, reason: str) -> None:
        """Tell everyone who wants changes, once the trouble has lasted, and from time to time as long as it does."""
        now = time.monotonic()
        if self._tell_at is None:
            self._tell_at = now + BLIP_SECONDS
        if now >= self._tell_at:
            self._tell_at = now + random.uniform(*TELL_AGAIN_SECONDS)  # noqa: S311 - nobody gains by guessing it
            for listener in list(self._wanting):
                listener.interrupted(reason)

    def resumed(self) -> None:
        """Tell everyone who was subscribed before."""
        self._tell_at = None
        for listener in self._registry.listeners():
            listener.resumed()

    async def deliver(self, changes: Sequence[Change]) -> None:
        """Hand each subscriber what is its own."""
        await self._delivery.deliver(changes)

    def _publication_changed(self) -> None:
        for listener in self._registry.listeners():
            listener.subscribe_again()

    async def _resolve(self, bindings: list[Binding], role: str) -> list[Binding]:
        while True:
            await self._follower.live.wait()
            try:
                return await self._resolver.resolve(bindings, role)
            except (psycopg.OperationalError, psycopg.InterfaceError):  # the database is away
                await asyncio.sleep(RETRY_SECONDS)
