"""The page about the command line is held to the commands that there are."""

import re
import shlex
from typing import Any

import pytest
import typer

from filaviva.cli.commands import application
from filaviva.cli.exits import Exit
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "cli.md").read_text()
GROUP: Any = typer.main.get_command(application)
COMMON = {"--url", "--key", "--token", "--lang", "--json", "--help"}
NAMES = [name for name in GROUP.list_commands(None) if name != "worker"]


def options(name: str) -> set[str]:
    """Every option of a command."""
    found = {opt for param in GROUP.get_command(None, name).params for opt in (*param.opts, *param.secondary_opts)}
    return {option for option in found if option.startswith("--")}


def section(name: str) -> str:
    """What the page says of a command."""
    return PAGE.split(f"\n### `filaviva {name}`\n")[1].split("\n### ")[0].split("\n## ")[0]


def test_the_page_has_a_section_for_each_command_and_no_other() -> None:
    assert sorted(re.findall(r"^### `filaviva (\w+)`$", PAGE, re.MULTILINE)) == sorted(NAMES)
    assert len(NAMES) >= 18
    assert "filaviva worker" in PAGE


@pytest.mark.parametrize("name", NAMES)
def test_a_section_names_every_option_and_none_that_is_not_there(name: str) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section(name)))
    assert named - COMMON == options(name) - COMMON


@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_the_common_options_and_has_an_example(name: str) -> None:
    assert options(name) >= COMMON - {"--help"}
    assert f"filaviva {name}" in "".join(re.findall(r"```console\n(.*?)```", section(name), re.DOTALL))


def test_every_example_is_accepted_by_the_parser() -> None:
    examples = re.findall(r"filaviva ((?:\w+)(?: [^|\n)]*)?)", "\n".join(re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)))
    examples = [example.split("$(")[0] for example in examples]
    assert len(examples) > 25
    for example in examples:
        name, *arguments = shlex.split(example, comments=True)
        command = GROUP.get_command(None, name)
        assert command is not None, example
        if "watch" in example and not arguments:
            continue  # its job comes from the command inside
        command.make_context(name, arguments)


def test_the_table_of_exit_codes_is_that_of_the_program() -> None:
    table = PAGE.split("## How a command ends")[1].split("\n## ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == [int(code) for code in Exit]
