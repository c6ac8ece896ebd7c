"""Waiting for what a person types, or for stdin, while an event loop runs.

The loop answers Ctrl-C by cancelling its task, which a blocked read does not notice. So Ctrl-C gets its plain meaning
back for as long as the read lasts.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
