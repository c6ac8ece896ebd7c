"""docs/publications.md against the code: its options, its limits, and the example that it prints."""

import asyncio
import importlib.util
from types import ModuleType

import pytest

from devstack.providers.server import serving
from functions.app import create_app
from functions.handlers.publish_post import LIMITERS
from functions.platforms.options import OPTIONS
from functions.platforms.rules import MediaRule, Option
from tests.conftest import REPOSITORY
from tests.functions.conftest import Project, project

__all__ = ["project"]
PAGE = (REPOSITORY / "docs" / "publications.md").read_text()
EXAMPLE = REPOSITORY / "docs" / "examples" / "publish_everywhere.py"


def row_of(option: Option) -> str:
    """The option's line in the table, as it follows from the rules that are enforced."""
    fields = option.settings.model_fields
    settings = ", ".join(f"`{field.alias or name}`" for name, field in fields.items()) or "none"
    caption = "none"
    if option.caption is not None:
        limits = [f"{option.caption.limit} {option.caption.unit.name}"]
        limits += [f"{count} {noun}" for count, noun in counts_of(option) if count is not None]
        caption = ", ".join(limits)
    names = " ".join([f"`{option.name}`", *(f"(`{alias}`)" for alias in option.aliases)])
    return f"| {names} | {'; or '.join(map(words_of, option.media))} | {caption} | {settings} |"


def counts_of(option: Option) -> list[tuple[int | None, str]]:
    assert option.caption is not None
    return [(option.caption.hashtags, "hashtags"), (option.caption.mentions, "mentions")]


def words_of(rule: MediaRule) -> str:
    """One choice of media: how many, of which types up to which size, how long and of which shape."""
    sizes: dict[int, list[str]] = {}
    for mime, most in rule.most_bytes.items():
        sizes.setdefault(most, []).append(mime.partition("/")[2])
    words = [str(rule), *(f"{', '.join(types)} up to {size_of(most)}" for most, types in sizes.items())]
    if rule.seconds:
        words.append(f"{rule.seconds.least:g} to {rule.seconds.most:g} s")
    if rule.ratio:
        words.append(f"width {rule.ratio.least:.3g} to {rule.ratio.most:.3g} of the height")
    return ", ".join(words)


def size_of(most: int) -> str:
    return f"{most / 1e9:g} GB" if most >= 1e9 else f"{most / 1e6:.3g} MB"


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_the_page_tells_what_each_option_takes(option: Option) -> None:
    assert row_of(option) in PAGE


def test_the_page_names_no_option_that_there_is_not() -> None:
    lines = [
        line
        for line in PAGE.splitlines()
        if line.startswith("| `") and line.partition("`")[2].partition("_")[0] in PLATFORMS
    ]
    listed = [line for line in lines if line.count("|") == 5]
    assert len(listed) == len(OPTIONS)


PLATFORMS = {option.platform for option in OPTIONS.values()}


def test_the_page_tells_every_limit_that_is_set(project: Project) -> None:
    rows = project.connection.execute(
        "select l.name, l.max_hits, l.window_seconds, q.key from public.rate_limiters l"
        " join public.queue_limits q on q.limiter = l.name where q.queue = 'publication_queue'"
    ).fetchall()
    for name, hits, seconds, key in rows:
        assert f"| `{name}` | {hits:,} | {window(seconds)} | `{key}` |" in PAGE
    names = {row[0] for row in rows}
    wanted = {form.format(platform=name) for form in LIMITERS.values() for name in ("x", "youtube")}
    assert wanted <= names, "what the handler names is set"


def window(seconds: int) -> str:
    return {60: "minute", 900: "15 minutes", 86_400: "day"}[seconds]


def load_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("publish_everywhere", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


async def test_the_example_of_the_page_enqueues_what_it_can_and_tells_the_rest(project: Project) -> None:
    assert f"```python\n{EXAMPLE.read_text()}```" in PAGE
    user = project.sign_up()
    project.connect_account(user, "threads")
    async with serving(create_app(project.settings())) as functions_url:
        job_ids, rejected = await asyncio.to_thread(
            load_example().publish, functions_url, user.token, user.id, "First light"
        )
    assert [str(job["id"]) for job in project.jobs()] == job_ids
    assert [job["payload"]["option"] for job in project.jobs()] == ["threads_post"]
    assert rejected == ["x_post: No x account is connected. (selectedOptions.1)"]
