"""How a command is interrupted: while an event loop runs, and while it waits for what a person types, or for stdin.

The loop answers Ctrl-C by cancelling its task, which a blocked read does not notice. So Ctrl-C gets its plain meaning
back for as long as the read lasts. SIGTERM would end the process at once, and leave a terminal without its cursor.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt at once."""
    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread alone
        yield
        return
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


@contextmanager
def tidied_up() -> Iterator[None]:
    """Let SIGTERM end what runs as Ctrl-C does, and the process by the signal after that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except _Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, former)


class _Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise _Terminated
