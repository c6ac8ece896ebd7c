"""The official JavaScript client for tests: small scripts that print one JSON value a line.

Node runs them with `@supabase/supabase-js`, which npm installs once below `build/`. A script starts with what is
in `HEAD`: `createClient` for the address and key in its environment, and `tell(value)`, which prints one line.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, Any

import pytest

from tests.conftest import REPOSITORY

CLIENT = "@supabase/supabase-js@2.119.0"
WEBSOCKET = "ws@8.18.3"
"""Node before version 22 has no WebSocket of its own."""

HEAD = """
import ws from 'ws'
import { createClient as create, postgresChangesFilter } from '@supabase/supabase-js'
const tell = (value) => console.log(JSON.stringify(value))
const createClient = (options = {}, key = process.env.SUPABASE_KEY) =>
  create(process.env.SUPABASE_URL, key, { ...options, realtime: { transport: ws, ...options.realtime } })
"""
TAIL = "\nprocess.exit(0)\n"
"""The client's timers would keep a finished script alive for ten seconds."""

NPM, NODE = shutil.which("npm"), shutil.which("node")

official_js = [
    pytest.mark.official_cli,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        NPM is None or NODE is None, reason="npm is not installed: the official JavaScript client is left out"
    ),
]
"""Marks of a module that needs the client: `pytestmark = official_js`."""


def installed() -> Path:
    """The folder in which the client is installed; npm fetches it the first time."""
    folder = REPOSITORY / "build" / "npm" / CLIENT.replace("/", "_")
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent)
        assert NPM is not None
        command = [NPM, "install", "--prefix", building, "--no-audit", "--no-fund", "--no-save", CLIENT, WEBSOCKET]
        subprocess.run(command, check=True, capture_output=True, text=True)
        with contextlib.suppress(OSError):  # another run was faster
            Path(building).rename(folder)
        shutil.rmtree(building, ignore_errors=True)
    return folder


async def run_js(
    script: str,
    env: Mapping[str, str],
    on_line: Callable[[Any], Awaitable[None]] | None = None,
    seconds: float = 30,
) -> list[Any]:
    """Run a module script to its end and return the values it told, in order.

    Args:
        script: what comes after `HEAD`; it may use `await`, and the process ends with it.
        env: beside the usual environment, at least `SUPABASE_URL` and `SUPABASE_KEY`.
        on_line: called with each value as it comes, so that a test can act at the right moment.
        seconds: how long the script may take.

    Raises:
        AssertionError: the script failed; the message is what it said.
        TimeoutError: it did not end in time.
    """
    folder = await asyncio.to_thread(installed)
    with tempfile.TemporaryFile() as said:
        async with asyncio.timeout(seconds), _running(folder, env, said) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write((HEAD + script + TAIL).encode())
            process.stdin.close()
            told = []
            async for line in process.stdout:
                told.append(json.loads(line))
                if on_line is not None:
                    await on_line(told[-1])
            status = await process.wait()
        said.seek(0)
        assert status == 0, said.read().decode()
    return told


@contextlib.asynccontextmanager
async def _running(folder: Path, env: Mapping[str, str], said: IO[bytes]) -> AsyncIterator[asyncio.subprocess.Process]:
    assert NODE is not None
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        NODE, "--input-type=module", "-", cwd=folder, env={**os.environ, **env}, stdin=pipe, stdout=pipe, stderr=said
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
