"""The command `filaviva`. It finds its subcommands as entry points, so the library imports nothing of what they run."""

import sys


def main() -> None:
    """Run the command with the arguments of the process."""
    try:
        from filaviva.cli.commands import run  # noqa: PLC0415 - typer belongs to an extra

        run()
    except ImportError as problem:
        if problem.name not in {"typer", "rich"}:
            raise
        sys.exit(f"The command filaviva needs {problem.name}. Install it: pip install 'filaviva[cli]'")
    except KeyboardInterrupt:  # while it was still being imported
        sys.exit(130)
