"""A running project for the tests of the command line and of the synchronous client, in which nobody drains."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from typer.testing import CliRunner

from devstack.testing import Project, User
from devstack.testing.server import running_server, serving_clone
from filaviva.cli.commands import application
from tests.conftest import MIGRATIONS, REPOSITORY, postgres_bin

SETTINGS = ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY", "FILAVIVA_ACCESS_TOKEN")
CLEARED: dict[str, str | None] = {**dict.fromkeys(SETTINGS), "LC_ALL": None, "LC_MESSAGES": None, "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines on stdout, each an object."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class CliProject:
    """A project with a queue `work`, whose kinds `noop` and `other` users may enqueue."""

    project: Project

    def run(
        self,
        *arguments: str,
        user: User | None = None,
        stdin: str | None = None,
        changes: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """What `filaviva` answers to the service role, or to a user, in an environment with these changes."""
        environment = {**CLEARED, **self.environment(user), **(changes or {})}
        result = CliRunner().invoke(application, list(arguments), input=stdin, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.stderr
        return Answer(result.exit_code, result.stdout, result.stderr)

    def environment(self, user: User | None = None) -> dict[str, str]:
        """What the command reads."""
        keys = {"SUPABASE_URL": self.project.api_url, "SUPABASE_ANON_KEY": self.project.publishable_key}
        if user is None:
            return {**keys, "SUPABASE_SERVICE_ROLE_KEY": self.project.secret_key}
        return {**keys, "FILAVIVA_ACCESS_TOKEN": user.token}

    def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None, **streams: Any
    ) -> "subprocess.Popen[str]":
        """The command as a process, as the service role."""
        bare = {name: value for name, value in os.environ.items() if name not in CLEARED}
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *arguments],
            cwd=REPOSITORY,
            env={**bare, "LANG": "C.UTF-8", **self.environment(), **(environment or {})},
            text=True,
            **streams,
        )

    def enqueue(self, kind: str = "noop", **fields: Any) -> str:
        """A new job of nobody's; its id."""
        return str(self.call("enqueue_jobs", json.dumps([{"kind": kind, **fields}]))[0]["job_id"])

    def end(self, job_id: str, outcome: str, **more: Any) -> None:
        """Run the job to an end, as a worker does."""
        claimed = self.call("claim_job", job_id, "w", str(uuid4()))["jobs"][0]
        if outcome == "unconfirmed":
            self.call("commit_job", job_id, claimed["claim_id"], "{}", False, 30)
        result = {"job_id": job_id, "claim_id": claimed["claim_id"], "outcome": outcome, **more}
        [settled] = self.call("settle_jobs", json.dumps([result]))
        assert settled["applied"] == "ok"

    def failed(self, kind: str = "noop", code: str = "no_luck", **fields: Any) -> str:
        """A job that has failed; its id."""
        job_id = self.enqueue(kind, **fields)
        self.end(job_id, "reject", error={"code": code, "message": f"It had {code}."})
        return job_id

    def call(self, function: str, *arguments: Any) -> Any:
        """One of the engine's functions, as the role postgres."""
        places = ", ".join("%s" for _ in arguments)
        with self.project.connect() as connection:
            [answer] = connection.execute(f"select public.{function}({places})", arguments).fetchone() or [None]
        return answer

    def status(self, job_id: str) -> str:
        """The status of a job."""
        with self.project.connect() as connection:
            [[status]] = connection.execute("select status from public.jobs where id = %s", (job_id,)).fetchall()
        return str(status)


_PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background of a shell ignores Ctrl-C
from filaviva.cli import main
main()
"""
_RUNNING: pytest.StashKey[CliProject] = pytest.StashKey()


@pytest.fixture(scope="session")
def cli(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> CliProject:
    """The project, one for all the modules that import this fixture; it ends with the run."""
    if _RUNNING not in pytestconfig.stash:
        open_until_the_end = contextlib.ExitStack()
        pytestconfig.add_cleanup(open_until_the_end.close)
        pytestconfig.stash[_RUNNING] = open_until_the_end.enter_context(_running(tmp_path_factory))
    return pytestconfig.stash[_RUNNING]


@contextlib.contextmanager
def _running(factory: pytest.TempPathFactory) -> Iterator[CliProject]:
    with (
        running_server(factory.mktemp("server"), MIGRATIONS, postgres_bin()) as server,
        serving_clone(server, factory.mktemp("media")) as project,
    ):
        with psycopg.connect(project.db_url, autocommit=True) as connection:
            connection.execute("select public.create_queue('work')")
            for kind in ("noop", "other"):
                connection.execute(
                    "select public.register_kind(%s, %s)", (kind, '{"queue": "work", "user_may_enqueue": true}')
                )
        yield CliProject(project)


def new_queue(cli: CliProject) -> str:
    """A queue that nobody else uses, with a kind of the same name; its name."""
    name = f"q{uuid4().hex[:12]}"
    cli.call("create_queue", name)
    cli.call("register_kind", name, f'{{"queue": "{name}", "user_may_enqueue": true}}')
    return name


def write(folder: Path, name: str, *lines: object) -> str:
    """A file with these lines; what is no string is written as JSON."""
    file = folder / name
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return str(file)
