"""How a running stack is shown: a table for people, plain lines where there is no terminal, JSON for programs."""

import json

import typer
from rich.console import Console
from rich.table import Table

from devstack.keys import local_keys
from devstack.state import StackState


def variables(state: StackState) -> dict[str, str]:
    """What programs need to use the stack, under the names the Supabase CLI gives it."""
    keys = local_keys()
    return {
        "API_URL": state.api_url,
        "DB_URL": state.db_url,
        "FUNCTIONS_URL": state.functions_url,
        "PUBLISHABLE_KEY": keys.publishable_key,
        "SECRET_KEY": keys.secret_key,
        "ANON_KEY": keys.anon_key,
        "SERVICE_ROLE_KEY": keys.service_role_key,
        "JWT_SECRET": keys.jwt_secret,
    }


def show(out: Console, state: StackState) -> None:
    """Print where the stack listens, and its keys."""
    if out.quiet:
        return
    if out.is_terminal:
        _show_tables(out, variables(state))
    else:
        show_env(state)


def show_env(state: StackState) -> None:
    """Print lines that a shell understands."""
    for name, value in variables(state).items():
        typer.echo(f'{name}="{value}"')


def show_json(state: StackState) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(variables(state), indent=2))


def _show_tables(out: Console, values: dict[str, str]) -> None:
    urls = _table("Where it listens")
    urls.add_row("API", values["API_URL"], "REST, Auth, Realtime, Storage")
    urls.add_row("Database", values["DB_URL"], "")
    urls.add_row("Functions", values["FUNCTIONS_URL"], "where yours are expected")
    keys = _table("Its keys")
    keys.add_row("Publishable", values["PUBLISHABLE_KEY"], "for browsers")
    keys.add_row("Secret", values["SECRET_KEY"], "for servers")
    out.print(urls, keys)
    for name in ("ANON_KEY", "SERVICE_ROLE_KEY", "JWT_SECRET"):  # too long for a cell, and meant to be copied
        out.print(f"[bold]{name}[/]={values[name]}", soft_wrap=True, highlight=False)


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    return table
