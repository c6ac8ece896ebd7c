"""What live tables, polled calls and private channels have in common: a view shows what such sources know."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from filaviva.errors import FilaVivaError


class Source(ABC):
    """Something that keeps itself up to date while it runs.

    Attributes:
        is_live: whether changes arrive by themselves now, rather than by polling.
        is_loading: True until there is something to show, or an error says why not.
        error: what is wrong now, or None. It goes away by itself when the cause does.
        is_refused: whether `error` means that there is nothing to show as long as nobody does something.
        notify: called after every change of what there is to show, of `is_live` and of `error`; set by the view.
    """

    def __init__(self) -> None:
        self.is_live = False
        self.is_loading = True
        self.error: FilaVivaError | None = None
        self.is_refused = False
        self.notify: Callable[[], None] = _nothing

    @abstractmethod
    async def run(self) -> None:
        """Keep up to date until cancelled; then leave everything."""


def _nothing() -> None:
    """Nobody listens yet."""
