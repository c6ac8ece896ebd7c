"""Databases that lie outside their stacks' folders: whose each is, and which nobody will come back for.

They lie there where PostgreSQL's user cannot get into the folder itself. So deleting the folder does not delete
the database, and only what is written down beside it says that nobody wants it any more.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOMES = Path("/var/lib/filaviva-devstack")
"""Readable by all, writable by root alone."""

_OWNER = "owner.json"


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A folder with a database that nobody serves, and why nobody is thought to want it."""

    home: Path
    reason: str


def claim(home: Path, data_dir: Path) -> None:
    """Write down that this process runs the database in `home` for `data_dir`."""
    (home / _OWNER).write_text(json.dumps({"data_dir": str(data_dir), "pid": os.getpid()}))


def release(home: Path) -> None:
    """Write down that it was stopped in order, so that it is kept for the next start; where nothing stands, nothing."""
    with contextlib.suppress(OSError, ValueError):
        owner = json.loads((home / _OWNER).read_text())
        (home / _OWNER).write_text(json.dumps({**owner, "pid": None}))


def abandoned(served: set[str]) -> Iterator[Abandoned]:
    """Those whose folder is gone, whose process was killed, or of which nothing is known.

    `served`: data folders that a server runs on at this moment.
    """
    for home in sorted(HOMES.iterdir()) if HOMES.is_dir() else []:
        reason = "" if str(home / "data") in served else _why_abandoned(home)
        if reason:
            yield Abandoned(home, reason)


def _why_abandoned(home: Path) -> str:
    """Why nobody is thought to want it; empty if somebody may."""
    try:
        owner = json.loads((home / _OWNER).read_text())
        data_dir, pid = Path(owner["data_dir"]), owner["pid"]
    except (OSError, ValueError, LookupError, TypeError):
        return "nothing says whose it is"
    if pid is not None and Path("/proc", str(pid)).exists():
        return ""
    if not data_dir.exists():
        return f"its folder {data_dir} is gone"
    return f"process {pid}, which ran it for {data_dir}, was killed" if pid is not None else ""
