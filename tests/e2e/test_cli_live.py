"""The command as a process: followed jobs, a real worker, a terminal with a person at it, and signals."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.cli_project import CliProject, cli, new_queue

__all__ = ["cli"]

PIPES: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@pytest.fixture(scope="module")
def worker(cli: CliProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`filaviva worker` serving the canary's queue."""
    log = tmp_path_factory.mktemp("worker") / "log"
    settings = {"SUPABASE_DB_URL": cli.project.db_url, "CRON_SECRET": "secret"}
    with log.open("w") as output:
        process = cli.start("worker", "--queue", "canary", stdout=output, stderr=output, environment=settings)
    try:
        wait_until(lambda: "worker started" in log.read_text())
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@dataclass(slots=True)
class Terminal:
    """A command at a terminal of 120 columns, and a person who reads and types."""

    process: "subprocess.Popen[str]"
    screen: int
    shown: str = ""

    def read_until(self, text: str, seconds: float = 20) -> str:
        """All that was shown until `text` was."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            with contextlib.suppress(OSError):
                self.shown += os.read(self.screen, 65536).decode()
        return self.shown

    def interrupt(self) -> None:
        """Press Ctrl-C until it is heard: in the instant before Python reads, a signal passes unseen."""
        for _ in range(5):
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(3)
                return

    def type(self, text: str) -> None:
        os.write(self.screen, text.encode())


@contextlib.contextmanager
def at_a_terminal(cli: CliProject, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    screen, keyboard = pty.openpty()
    size = {"COLUMNS": "120", "LINES": "40", "TERM": "xterm-256color"}
    process = cli.start(
        *arguments, stdin=keyboard, stdout=keyboard, stderr=keyboard, environment={**size, **(environment or {})}
    )
    os.close(keyboard)
    try:
        yield Terminal(process, screen)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        os.close(screen)


@contextlib.contextmanager
def reading(cli: CliProject, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A command whose output is read line by line; killed if the test fails before it has ended."""
    with cli.start(*arguments, **PIPES) as process:
        try:
            yield process
        finally:
            process.kill()


def test_ping_times_each_stretch_of_the_road(cli: CliProject, worker: None) -> None:
    answer = cli.run("ping")
    assert answer.code == 0, answer.err
    assert [line.split()[0] for line in answer.out.splitlines()] == ["enqueued", "claimed", "ended", "seen", "✓"]
    journey = cli.run("ping", "--json", user=cli.project.sign_up()).json
    assert journey["status"] == "completed"
    assert journey["seen_ms"] > journey["run_ms"] > 0
    assert cli.run("jobs", journey["job_id"]).code == 0


def test_a_canary_that_nobody_takes_up_is_a_finding_and_is_taken_back(cli: CliProject, worker: None) -> None:
    cli.run("pause", "canary")
    try:
        answer = cli.run("ping", "--wait", "1", "--json")
        quiet = cli.run("ping", "--wait", "1")
    finally:
        cli.run("resume", "canary")
    assert (answer.code, answer.json["status"], answer.json["seen_ms"]) == (3, "pending", None)
    assert cli.status(answer.json["job_id"]) == "cancelled"
    assert quiet.err == "The canary has not come through. The queue canary is paused.\n"


def test_watch_prints_each_change_and_ends_with_the_jobs(cli: CliProject, worker: None) -> None:
    good, bad = cli.enqueue(), cli.enqueue()
    with reading(cli, "watch", good, bad, "--json") as process:
        assert process.stdout is not None
        first = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert {(event["id"], event["status"]) for event in first} == {(good, "pending"), (bad, "pending")}
        cli.end(good, "done", result={})
        cli.end(bad, "reject", error={"code": "no_luck", "message": "It had none."})
        rest = [json.loads(line) for line in process.stdout]
        assert process.wait(20) == 1
    last = {event["id"]: event["status"] for event in rest}
    assert last == {good: "completed", bad: "failed"}
    for job in (good, bad):
        versions = [event["version"] for event in first + rest if event["id"] == job]
        assert versions == sorted(set(versions))
    over = cli.run("watch", good)
    assert (over.code, "✓ completed" in over.out) == (0, True)


def test_watch_of_an_unknown_job_says_so(cli: CliProject) -> None:
    answer = cli.run("watch", "00000000-0000-0000-0000-000000000000")
    assert (answer.code, "[unknown_job]" in answer.err) == (1, True)
    assert cli.run("watch").code == 2
    assert cli.run("watch", "--queue", "nowhere").code == 1


