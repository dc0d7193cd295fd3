"""Servers that speak first, as Debian has them, through a pair of sidecars and through a transparent hop's detection: MariaDB and an SMTP server."""

# presets: dev tsan release

import os
import shutil
import smtplib
import subprocess

import pytest

from support.fleet import READY_S, accepts, prints, split_address, take_port
from support.hop import Hop
from support.opaque import tcp_listener
from support.pair import Pair

PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def needed(*programs):
    found = {name: shutil.which(name, path=PATH) for name in programs}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: ./dev setup")
    return found


def paired(fleet, address):
    """The address of a TCP listener that leads to `address` through two sidecars."""
    listener = tcp_listener("backend")
    pair = Pair(fleet, address, protocol="TCP", near={"listeners": [listener], "outbound": False})
    return listener["address"], pair


# --- MariaDB ---

@pytest.fixture
def mariadb(fleet):
    """(the client program, the address of a server in a folder of its own)."""
    programs = needed("mariadbd", "mariadb-install-db", "mariadb")
    folder = fleet.folder / "mariadb"
    folder.mkdir()
    os.chmod(fleet.folder, 0o755)
    options = [f"--datadir={folder}", "--skip-log-bin", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M"]
    user = ["--user=root"] if os.getuid() == 0 else []
    made = fleet.run([programs["mariadb-install-db"], "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", *options, *user], timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    port = take_port()
    fleet.start("mariadbd", [programs["mariadbd"], "--no-defaults", *options, *user, "--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder}/s",
                             "--skip-name-resolve"], prints("ready for connections"))
    return programs["mariadb"], f"127.0.0.1:{port}"


def query(fleet, client, address, text):
    host, port = split_address(address)
    done = fleet.run([client, "--no-defaults", "-h", host, "-P", str(port), "-u", "root", "--protocol=tcp", "--batch", "--skip-column-names", "-e", text])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_mariadb_through_a_pair(fleet, mariadb):
    client, server = mariadb
    address, pair = paired(fleet, server)
    assert query(fleet, client, address, "SELECT 6 * 7") == "42\n"
    query(fleet, client, address, "CREATE DATABASE shop; CREATE TABLE shop.parts (n INT, t LONGTEXT); INSERT INTO shop.parts "
          "WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 200) SELECT n, REPEAT('x', 10000) FROM numbers")
    assert query(fleet, client, address, "SELECT COUNT(*), SUM(LENGTH(t)) FROM shop.parts") == "200\t2000000\n"
    assert len(query(fleet, client, address, "SELECT t FROM shop.parts")) == 200 * 10001
    for hop in (pair.near, pair.far):
        assert all(line["end"] == "ok" for line in hop.logged(4, method="CONNECT"))


def test_mariadb_where_nobody_says_what_it_is(fleet, mariadb):
    client, server = mariadb
    hop = Hop(fleet, [], inbound={"in": {"forwardTo": server, "detection": {"timeout": "100ms"}}}, outbound=False)
    for number in range(3):
        assert query(fleet, client, hop.inbound["in"], f"SELECT {number}") == f"{number}\n"
    assert hop.figure("outrigger_detected_total", result="silent") + hop.figure("outrigger_detected_total", result="remembered") == 3


# --- SMTP ---

def test_mail_through_a_pair(fleet):
    if subprocess.run(["/usr/bin/python3", "-c", "import aiosmtpd"], check=False, capture_output=True).returncode != 0:
        pytest.skip("python3-aiosmtpd is not installed: ./dev setup")
    port = take_port()
    fleet.start("smtp", ["/usr/bin/python3", "-m", "aiosmtpd", "-n", "-l", f"127.0.0.1:{port}", "-c", "aiosmtpd.handlers.Debugging", "stdout"],
                accepts(f"127.0.0.1:{port}"), exit_codes=(0, -15, 1))
    address, pair = paired(fleet, f"127.0.0.1:{port}")
    host, number = split_address(address)
    with smtplib.SMTP(host, number, timeout=READY_S) as client:
        assert client.ehlo()[0] == 250
        refused = client.sendmail("from@school.example", ["to@school.example"], "Subject: hello\r\n\r\n" + "line\r\n" * 1000)
        assert refused == {}
    for hop in (pair.near, pair.far):
        assert hop.logged(method="CONNECT", end="ok")["request_bytes"] > 6000
