"""The client without `await`, closed while threads use it."""

import gc
import threading
from uuid import uuid4

from filaviva.errors import FilaVivaError
from filaviva.sync import SyncFilaViva


def test_threads_whose_client_is_closed_get_an_answer() -> None:
    fila, codes, began = SyncFilaViva("http://127.0.0.1:9", "anon"), set[str](), threading.Event()

    def call() -> None:
        while "client_closed" not in codes:
            try:
                began.set()
                fila.get(uuid4())
            except FilaVivaError as error:
                codes.add(error.code)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    began.wait(5)
    fila.close()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert codes <= {"no_answer", "client_closed"}
    fila.close()
    gc.collect()  # nothing was left unawaited, which would be a warning