def test_a_queue_is_followed_until_ctrl_c(cli: CliProject) -> None:
    queue = new_queue(cli)
    waiting = cli.enqueue(queue)
    with reading(cli, "watch", "--queue", queue) as process:
        assert process.stdout is not None
        assert f"{waiting}  ○ pending" in process.stdout.readline()
        later = cli.enqueue(queue)
        assert f"{later}  ○ pending" in process.stdout.readline()
        cli.end(later, "done", result={})
        while "✓ completed" not in (line := process.stdout.readline()):
            assert later in line
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_sigterm_gives_a_terminal_its_cursor_back(cli: CliProject) -> None:
    job = cli.enqueue()
    with at_a_terminal(cli, "watch", job) as terminal:
        assert "\x1b[?25l" in terminal.read_until("○ pending")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.read_until("\x1b[?25h")
        assert terminal.process.wait(20) == -signal.SIGTERM


def test_a_terminal_shows_a_table_that_repaints_itself(cli: CliProject) -> None:
    job = cli.enqueue()
    with at_a_terminal(cli, "watch", job) as terminal:
        terminal.read_until("○ pending")
        claimed = cli.call("claim_job", job, "w", "00000000-0000-0000-0000-00000000000a")["jobs"][0]
        lease = {"job_id": job, "claim_id": claimed["claim_id"], "progress": 40, "note": "Half of it"}
        cli.call("extend_leases", json.dumps([lease]))
        assert "\x1b[" in terminal.read_until("Half of it")
        done = {"job_id": job, "claim_id": claimed["claim_id"], "outcome": "done", "result": {}}
        cli.call("settle_jobs", json.dumps([done]))
        terminal.read_until("✓ completed")
        assert terminal.process.wait(20) == 0


def test_no_color_leaves_the_colours_out(cli: CliProject) -> None:
    failed, unknown = cli.failed(), "00000000-0000-0000-0000-000000000000"
    for environment, coloured in ((dict[str, str](), True), ({"NO_COLOR": "1"}, False)):
        with at_a_terminal(cli, "cancel", failed, unknown, environment=environment) as terminal:
            shown = terminal.read_until("✗ failed")
            assert ("\x1b[31mError: " in shown) is coloured
            assert ("\x1b[31m✗ failed" in shown) is coloured


@pytest.mark.parametrize(
    ("typed", "code", "left"), [("y\n", 0, "cancelled"), ("n\n", 1, "pending"), ("", 1, "pending")]
)
def test_a_person_is_asked_before_a_purge(cli: CliProject, typed: str, code: int, left: str) -> None:
    queue = new_queue(cli)
    job = cli.enqueue(queue)
    with at_a_terminal(cli, "purge", queue) as terminal:
        terminal.read_until(f"Cancel 1 job of the queue {queue}? [y/N]")
        if typed:
            terminal.type(typed)
        else:
            terminal.interrupt()
        assert terminal.process.wait(20) == code
    assert cli.status(job) == left


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [
        ({"SUPABASE_URL": ""}, 2, "Set SUPABASE_URL to https://"),
        ({"SUPABASE_URL": "example"}, 2, "expected the project's URL"),
        ({"SUPABASE_ANON_KEY": "", "SUPABASE_SERVICE_ROLE_KEY": ""}, 2, "Set SUPABASE_ANON_KEY"),
        ({"SUPABASE_SERVICE_ROLE_KEY": "two words"}, 2, "[invalid_key]"),
        ({"SUPABASE_SERVICE_ROLE_KEY": "wrong"}, 4, "Next:"),
        ({"FILAVIVA_ACCESS_TOKEN": "canary-token"}, 4, "Set FILAVIVA_ACCESS_TOKEN"),
        ({"SUPABASE_SERVICE_ROLE_KEY": ""}, 4, "Nobody is signed in"),
        ({"SUPABASE_URL": "http://127.0.0.1:1"}, 3, "[no_answer]"),
    ],
)
def test_a_wrong_setting_says_what_to_set(cli: CliProject, environment: dict[str, str], code: int, said: str) -> None:
    answer = cli.run("jobs", changes=environment)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert "two words" not in answer.err
    assert "canary-token" not in answer.err


def test_options_win_over_the_environment(cli: CliProject) -> None:
    given = cli.environment()
    options = ["--url", given["SUPABASE_URL"], "--key", given["SUPABASE_SERVICE_ROLE_KEY"]]
    assert (
        cli.run(
            "queues", *options, changes={"SUPABASE_URL": "http://127.0.0.1:1", "SUPABASE_SERVICE_ROLE_KEY": None}
        ).code
        == 0
    )
    user = cli.project.sign_up()
    assert cli.run("queues", "--token", user.token).code == 4


def test_completion_knows_the_commands(cli: CliProject) -> None:
    asked = {"_FILAVIVA_COMPLETE": "complete_bash", "COMP_WORDS": "filaviva re", "COMP_CWORD": "1"}
    offered = cli.run(changes=asked).out
    assert set(offered.split()) == {"retry", "resolve", "replay", "resume", "redrive"}
