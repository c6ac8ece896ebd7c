"""Makes pages of the documents: a link to a file outside `docs` is shown as its name, since the site holds no code."""

import re
from typing import Any

_LINK_TO_CODE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page as the site shows it."""
    return _LINK_TO_CODE.sub(r"`\1`", markdown)
