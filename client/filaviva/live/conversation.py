"""The live view of a conversation: who is typing in it, and a word to the others that there is a new message."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from filaviva.live.callback import Callback, OnChange
from filaviva.live.context import LiveContext
from filaviva.live.private_channel import PrivateChannel
from filaviva.live.source import Source
from filaviva.live.typing import TypingCleaner, TypingSender, TypingTimes, TypingUser, TypingUsers
from filaviva.live.view import LiveView

NEW_MESSAGE = "message_notification"

_MOST_WAITING = 1000


@dataclass(frozen=True, slots=True)
class ConversationState:
    """A conversation at one moment.

    Attributes:
        typing_users: who of the others is typing, whoever began first before the others.
        is_connected: whether what others do arrives now.
    """

    typing_users: tuple[TypingUser, ...]
    is_connected: bool


class LiveConversation(LiveView[ConversationState]):
    """What goes on in a conversation beside its messages; made by `FilaViva.conversation`."""

    def __init__(
        self,
        context: LiveContext,
        conversation_id: UUID,
        *,
        name: str | None = None,
        times: TypingTimes | None = None,
        on_message: OnChange[Mapping[str, Any]] | None = None,
        on_change: OnChange[ConversationState] | None = None,
    ) -> None:
        times = times or TypingTimes()
        self._own = {"user_id": context.user_id, "name": name}
        self._messages = _Messages(Callback(on_message)) if on_message is not None else None
        self._channel = PrivateChannel(context.rooms, f"conversa:{conversation_id}", on_broadcast=self._heard)
        self._typing = TypingUsers(context.user_id, times, time.monotonic)
        self._sender = TypingSender(self._send_typing, times)
        sources: list[Source] = [self._channel, TypingCleaner(self._typing.clean, times)]
        if self._messages is not None:
            sources.append(self._messages)
        super().__init__(context, sources, on_change)

    @property
    def current(self) -> ConversationState:
        """The conversation as it is known now."""
        return ConversationState(tuple(self._typing.users), self._channel.is_live)

    @property
    def typing_users(self) -> list[TypingUser]:
        """Who of the others is typing."""
        return self._typing.users

    async def send_typing_indicator(self, typing: bool) -> None:
        """Call with True at every keystroke, with False when the message was sent or given up.

        Others hear of the first keystroke and, 3 s after the last, of the end. Without a connection nothing is sent
        and nothing is kept.
        """
        await (self._sender.keystroke() if typing else self._sender.stop())

    async def notify_new_message(self, message: Mapping[str, Any]) -> None:
        """Tell the others about a message that was stored, so that they show it at once.

        Raises:
            Unavailable: there is no connection. The others find the message when they read.
            PayloadTooLarge: more than a broadcast may carry.
        """
        await self._sender.stop()
        await self._channel.send(NEW_MESSAGE, message)

    async def close(self) -> None:
        """Say that typing is over, and leave."""
        await self._sender.close()
        await super().close()
        if self._messages is not None:
            self._messages.close()

    async def _send_typing(self, event: str) -> None:
        await self._channel.send(event, self._own)

    def _heard(self, event: str, payload: Mapping[str, Any]) -> None:
        if event == NEW_MESSAGE and self._messages is not None:
            self._messages.put(payload)
        elif self._typing.heard(event, payload):
            self.note_change()


class _Messages(Source):
    """Hands what others notify of to the application's callback, one at a time and in order.

    Of a thousand that wait for a slow callback, the oldest give way: the messages themselves are stored.
    """

    def __init__(self, callback: Callback[Mapping[str, Any]]) -> None:
        super().__init__()
        self._callback = callback
        self._is_over = False
        self._waiting: deque[Mapping[str, Any]] = deque(maxlen=_MOST_WAITING)
        self._came = asyncio.Event()
        self.is_loading, self.is_live = False, True

    def put(self, payload: Mapping[str, Any]) -> None:
        self._waiting.append(payload)
        self._came.set()

    async def run(self) -> None:
        while not self._is_over:
            await self._came.wait()
            while self._waiting and not self._is_over:
                await self._callback.call(self._waiting.popleft())
            self._came.clear()

    def close(self) -> None:
        """Call no more; the call that runs may be the one that closes the view."""
        self._is_over = True
        self._callback.close()
