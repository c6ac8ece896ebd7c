"""One PostgreSQL server of our own: create its data, start it, stop it, clone its databases."""

import contextlib
import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from devstack.homes import HOMES, claim, release
from devstack.install import InstallationError, find_installation, postgres_home

SUPERUSER = "supabase_admin"
"""The bootstrap superuser, as on hosted Supabase; `postgres` is an ordinary owner there and here."""

PASSWORD = "postgres"  # noqa: S105 - the well-known password of every local Supabase stack
BOOTSTRAP = Path(__file__).parent / "bootstrap"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path is limited to 107 bytes; loopback is not
    "wal_level": "logical",
    "max_replication_slots": "30",
    "max_wal_senders": "30",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "password_encryption": "scram-sha-256",
    "scram_iterations": "1",  # a known password on loopback: key stretching only slows connecting
    "shared_preload_libraries": "pg_stat_statements",
    # What a hosted project shows for the two extensions whose work devstack itself does.
    "cron.database_name": "postgres",
    "cron.enable_superuser_jobs": "on",
    "cron.host": "localhost",
    "cron.launch_active_jobs": "on",
    "cron.log_run": "on",
    "cron.log_statement": "on",
    "cron.max_running_jobs": "32",
    "cron.timezone": "GMT",
    "cron.use_background_workers": "off",
    "pg_net.batch_size": "200",
    "pg_net.database_name": "postgres",
    "pg_net.ttl": "6 hours",
    "pg_net.username": "",
}
SINCE: Mapping[str, int] = {"scram_iterations": 16}
"""The major version that brought a setting, where that matters."""


