"""`make dev`: the whole project on its usual ports, until Ctrl-C."""

import contextlib
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.local_project import LocalProject, StartError


def main() -> None:
    """Start everything, show where it is, and wait."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    console = Console()
    status = console.status("Starting …")
    project = LocalProject(
        Path(".devstack"), 54321, 54322, 54330, 54331, on_step=lambda name: status.update(f"Starting {name} …")
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):
            status.start()
            with project:
                status.stop()
                console.print(_table(project))
                console.print("Logs are in .devstack/. Press Ctrl-C to stop.")
                signal.pause()
    except StartError as problem:
        status.stop()
        sys.exit(str(problem))


def _table(project: LocalProject) -> Table:
    table = Table(show_header=False, box=None)
    rows = {
        "API": project.api_url,
        "Database": project.db_url,
        "Functions": project.functions_url,
        "Provider doubles": project.providers_url,
        "Anon key": project.anon_key,
        "Service key": project.service_role_key,
        "Internal bearer": project.cron_secret,
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", value)
    return table


if __name__ == "__main__":
    main()
