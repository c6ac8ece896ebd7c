"""`make dev`: the whole project on its usual ports, until Ctrl-C."""

import contextlib
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from examples.local_project import LocalProject, StartError


def main() -> None:
    """Start everything, show where it is, and wait; exit code 1 if a part does not start or ends by itself."""
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
                _show(project, console)
                sys.exit(project.wait_until_one_ends())
    except StartError as problem:
        status.stop()
        sys.exit(str(problem))


def _show(project: LocalProject, console: Console) -> None:
    """Say where everything is. Keys are printed plainly, to be copied: a table would cut or fold them."""
    print("For a program of yours:")
    print(f"export SUPABASE_URL={project.api_url}")
    print(f"export SUPABASE_ANON_KEY={project.anon_key}")
    print("\nFor a trusted server only: the service key, and the bearer of the internal functions:")
    print(f"export SUPABASE_SERVICE_ROLE_KEY={project.service_role_key}")
    print(f"export CRON_SECRET={project.cron_secret}\n")
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Database", project.db_url)
    table.add_row("Functions", project.functions_url)
    table.add_row("Provider doubles", project.providers_url)
    console.print(table)
    console.print("Logs are in .devstack/. Press Ctrl-C to stop.")


if __name__ == "__main__":
    main()
