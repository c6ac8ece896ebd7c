"""A log file a service: written while a stack runs, and read by `devstack logs`, together in the order of time."""

import contextlib
import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from logging.handlers import RotatingFileHandler
from pathlib import Path

FOLDER = "logs"
LARGEST = 5_000_000
"""Bytes of a file before it is put aside as `<name>.log.1`; the one before that is lost."""

LOGGERS = {
    "rest": "devstack.rest",
    "auth": "devstack.auth",
    "realtime": "devstack.realtime",
    "storage": "devstack.storage",
    "cron": "devstack.cron",
    "net": "devstack.net",
    "gateway": "uvicorn",
}
SERVICES = (*LOGGERS, "postgres", "devstack")
"""`postgres` is written by the server itself; `devstack` is what a detached stack says of itself."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")


def log_file(data_dir: Path, service: str) -> Path:
    """Where the log of a service is."""
    return data_dir / "devstack.log" if service == "devstack" else data_dir / FOLDER / f"{service}.log"


@contextlib.contextmanager
def writing_logs(data_dir: Path) -> Iterator[None]:
    """Let each service write into its own file while the context lasts."""
    (data_dir / FOLDER).mkdir(exist_ok=True)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03d UTC %(levelname)s  %(message)s", "%Y-%m-%d %H:%M:%S")
    formatter.converter = time.gmtime
    with contextlib.ExitStack() as undo:
        for service, name in LOGGERS.items():
            handler = RotatingFileHandler(log_file(data_dir, service), maxBytes=LARGEST, backupCount=1, delay=True)
            handler.setFormatter(formatter)
            logger = logging.getLogger(name)
            undo.callback(logger.setLevel, logger.level)
            undo.callback(handler.close)
            undo.callback(logger.removeHandler, handler)
            logger.addHandler(handler)
            if service != "gateway":  # below warnings, uvicorn logs addresses of sockets, and a key stands in each
                logger.setLevel(logging.INFO)
        yield


def postgres_log(data_dir: Path) -> Path:
    """The file for the server's log; a large one is put aside first."""
    file = log_file(data_dir, "postgres")
    file.parent.mkdir(exist_ok=True)
    if file.exists() and file.stat().st_size > LARGEST:
        file.replace(file.with_name("postgres.log.1"))
    return file


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A line of a log with those that belong to it; sorts by time."""

    at: str
    service: str
    text: str = field(compare=False)


def read_logs(data_dir: Path, services: Sequence[str], lines: int) -> list[Entry]:
    """The newest entries of `services`, at most so many of all of them, oldest first."""
    return next(follow_logs(data_dir, services, lines))


def follow_logs(
    data_dir: Path, services: Sequence[str], lines: int, pause_seconds: float = 0.2
) -> Iterator[list[Entry]]:
    """First what `read_logs` answers, then what is written from there on, again and again, for ever."""
    tails = [_Tail(log_file(data_dir, service), service) for service in services]
    written = sorted(chain.from_iterable(tail.read() for tail in tails))
    yield written[-lines:] if lines else []
    while True:
        time.sleep(pause_seconds)
        yield sorted(chain.from_iterable(tail.read() for tail in tails))


class _Tail:
    """A log file, read on from where it was left."""

    def __init__(self, file: Path, service: str) -> None:
        self._file = file
        self._service = service
        self._position = 0
        self._at = ""

    def read(self) -> list[Entry]:
        """The entries since the last time; none while there is no file."""
        try:
            with self._file.open("rb") as file:
                if file.seek(0, 2) < self._position:  # it was put aside, and this is a new one
                    self._position = 0
                file.seek(self._position)
                new = file.read()
        except FileNotFoundError:
            return []
        whole = new[: new.rfind(b"\n") + 1]
        self._position += len(whole)
        return list(self._entries(whole.decode(errors="replace").splitlines()))

    def _entries(self, lines: Sequence[str]) -> Iterator[Entry]:
        text: list[str] = []
        for line in lines:
            begins = _TIME.match(line)
            if begins and text:
                yield Entry(self._at, self._service, "\n".join(text))
                text = []
            if begins:
                self._at = begins[0]
            text.append(line)
        if text:
            yield Entry(self._at, self._service, "\n".join(text))
