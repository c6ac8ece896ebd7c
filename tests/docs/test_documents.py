"""What the documents say is held against the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Database

DOCUMENTS = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
MIGRATIONS = "\n".join(path.read_text() for path in sorted((REPOSITORY / "supabase" / "migrations").glob("*.sql")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


def test_every_error_code_of_the_engine_is_documented() -> None:
    codes = set(re.findall(r"filaviva\.fail\(\d{3}, '(\w+)'", MIGRATIONS))
    assert len(codes) > 15
    documented = set(re.findall(r"^\| `(\w+)` \|", (REPOSITORY / "docs" / "errors.md").read_text(), re.MULTILINE))
    assert codes - documented == set()


def test_every_status_is_documented() -> None:
    statuses = re.findall(r"constraint status_is_known\s+check \(status in \(('pending'[^)]*)\)", MIGRATIONS)[0]
    states = (REPOSITORY / "docs" / "states.md").read_text()
    for status in re.findall(r"'(\w+)'", statuses):
        assert f"| `{status}` |" in states


def test_the_readme_shows_the_example_that_is_tested() -> None:
    example = (REPOSITORY / "docs" / "examples" / "first_job.py").read_text()
    assert f"```python\n{example}```" in (REPOSITORY / "README.md").read_text()
    assert len(example.strip().splitlines()) <= 20


def test_the_package_named_supabase_is_the_official_client() -> None:
    program = "import supabase, sys; sys.exit(not callable(supabase.create_client))"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 0
    assert list((REPOSITORY / "supabase").rglob("*.py")) == []


def test_the_schedules_of_the_design_documents_are_among_ours(database: Database) -> None:
    with database.connect() as connection:
        schedules = {row[0] for row in connection.execute("select schedule from cron.job where active")}
    assert {"10 seconds", "*/5 * * * *", "0 */6 * * *", "0 2 * * *"} <= schedules
