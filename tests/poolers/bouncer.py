"""A PgBouncer of a test's own, before a PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from prismicx.embedded.process import HOST, ask, free_port, running
from prismicx.testing.databases import APPLICATION_ROLE, OWNER_ROLE, PostgresServer

SERVER_CONNECTIONS: Final = 3

_SSL_REQUEST: Final = bytes.fromhex("0000000804d2162f")
_LENIENT: Final = "citus.propagate_set_commands,citus.enable_schema_based_sharding"


def program() -> str | None:
    """Return the path of PgBouncer's program, or `None` where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """A running PgBouncer in transaction mode, with three connections to the server for each user of a database."""

    port: int

    def before(self, dsn: str) -> str:
        """Return the address of the same database for the same user, through the pooler."""
        parts = urlsplit(dsn)
        return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{HOST}:{self.port}"))


@contextmanager
def bouncing(server: PostgresServer, command: str, *, lenient: bool = False) -> Iterator[PgBouncer]:
    """Run a PgBouncer before the server for the length of the block.

    Args:
        lenient: take the start-up settings of a client that does not know of the pooler, instead of refusing them.
    """
    port = free_port()
    with TemporaryDirectory(prefix="prismicx-pgbouncer-") as folder:
        place = Path(folder)
        users = "".join(f'"{role}" "{server.password(role)}"\n' for role in (APPLICATION_ROLE, OWNER_ROLE))
        (place / "users.txt").write_text(users)
        (place / "pgbouncer.ini").write_text(_configuration(server, port, place, lenient=lenient))
        nobody = pwd.getpwnam("nobody")  # PgBouncer refuses to run as root
        owner = None if os.geteuid() else (nobody.pw_uid, nobody.pw_gid)
        for path in (place, *place.iterdir()):
            if owner:
                os.chown(path, *owner)
        with running(
            "PgBouncer",
            [command, str(place / "pgbouncer.ini")],
            temporary=place,
            is_ready=lambda: ask(port, _SSL_REQUEST) == b"N",
            owner=owner,
            stop=signal.SIGTERM,
        ):
            yield PgBouncer(port)


def _configuration(server: PostgresServer, port: int, place: Path, *, lenient: bool) -> str:
    target = urlsplit(server.superuser_dsn)
    settings: Mapping[str, object] = {
        "listen_addr": HOST,
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": place / "users.txt",
        "pool_mode": "transaction",
        "default_pool_size": SERVER_CONNECTIONS,
        "max_client_conn": 200,
        **({"ignore_startup_parameters": _LENIENT} if lenient else {}),
    }
    lines = "\n".join(f"{name} = {value}" for name, value in settings.items())
    return f"[databases]\n* = host={target.hostname} port={target.port or 5432}\n\n[pgbouncer]\n{lines}\n"
