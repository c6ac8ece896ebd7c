"""The stack as a process of its own: start it detached, wait until it is ready, stop it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from devstack.logs import log_file
from devstack.state import StackError, StackOptions, StackState, announce, holder, locked, read_state

STOP_SECONDS = 40
"""How long `stop` waits; the database may take 30 of them."""


def start_detached(options: StackOptions, out: Console) -> StackState:
    """Start the stack in a process of its own and wait until it is ready.

    Raises:
        StackError: it ended before that, with what it had to say.
    """
    with locked(options.data_dir) as lock, log_file(options.data_dir, "devstack").open("ab") as log:
        already = log.tell()
        child = subprocess.Popen(  # noqa: S603 - our own module, with numbers and paths as arguments
            [sys.executable, "-m", "devstack", "up", "--quiet", "--lock", str(lock), *_arguments(options)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, pass_fds=(lock,),
        )  # fmt: skip
        announce(lock, child.pid)  # `stop` finds it from now on, long before it has loaded
    try:
        with out.status("Starting devstack …"):
            return _wait_until_ready(child, options.data_dir, already)
    except BaseException:  # Ctrl-C, for instance: nobody would know of a stack that came up later
        child.terminate()
        raise


def stop_stack(data_dir: Path) -> bool:
    """End the stack on `data_dir`, started or still starting, and wait for it; False if there is none.

    Raises:
        StackError: it does not end, or belongs to another user.
    """
    pid = holder(data_dir)
    if pid is None:
        return False
    try:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise StackError(f"process {pid} belongs to another user, who must stop it") from None
    deadline = time.monotonic() + STOP_SECONDS
    while holder(data_dir) == pid:
        if time.monotonic() > deadline:
            raise StackError(f"process {pid} does not stop; end it with `kill -9 {pid}` and start again")
        time.sleep(0.02)
    return True


def _arguments(options: StackOptions) -> list[str]:
    arguments = [
        "--data-dir", str(options.data_dir), "--port", str(options.port), "--db-port", str(options.db_port),
        "--functions-port", str(options.functions_port), "--migrations", str(options.migrations),
    ]  # fmt: skip
    if options.postgres_bin is not None:
        arguments += ["--postgres-bin", str(options.postgres_bin)]
    if options.auth_limits:
        arguments.append("--auth-limits")
    return arguments


def _wait_until_ready(child: subprocess.Popen[bytes], data_dir: Path, already: int) -> StackState:
    while True:
        state = read_state(data_dir)
        if state and state.pid == child.pid:
            return state
        if child.poll() is not None:
            said = log_file(data_dir, "devstack").read_bytes()[already:].decode(errors="replace").strip()
            said = said.removeprefix("Error: ")
            raise StackError(said or f"it was stopped while it started (code {child.returncode})")
        time.sleep(0.02)
