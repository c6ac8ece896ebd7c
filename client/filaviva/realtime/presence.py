"""Who is present on a channel, merged from what the server tells: one full state after each join, then differences."""

from collections.abc import Mapping
from typing import Any

Meta = Mapping[str, Any]


class PresenceState:
    """What is known of each presence key: one entry for every place (a tab, a device) in which it is present."""

    def __init__(self) -> None:
        self._metas: dict[str, dict[str, Meta]] = {}

    @property
    def metas(self) -> Mapping[str, tuple[Meta, ...]]:
        """What each key tracks, without the server's references; a key that is not here is not present."""
        return {key: tuple(map(_tracked, metas.values())) for key, metas in self._metas.items()}

    def replace(self, state: Mapping[str, Any]) -> None:
        """Take a full state in place of all that was known."""
        self._metas = {key: _by_ref(entry) for key, entry in state.items() if entry.get("metas")}

    def merge(self, diff: Mapping[str, Any]) -> None:
        """Take a difference; an entry that was tracked anew stands in both of its halves, under two references."""
        for key, entry in (diff.get("joins") or {}).items():
            self._metas.setdefault(key, {}).update(_by_ref(entry))
        for key, entry in (diff.get("leaves") or {}).items():
            metas = self._metas.get(key, {})
            for ref in _by_ref(entry):
                metas.pop(ref, None)
            if not metas:
                self._metas.pop(key, None)

    def clear(self) -> None:
        """Forget everybody: the channel is not joined."""
        self._metas = {}


def _by_ref(entry: Mapping[str, Any]) -> dict[str, Meta]:
    return {str(meta.get("phx_ref")): meta for meta in entry.get("metas", ())}


def _tracked(meta: Meta) -> Meta:
    return {name: value for name, value in meta.items() if name not in ("phx_ref", "phx_ref_prev")}
