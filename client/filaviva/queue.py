"""The client that an application holds: put jobs in, look them up, cancel them, watch them."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from filaviva.calls import Calls
from filaviva.errors import FilaVivaError
from filaviva.live.context import LiveContext
from filaviva.models import EnqueuedJob
from filaviva.operator import Operator
from filaviva.outbox import MOST_BYTES, MOST_ITEMS, Outbox, OutboxItem
from filaviva.realtime.connection import Connection
from filaviva.realtime.settings import RealtimeSettings
from filaviva.rpc import Rpc
from filaviva.tokens import TokenKeeper, TokenProvider
from filaviva.views import Views


class FilaViva(Calls, Views):
    """A user's jobs in one Supabase project.

    Use it as an async context manager, one for the life of the application; every call and every
    watch shares its connections::

        async with FilaViva(url, key, access_token=token) as fila:
            job = await fila.enqueue("publish_post", {"option": "tiktok_video"})
            async for state in fila.watch(job.id):
                print(state.status, state.progress)

    Args:
        url: the project's URL, such as ``https://<project>.supabase.co``.
        key: its anon or publishable key; a trusted server may use the service key.
        access_token: the signed-in user's token. What its user may do, this client may do.
        token_provider: gives a token that is good now, such as that of the session of the official auth client. Asked
            when there is no `access_token`, a minute before the token expires, and when it is no longer accepted;
            works inside the `async with` block.
        realtime: the times of the live connection.

    Raises:
        InvalidRequest: the URL, the key or the token cannot be one.

    Attributes:
        operator: what operators see and do: queues, limits, alerts, changes to many jobs.
    """

    def __init__(
        self,
        url: str,
        key: str,
        access_token: str | None = None,
        *,
        token_provider: TokenProvider | None = None,
        realtime: RealtimeSettings | None = None,
    ) -> None:
        self._url = url
        self._rpc = Rpc(url, key, access_token)
        self._tokens = TokenKeeper(token_provider, access_token, self._go_on_with) if token_provider else None
        renew = self._tokens.renew if self._tokens else None
        self._live = LiveContext(self._rpc, Connection(url, key, access_token, settings=realtime, renew_token=renew))
        self.operator = Operator(self._rpc)

    def __repr__(self) -> str:
        return f"FilaViva({self._url!r})"

    async def __aenter__(self) -> Self:
        if self._tokens is not None:
            await self._tokens.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every view and close the connections, for good."""
        if self._tokens is not None:
            await self._tokens.close()
        await self._live.close()
        await self._rpc.aclose()

    async def set_access_token(self, token: str | None) -> None:
        """Go on with a new token: after a refresh, before the old one expires. None means signed out.

        Open views go on with it; none of them misses a change. A view stays one of the user who was signed in when it
        was made: open new ones for another user.

        Raises:
            InvalidRequest: it cannot be a token; the former one stays.
        """
        await self._go_on_with(token)
        if self._tokens is not None:
            self._tokens.changed(token)

    def outbox(
        self,
        *,
        on_enqueued: Callable[[str, EnqueuedJob], object] | None = None,
        on_refused: Callable[[OutboxItem, FilaVivaError], object] | None = None,
        most_items: int = MOST_ITEMS,
        most_bytes: int = MOST_BYTES,
    ) -> Outbox:
        """Jobs to enqueue that wait while the project cannot be reached: in order, and each exactly once::

            async with fila.outbox() as outbox:
                outbox.put({"kind": "envio_mensagem", "payload": {"contato_id": contact}})
                await outbox.flushed()

        It holds up to 1,000 jobs or 1 MB in memory; what does not fit is refused with `OutboxFull` and counted.

        Args:
            on_enqueued: called with the client id that `put` returned and the project's answer.
            on_refused: called with what the project refuses for good, and the error.
            most_items: how many jobs it holds at most.
            most_bytes: how many bytes of JSON they have at most, together.
        """
        return Outbox(
            self._rpc,
            renew_token=self._live.connection.renew_token,
            on_enqueued=on_enqueued,
            on_refused=on_refused,
            most_items=most_items,
            most_bytes=most_bytes,
        )

    async def _go_on_with(self, token: str | None) -> None:
        self._rpc.set_token(token)
        await self._live.connection.set_token(token)
