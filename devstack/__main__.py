"""``python -m devstack``: a local Supabase project without Docker and without an account."""

from devstack.cli import app

if __name__ == "__main__":
    app(prog_name="python -m devstack")
