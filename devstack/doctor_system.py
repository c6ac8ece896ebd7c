"""What the doctor asks the system: who listens on a port, which servers and folders earlier stacks left behind."""

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SERVER = re.compile(r"postgres\S* -D (?P<data>.*?(?:cluster|filaviva-devstack/[0-9a-f]+)/data) -p ")


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL that some devstack started. Orphaned: whoever started it is gone."""

    pid: int
    data: str
    orphaned: bool


def port_is_free(port: int) -> bool:
    """Whether a server could listen on `port` of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def listener_of(port: int) -> tuple[int, str] | None:
    """Number and name of the process that listens on `port`; None if the system does not tell."""
    inodes = set(_listening_inodes(port))
    for process in _processes():
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        return int(process.name), (process / "comm").read_text().strip()
    return None


def postgres_servers() -> list[Server]:
    """The servers of all devstacks of this machine."""
    ps = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=False)  # noqa: S607
    found = []
    for line in ps.stdout.splitlines():
        pid, parent, command = (*line.split(maxsplit=2), "", "")[:3]
        if match := _SERVER.search(command):
            found.append(Server(int(pid), match["data"], orphaned=parent == "1"))
    return found


def folders_of_dead_tests() -> list[Path]:
    """Folders in memory of test runs that were killed."""
    return [
        folder
        for folder in Path("/dev/shm").glob("filaviva-tests-*")  # noqa: S108 - the system's own
        if not _lives(folder.name.rpartition("-")[2])
    ]


def size_of(folder: Path) -> int:
    """Megabytes below `folder`, as far as it may be read."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total >> 20


def _lives(pid: str) -> bool:
    return pid.isdecimal() and Path("/proc", pid).exists()


def _processes() -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (path for path in Path("/proc").iterdir() if path.name.isdecimal())


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"
