"""`python -m functions`: serve all endpoints on this machine or in a container."""

import argparse
import os
import sys

import uvicorn

from functions.app import create_app
from functions.settings import Settings, SettingsError


def main() -> None:
    """Read the arguments and the environment, then serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m functions", description="Serve the HTTP functions.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=54330, help="port, 0 for a free one (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        settings = Settings.from_environ(os.environ)
    except SettingsError as problem:
        sys.exit(str(problem))
    uvicorn.run(
        create_app(settings),
        host=arguments.host,
        port=arguments.port,
        ws="none",  # nothing here speaks WebSocket, and its log would show the keys in an address
        access_log=False,  # every request leaves a structured line already
        timeout_graceful_shutdown=round(settings.shutdown_grace_seconds) + 10,
    )


if __name__ == "__main__":
    main()