class ClusterError(RuntimeError):
    """PostgreSQL could not be created or started; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server. Make one with `start_cluster`; end it with `stop`."""

    home: Path
    data: Path
    port: int
    process: subprocess.Popen[bytes]

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Connection URL for `user`, on loopback."""
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", user: str = SUPERUSER) -> psycopg.Connection:
        """A new autocommit connection, as the superuser unless told otherwise."""
        return psycopg.connect(self.dsn(database, user), autocommit=True)

    def clone(self, template: str, database: str) -> None:
        """Create `database` as a copy of `template`, which nobody may be connected to."""
        with self.connect("template1") as connection:
            connection.execute(f'create database "{database}" template "{template}" owner postgres')

    def drop(self, database: str) -> None:
        """Drop `database` and whoever is connected to it."""
        with self.connect("template1") as connection:
            slots = connection.execute(
                "select pg_terminate_backend(active_pid) from pg_replication_slots"
                " where database = %s and active_pid is not null",
                (database,),
            ).fetchall()
            for _ in slots:
                _wait_for_free_slots(connection, database)
            connection.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s",
                (database,),
            )
            connection.execute(f'drop database if exists "{database}" with (force)')

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server, closing its sessions (`immediate`: as after a crash)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            self.process.wait(timeout=30)
        release(self.data.parent)


def start_cluster(
    data_dir: Path,
    *,
    port: int = 0,
    settings: Mapping[str, str] | None = None,
    log: Path | None = None,
    postgres_bin: Path | None = None,
) -> Cluster:
    """Start a server on `data_dir`, creating its data with roles and schemas the first time.

    Args:
        data_dir: where everything of this server lives; created if it is missing.
        port: TCP port on loopback; 0 takes a free one.
        settings: PostgreSQL settings over `SETTINGS`, for instance ``{"fsync": "off"}`` for tests.
        log: file for the server's log; default ``postgres.log`` beside the data.
        postgres_bin: programs of another PostgreSQL, version 15 or newer; default the packaged one.

    Raises:
        ClusterError: the port is taken, that PostgreSQL cannot serve, or the server did not come up.
    """
    place = _place_for(data_dir)
    if place.parent == HOMES:
        claim(place, data_dir.resolve())
    data = place / "data"
    home, major = _installed(place, data, postgres_bin)
    fresh = not (data / "PG_VERSION").exists()
    if fresh:
        _create(home, data)
    else:
        _stop_leftover(data)
    port = _usable(port) if port else free_port()
    process = _launch(home, data, port, {**_settings_of(major), **(settings or {})}, log or place / "postgres.log")
    cluster = Cluster(home, data, port, process)
    try:
        _wait_until_ready(cluster, log or place / "postgres.log")
        if not _is_bootstrapped(cluster):
            bootstrap(cluster, "postgres")
    except BaseException:
        cluster.stop(immediate=True)
        raise
    return cluster


def bootstrap(cluster: Cluster, database: str) -> None:
    """Give `database` the roles, schemas and grants of a new hosted project, all or nothing."""
    with cluster.connect(database) as connection, connection.transaction():
        for file in sorted(BOOTSTRAP.glob("*.sql")):
            connection.execute(file.read_bytes())


def free_port() -> int:
    """A TCP port on loopback that nobody holds at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _usable(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are closing do not matter
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ClusterError(
                f"port {port} of 127.0.0.1 cannot be used for the database ({error.strerror});"
                " end the program that listens there, or choose another port with --db-port (0 takes a free one)"
            ) from None
    return port


def remove_cluster(data_dir: Path) -> None:
    """Delete everything `start_cluster` made for `data_dir`; the server must be stopped."""
    shutil.rmtree(_place_for(data_dir), ignore_errors=True)


def _installed(place: Path, data: Path, postgres_bin: Path | None) -> tuple[Path, int]:
    """Where the programs are to be run from, and their major version, which the data must be of."""
    try:
        source = find_installation(postgres_bin)
    except InstallationError as error:
        raise ClusterError(str(error)) from None
    made_by = _major_of(data) or source.major
    if made_by != source.major:
        raise ClusterError(
            f"the database in {data} is of PostgreSQL {made_by}, and {source.programs} is {source.version};"
            f" use a PostgreSQL {made_by}, another folder (--data-dir), or delete this one (stop --delete)"
        )
    return postgres_home(place, source), source.major


def _major_of(data: Path) -> int | None:
    """The major version of the PostgreSQL that made the data; None if there is none yet."""
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        return None
    text = version_file.read_text(errors="replace").strip()
    if not text.isdecimal():
        raise ClusterError(
            f"{version_file} should hold a version's number and holds {text[:20]!r}, so the database is damaged;"
            " use another folder (--data-dir), or delete this one (stop --delete)"
        )
    return int(text)


def _settings_of(major: int) -> Mapping[str, str]:
    """`SETTINGS`, without those that are newer than the server."""
    return {name: value for name, value in SETTINGS.items() if major >= SINCE.get(name, 0)}


def _place_for(data_dir: Path) -> Path:
    """The folder to use for `data_dir`: itself, or, where PostgreSQL's user cannot get there, another.

    Root's own folders are closed to the unprivileged user that PostgreSQL must run as.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return data_dir / "cluster"
    user = _unprivileged_user()
    place = data_dir / "cluster"
    if not all(_may_traverse(folder, user) for folder in place.parents):
        name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
        place = HOMES / name
    place.mkdir(parents=True, exist_ok=True)
    os.chown(place, user.pw_uid, user.pw_gid)
    return place


def _may_traverse(folder: Path, user: pwd.struct_passwd) -> bool:
    status = folder.stat()
    if status.st_uid == user.pw_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    return bool(status.st_mode & stat.S_IXOTH)


def _unprivileged_user() -> pwd.struct_passwd:
    """Who runs PostgreSQL when we are root, since it refuses to run as root."""
    return pwd.getpwnam("nobody")


def _run_as() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    user = _unprivileged_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _create(home: Path, data: Path) -> None:
    building = data.with_name("data.building")  # renamed when it is complete: a creation that is cut off leaves no data
    shutil.rmtree(building, ignore_errors=True)
    password_file = data.parent / ".password"
    password_file.write_text(PASSWORD)
    password_file.chmod(0o644)
    _checked(
        [
            str(home / "bin" / "initdb"), "--pgdata", str(building), "--username", SUPERUSER,
            "--pwfile", str(password_file), "--auth", "scram-sha-256",
            "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions",
        ]
    )  # fmt: skip
    building.rename(data)


def _checked(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **_run_as())  # type: ignore[call-overload]  # noqa: S603
    if result.returncode:
        raise ClusterError(f"{Path(command[0]).name} failed: {result.stderr.strip() or result.stdout.strip()}")


def _launch(home: Path, data: Path, port: int, settings: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    arguments = [str(home / "bin" / "postgres"), "-D", str(data), "-p", str(port)]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    with log.open("ab") as output:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # noqa: S603
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,  # Ctrl-C at the terminal is ours to handle, not the server's
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            **_run_as(),
        )


def _die_with_parent() -> None:
    """Ask Linux for SIGINT (a fast shutdown) when whoever started the server dies, however it dies."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGINT)


def _stop_leftover(data: Path) -> None:
    """End a server that an earlier owner left running on this data, and forget its lock file."""
    lock = data / "postmaster.pid"
    if not lock.exists():
        return
    first_line = lock.read_text().split("\n", 1)[0]
    pid = int(first_line) if first_line.isdecimal() else 0  # a machine that lost power may leave it empty
    if pid and _is_postgres_on(pid, data):
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 30
        while _is_postgres_on(pid, data):
            if time.monotonic() > deadline:
                raise ClusterError(f"process {pid} still serves {data}; end it and start again")
            time.sleep(0.02)
    lock.unlink(missing_ok=True)


def _is_postgres_on(pid: int, data: Path) -> bool:
    """Whether `pid` is a living server on `data`, not another program that got the same number later."""
    command = _command_of(pid)
    return "postgres" in command and str(data) in command


def _command_of(pid: int) -> str:
    """The command line of a living process; empty for one that is gone or only waits to be reaped."""
    if Path("/proc/self").exists():  # Linux, where `ps` may not be installed
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    ps = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return ps.stdout


def _wait_until_ready(cluster: Cluster, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        if cluster.process.poll() is not None:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise ClusterError(f"PostgreSQL did not start on port {cluster.port}:\n{tail}")
        with contextlib.suppress(psycopg.OperationalError):
            cluster.connect("template1").close()
            return
        if time.monotonic() > deadline:
            raise ClusterError(f"PostgreSQL did not answer on port {cluster.port} within 30 s; see {log}")
        time.sleep(0.01)


def _is_bootstrapped(cluster: Cluster) -> bool:
    with cluster.connect() as connection:
        return connection.execute("select from pg_roles where rolname = 'authenticator'").fetchone() is not None


def _wait_for_free_slots(connection: psycopg.Connection, database: str) -> None:
    deadline = time.monotonic() + 5
    query = "select from pg_replication_slots where database = %s and active_pid is not null"
    while connection.execute(query, (database,)).fetchone() and time.monotonic() < deadline:
        time.sleep(0.01)
