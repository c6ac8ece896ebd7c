"""Run the demo: `python -m examples.demo [request.json]`. Exit code 0 only if all of it came true."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from devstack.stack import remove_data
from examples.demo.figures import Figures
from examples.demo.screen import Screen, words_for
from examples.demo.story import Story, StoryError
from examples.local_project import LocalProject, StartError

BUILD = Path("build")


def main(
    request: Annotated[Path, typer.Argument(help="A request as POST /api/publications/enqueue takes it.")] = Path(
        "examples/publication.json"
    ),
    language: Annotated[str, typer.Option("--language", help="pt or en; default: that of your system.")] = "",
) -> None:
    """Publish to two networks, watch it live as one user, and see that another user sees nothing."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    try:
        body = _read(request)
        words = words_for(language)
    except ValueError as problem:
        console.print(f"[red]{problem}[/]")
        raise typer.Exit(2) from None
    try:
        figures = _run(body, console, words)
    except KeyboardInterrupt:
        console.print(words["interrupted"])
        raise typer.Exit(130) from None
    except (StartError, StoryError) as problem:
        console.print(f"[red]{problem}[/]")
        raise typer.Exit(1) from None
    (BUILD / "demo.json").write_text(json.dumps(figures.to_json(), indent=2) + "\n")
    raise typer.Exit(0 if figures.all_true else 1)


def _run(body: dict[str, Any], console: Console, words: dict[str, str]) -> Figures:
    began = time.monotonic()
    folder = BUILD / "demo"
    remove_data(folder)
    with contextlib.ExitStack() as stack:
        with console.status(words["starting"]) as status:
            project = LocalProject(folder, on_step=lambda name: status.update(f"{words['starting']} {name}"))
            stack.enter_context(project)
        return asyncio.run(Story(project, body, Screen(console, words), Figures(began)).tell())


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ValueError(f"{path}: {problem.strerror}. Name a JSON file, as in make demo INPUT=file.json.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise ValueError(f"{path} is not JSON: {problem}. examples/publication.json shows the form.") from None
    if not isinstance(body, dict):
        raise ValueError(f"{path} must hold a JSON object. examples/publication.json shows the form.")
    return body


if __name__ == "__main__":
    typer.run(main)
