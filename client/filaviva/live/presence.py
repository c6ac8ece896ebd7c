"""The live view of who is online in a company, and who of them is typing where."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from filaviva.live.callback import OnChange
from filaviva.live.context import LiveContext
from filaviva.live.private_channel import PrivateChannel
from filaviva.live.typing import TypingCleaner, TypingSender, TypingTimes, TypingUser, TypingUsers
from filaviva.live.view import LiveView

_LISTED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PresenceState:
    """Who is online at one moment.

    Attributes:
        online_users: the ids of those who are online, in order; several tabs or devices of one person count once.
        is_online: whether the client's own user is among them.
    """

    online_users: tuple[str, ...]
    is_online: bool


class LivePresence(LiveView[PresenceState]):
    """Who is online in a company; made by `FilaViva.presence`.

    Opening the view only looks. `go_online` shows the client's own user to the others until `go_offline`, or until the
    view or the connection is closed. After a lost connection the user is shown again by itself.
    """

    def __init__(
        self,
        context: LiveContext,
        company_id: UUID,
        *,
        name: str | None = None,
        times: TypingTimes | None = None,
        on_change: OnChange[PresenceState] | None = None,
    ) -> None:
        self._times = times or TypingTimes()
        self._user_id = context.user_id
        self._name = name
        self._typing: dict[str, TypingUsers] = {}
        self._senders: dict[str, TypingSender] = {}
        self._channel = PrivateChannel(context.rooms, f"presence:{company_id}", on_broadcast=self._heard)
        super().__init__(context, [self._channel, TypingCleaner(self._clean, self._times)], on_change)

    @property
    def current(self) -> PresenceState:
        """Who is online as it is known now."""
        return PresenceState(tuple(self.online_users), self.is_online)

    @property
    def online_users(self) -> list[str]:
        """The ids of those who are online, in order."""
        return sorted(self._channel.presence)

    @property
    def online_count(self) -> int:
        """How many people are online."""
        return len(self._channel.presence)

    @property
    def is_online(self) -> bool:
        """Whether the client's own user is shown as online, by this or another of its tabs."""
        return self._user_id is not None and self._user_id in self._channel.presence

    def details(self, user_id: str) -> tuple[Mapping[str, Any], ...]:
        """What somebody tells with their presence, once for each of their tabs; nothing for who is not online."""
        return self._channel.presence.get(user_id, ())

    def typing_users(self, conversation_id: UUID | str) -> list[TypingUser]:
        """Who of the others is typing in a conversation of the company."""
        typing = self._typing.get(str(conversation_id))
        return typing.users if typing is not None else []

    async def go_online(self, **details: Any) -> None:
        """Be shown as online, with `details` for the others to see, such as ``status="busy"``.

        Returns when the server lists the user, or after 5 s: without a connection the user is shown as soon as there
        is one.
        """
        await self._channel.track({**({"name": self._name} if self._name else {}), **details})
        if self._channel.is_live:
            await self._wait_until_listed()

    async def go_offline(self) -> None:
        """Be shown no more by this view; another view or tab of the same person still shows them."""
        await self._channel.untrack()

    async def update_presence(self, **details: Any) -> None:
        """Change what is told with the presence; the rest of it stays. Goes online if it was not."""
        await self.go_online(**{**(self._channel.tracked or {}), **details})

    async def start_typing(self, conversation_id: UUID | str) -> None:
        """Call at every keystroke: the others hear of the first one, and of the end 3 s after the last."""
        key = str(conversation_id)
        if key not in self._senders:
            self._senders[key] = TypingSender(lambda event: self._send_typing(event, key), self._times)
        await self._senders[key].keystroke()

    async def stop_typing(self, conversation_id: UUID | str) -> None:
        """The message was sent or given up."""
        if (sender := self._senders.get(str(conversation_id))) is not None:
            await sender.stop()

    async def close(self) -> None:
        """Say that typing is over, and leave: the others see the user go offline."""
        await asyncio.gather(*(sender.close() for sender in self._senders.values()))
        await super().close()

    async def _wait_until_listed(self) -> None:
        try:
            async with asyncio.timeout(_LISTED_SECONDS):
                count: int | None = self.change_count
                while count is not None and self._channel.is_live and not self.is_online:
                    count = await self.next_after(count)  # None once the view is closed
        except TimeoutError:
            return

    async def _send_typing(self, event: str, conversation_id: str) -> None:
        told = {"user_id": self._user_id, "name": self._name, "conversation_id": conversation_id}
        await self._channel.send(event, told)

    def _heard(self, event: str, payload: Mapping[str, Any]) -> None:
        conversation_id = payload.get("conversation_id")
        if not isinstance(conversation_id, str):
            return
        typing = self._typing.get(conversation_id)
        if typing is None:
            typing = self._typing[conversation_id] = TypingUsers(
                self._user_id, self._times, asyncio.get_running_loop().time
            )
        if typing.heard(event, payload):
            self.note_change()

    def _clean(self) -> bool:
        changed = [typing.clean() for typing in self._typing.values()]
        self._typing = {key: typing for key, typing in self._typing.items() if typing}
        return any(changed)
