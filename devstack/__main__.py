"""``python -m devstack``: a local Supabase project without Docker and without an account."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older one must be told in words, before it reads newer syntax
    sys.exit(
        f"Error: devstack needs Python 3.11 or newer, and this is {sys.version.split()[0]}: use python3.12 -m devstack"
    )

if __name__ == "__main__":
    try:
        from devstack.cli import app
    except ModuleNotFoundError as missing:
        sys.exit(
            f"Error: the Python package {missing.name} is missing here ({sys.executable});"
            " install what requirements-dev.txt names, or use the project's own .venv/bin/python"
        )
    app(prog_name="python -m devstack")
