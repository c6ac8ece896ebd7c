"""A folder with migrations and the commands run on it: what the tests of devstack's commands share."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from devstack.cluster import remove_cluster
from devstack.display import variables
from devstack.state import holder, read_state

REPOSITORY = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Project:
    """A folder with migrations, and the commands run on it."""

    folder: Path

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def migrations(self) -> Path:
        return self.folder / "supabase" / "migrations"

    def migrate(self, name: str, sql: str) -> Path:
        file = self.migrations / name
        file.write_text(sql)
        return file

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "devstack", *arguments, "--data-dir", str(self.data_dir)]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*arguments), cwd=REPOSITORY, capture_output=True, text=True, timeout=50, check=False
        )

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def up_arguments(self, port: int = 0, db_port: int = 0) -> list[str]:
        ports = ["--port", str(port), "--db-port", str(db_port)]
        return ["up", *ports, "--migrations", str(self.migrations)]

    def up(self, port: int = 0, db_port: int = 0) -> dict[str, str]:
        """Start detached; answers the variables."""
        started = self.run(*self.up_arguments(port, db_port), "--detach")
        assert started.returncode == 0, started.stderr
        return self.variables()

    def variables(self) -> dict[str, str]:
        state = read_state(self.data_dir)
        assert state is not None
        return variables(state)

    def stop(self) -> None:
        if holder(self.data_dir):
            self.run("stop")

    def pids(self) -> tuple[int, int]:
        """The process of the stack, and that of its database."""
        state = json.loads((self.data_dir / "state.json").read_text())
        return state["pid"], state["postgres_pid"]


def make_project(folder: Path) -> Iterator[Project]:
    project = Project(folder)
    project.migrations.mkdir(parents=True)
    yield project
    project.stop()
    remove_cluster(project.data_dir)


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and only waits to be reaped does not."""
    ps = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return ps.stdout.strip()[:1] not in ("", "Z")


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
