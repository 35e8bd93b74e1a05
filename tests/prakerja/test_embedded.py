"""The embedded servers, for real: each test has a state folder, and so servers, of its own."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import environ
import psycopg2
import pytest
import redis

from prakerja.embedded.servers import EmbeddedError, Endpoints, Servers

PROJECT = Path(__file__).resolve().parents[2]
USER = """
import sys, time
from pathlib import Path
from prakerja.embedded.servers import Servers
servers = Servers(Path(sys.argv[1]), durable=False)
servers.start()
print("up", flush=True)
sys.stdin.readline()
servers.release()
"""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path / "state", durable=False)
    yield servers
    servers.destroy()


@pytest.fixture
def another_user(servers: Servers) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts another process that uses the same servers until its input ends."""
    started = []

    def start(**environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", USER, str(servers.state)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=PROJECT, env=os.environ | environment, stdin=pipe, stdout=pipe, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def is_up(process: "subprocess.Popen[str]") -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "up\n"


def ask(ends: Endpoints, question: str) -> Any:
    """Ask PostgreSQL, at the address that the settings make of the URL."""
    address = environ.Env.db_url_config(ends.database_url)
    connection = psycopg2.connect(dbname=address["NAME"], host=address["HOST"], user=address["USER"])
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchall()[0][0] if cursor.description else None


def none_runs(servers: Servers) -> bool:
    return set(servers.running().values()) == {None}


def test_both_servers_answer_on_private_sockets_only(servers: Servers) -> None:
    ends = servers.start()

    assert ask(ends, "SHOW server_version").startswith(ends.postgres_version)
    assert ask(ends, "SHOW listen_addresses") == ""
    assert ask(ends, "SELECT upper('é')") == "É"
    broker = redis.Redis(unix_socket_path=str(servers.valkey.socket))
    assert broker.config_get("port", "maxmemory-policy") == {"port": "0", "maxmemory-policy": "noeviction"}
    broker.close()
    assert ends.redis_url == f"redis+socket://{servers.valkey.socket}?virtual_host=0"
    assert stat.S_IMODE(servers.sockets.stat().st_mode) & 0o007 == 0
    assert len(str(servers.sockets / ".s.PGSQL.5432.lock")) < 100


def test_the_last_user_stops_what_the_first_one_started(servers: Servers, another_user) -> None:
    servers.start()
    running = servers.running()
    other = another_user()
    assert is_up(other)
    assert servers.running() == running

    servers.release()
    assert servers.running() == running
    other.communicate("done\n")

    assert none_runs(servers)


def test_users_that_start_at_once_share_one_pair(servers: Servers, another_user) -> None:
    others = [another_user() for _ in range(3)]

    assert all(is_up(other) for other in others)

    log = servers.postgres.log.read_text()
    assert log.count("ready to accept connections") == 1
    for other in others:
        other.communicate("done\n")
    assert none_runs(servers)


def test_a_killed_user_leaves_servers_that_the_next_one_uses_and_stops(servers: Servers, another_user) -> None:
    killed = another_user()
    assert is_up(killed)
    running = servers.running()
    killed.kill()
    killed.wait()

    servers.start()
    assert servers.running() == running
    servers.release()

    assert none_runs(servers)


def test_a_forked_child_neither_holds_nor_releases(servers: Servers) -> None:
    servers.start()
    child = os.fork()
    if child == 0:
        servers.release()
        time.sleep(60)
        os._exit(0)

    time.sleep(0.2)
    assert None not in servers.running().values()
    servers.release()
    assert none_runs(servers)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_committed_rows_survive_killed_servers(servers: Servers) -> None:
    ends = servers.start()
    ask(ends, "CREATE TABLE kept AS SELECT 7 AS number")
    ask(ends, "CHECKPOINT")
    for pid in servers.running().values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    ends = servers.start()

    assert ask(ends, "SELECT number FROM kept") == 7


def test_a_reused_process_number_in_a_stale_lock_does_not_block(servers: Servers) -> None:
    servers.start()
    for pid in servers.running().values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    stranger = subprocess.Popen(["sleep", "60"])
    for pid_file in (servers.postgres.pid_file, servers.valkey.pid_file):
        lines = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))

    servers.start()

    assert stranger.pid not in servers.running().values()
    servers.release()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_an_interrupted_first_start_leaves_no_half_of_a_cluster(servers: Servers, another_user) -> None:
    interrupted = another_user()
    while not list(servers.state.glob("postgres.new-*")):
        time.sleep(0.01)
    interrupted.send_signal(signal.SIGINT)
    interrupted.communicate()
    assert none_runs(servers)

    assert ask(servers.start(), "SELECT 1") == 1


def test_nobody_destroys_what_another_one_uses(servers: Servers, another_user) -> None:
    other = another_user()
    assert is_up(other)

    with pytest.raises(EmbeddedError, match="in use"):
        servers.destroy()

    other.communicate("done\n")
    servers.destroy()
    assert not servers.state.exists()
    assert not servers.sockets.exists()


def test_a_socket_folder_that_is_not_ours_is_refused(servers: Servers, tmp_path: Path) -> None:
    servers.sockets.symlink_to(tmp_path)

    with pytest.raises(EmbeddedError, match="not a private folder"):
        servers.start()

    servers.sockets.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another identity")
def test_root_without_user_namespaces_runs_it_as_nobody(servers: Servers, another_user, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sh").symlink_to("/bin/sh")
    for folder in (tmp_path, *tmp_path.parents):
        if "pytest" in str(folder):
            folder.chmod(0o711)  # pytest closes its folders to others
    if not nobody_may_enter(servers.postgres.bin):
        pytest.skip("nobody cannot reach the programs here")

    without_unshare = another_user(PATH=str(programs))

    assert is_up(without_unshare)
    assert ask(servers.start(), "SELECT 1") == 1
    assert servers.postgres.data.stat().st_uid == 65534


def nobody_may_enter(folder: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (folder, *folder.parents))


def test_no_port_is_opened(servers: Servers) -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("asks the kernel by /proc")
    servers.start()

    for pid in servers.running().values():
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
        inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
        tcp = [
            line.split()[9] for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        ]
        assert inodes
        assert not inodes & set(tcp)


def test_the_command_line_says_what_runs(servers: Servers) -> None:
    servers.start()

    shown = subprocess.run(
        [sys.executable, "-m", "prakerja.embedded", "status"],
        cwd=PROJECT,
        env=os.environ | {"PRAKERJA_STATE": str(servers.state)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert shown.count("runs as process") == 2
