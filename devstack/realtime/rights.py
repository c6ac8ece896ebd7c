"""What one member may hear and say in its room."""

from devstack.realtime.policies import BROADCAST, PRESENCE, AccessError, Policies
from devstack.realtime.tokens import Identity
from devstack.realtime.topics import Room


class Rights:
    """The rights of one channel: everything in public, in private what the policies allow the holder of its token.

    Leave to hear is asked for with every token, leave to speak when it is first needed.
    """

    def __init__(self, policies: Policies, room: Room, headers: str, wants_presence: bool) -> None:
        """`headers`: the `x-` headers of the connection as JSON text, which policies can read."""
        self._policies = policies
        self._room = room
        self._headers = headers
        self._asked = {BROADCAST, PRESENCE} if wants_presence else {BROADCAST}
        self._readable: frozenset[str] = frozenset()
        self._writable: dict[str, bool] = {}
        self._identity: Identity | None = None

    async def renew(self, identity: Identity) -> None:
        """Ask anew, for the holder of another token.

        Raises:
            AccessError: the room is closed to it, or it has lost one of the rights it had.
        """
        self._identity = identity
        self._writable.clear()
        if not self._room.private:
            return
        readable = await self._policies.readable(self._room.name, self._asked, identity, self._headers)
        if not readable:
            raise self._closed("do not have permissions")
        if not self._readable <= readable:
            raise self._closed("no longer have permission")
        self._readable = readable

    def may_hear(self, extension: str) -> bool:
        """Whether the member receives broadcasts, or learns who is present."""
        return not self._room.private or extension in self._readable

    async def may_say(self, extension: str) -> bool:
        """Whether the member may broadcast, or tell that it is present.

        Raises:
            AccessError: the database cannot be asked.
        """
        if not self._room.private:
            return True
        if self._identity is None:
            return False
        if extension not in self._writable:
            allowed = await self._policies.may_write(self._room.name, extension, self._identity, self._headers)
            self._writable[extension] = allowed
        return self._writable[extension]

    async def include_presence(self) -> None:
        """Ask whether it may learn who is present, if nobody has asked when it joined.

        Raises:
            AccessError: the database cannot be asked.
        """
        if self._room.private and PRESENCE not in self._asked and self._identity is not None:
            self._asked.add(PRESENCE)
            self._readable |= await self._policies.readable(self._room.name, [PRESENCE], self._identity, self._headers)

    def _closed(self, because: str) -> AccessError:
        return AccessError("Unauthorized", f"You {because} to read from this Channel topic: {self._room.name}")
