# presets: dev
"""The programs of the benchmarks tell the truth: what they count, and what they do when a server is slow, wrong or gone."""

import json
import select
import signal
import socket
from pathlib import Path

import pytest

from support.fleet import BIN, accepts, eventually, http_get, prints, split_address
from support.stall_relay import StallRelay


@pytest.fixture
def backend(fleet):
    address = fleet.address()
    fleet.start("backend", [BIN / "bench-backend", address.split(":")[1]], accepts(address), exit_codes=(-signal.SIGTERM,))
    return address


def load(fleet, address, *options):
    """(exit code, result) of the load program; no warm-up, so that every request is counted."""
    words = [BIN / "bench-load", "--port", address.split(":")[1], "--warmup", "0", *options]
    done = fleet.run(words)
    return done.returncode, json.loads(done.stdout)


def test_the_backend_gives_the_size_that_the_path_asks_for(backend):
    for path, size in (("/0", 0), ("/1k", 1024), ("/64k", 65536), ("/1m", 1048576), ("/slow?1", 1024)):
        status, body = http_get(backend, path)
        assert (status, len(body)) == (200, size)


def test_the_backend_answers_pipelined_requests_in_order(backend):
    with socket.create_connection(split_address(backend)) as client:
        client.sendall(b"GET /0 HTTP/1.1\r\n\r\n" * 200 + b"POST /1k HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcdeGET /0 HTTP/1.1\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    lengths = [line.split(b" ")[1] for line in answer.split(b"\r\n") if line.startswith(b"Content-Length")]
    assert lengths == [b"0"] * 200 + [b"1024", b"0"]


def test_the_relay_carries_bodies_both_ways(fleet, backend):
    address = fleet.address()
    fleet.start("relay", [BIN / "bench-bare-relay", address.split(":")[1], backend.split(":")[1]], accepts(address), exit_codes=(-signal.SIGTERM,))
    assert load(fleet, address, "--connections", "4", "--requests", "20", "--path", "/1m")[1]["requests"] == 20
    assert load(fleet, address, "--connections", "4", "--requests", "20", "--method", "POST", "--body", "3000000")[1]["requests"] == 20


def test_a_count_ends_a_run(fleet, backend):
    code, result = load(fleet, backend, "--requests", "1000", "--connections", "3")
    assert (code, result["requests"], result["errors"]) == (0, 1000, 0)


def test_a_fixed_rate_counts_the_wait_for_a_busy_server(fleet, backend):
    # One connection, 30 ms an answer, 100 requests meant per second: request i is meant for 10 i ms and answered at 30 (i + 1). A closed loop sees 30 ms always.
    slow = ("--path", "/slow?30", "--connections", "1", "--requests", "10")
    assert load(fleet, backend, "--mode", "open", "--rate", "100", *slow)[1]["latency_us"]["max"] >= 9 * 20000 + 30000
    assert load(fleet, backend, *slow)[1]["latency_us"]["p50"] >= 30000 * 0.99


def test_every_request_has_its_own_connection_in_fresh_mode(fleet, backend):
    code, result = load(fleet, backend, "--mode", "fresh", "--connections", "2", "--requests", "20")
    assert (code, result["requests"]) == (0, 20)


def test_idle_connections_are_held_until_the_end(fleet, backend):
    words = [BIN / "bench-load", "--port", backend.split(":")[1], "--mode", "idle", "--connections", "50", "--requests", "3", "--warmup", "0", "--seconds", "30"]
    process = fleet.start("load", words, prints('"held": 50'))
    process.stop()
    assert json.loads(process.output().splitlines()[-1])["lost"] == 0


def test_idle_connections_that_the_server_closes_are_counted(fleet, backend):
    with StallRelay(backend) as relay:
        words = [BIN / "bench-load", "--port", relay.address.split(":")[1], "--mode", "idle", "--connections", "5", "--requests", "1", "--warmup", "0",
                 "--seconds", "30"]
        process = fleet.start("load", words, prints('"held": 5'))
        relay.cut()
        eventually(lambda: not open_sockets(process.pid), what="the load program seeing the resets")
        process.stop()
        assert json.loads(process.output().splitlines()[-1])["lost"] == 5


def open_sockets(pid):
    return [link for link in Path(f"/proc/{pid}/fd").iterdir() if str(link.readlink()).startswith("socket:")]


def test_another_status_is_an_error(fleet, backend):
    code, result = load(fleet, backend, "--expect", "404", "--requests", "5", "--seconds", "30")
    assert code == 1 and result["errors"] == 1000 and result["first_error"] == "another status than was expected"


def test_a_server_that_is_not_there_is_an_error(fleet):
    code, result = load(fleet, fleet.address(), "--requests", "5", "--seconds", "30")
    assert code == 1 and result["requests"] == 0 and result["first_error"] == "connect failed"


def test_processor_time_is_that_of_the_watched_processes(fleet, backend):
    pid = fleet.processes[0].pid
    result = load(fleet, backend, "--requests", "2000", "--watch", str(pid))[1]
    assert len(result["cpu_us"]) == 1 and 0 < result["cpu_us"][0] <= result["seconds"] * 1.5e6


def test_the_stalling_relay_holds_what_comes_after_the_given_byte(backend):
    with StallRelay(backend) as relay:
        relay.stall("down", after=1000)
        with socket.create_connection(split_address(relay.address)) as client:
            client.sendall(b"GET /64k HTTP/1.1\r\n\r\n")
            got = b""
            while len(got) < 1000:
                got += client.recv(65536)
            assert len(got) == 1000 and select.select([client], [], [], 0)[0] == []
            relay.resume("down")
            while len(got) < 65536:
                got += client.recv(65536)
            relay.stall("up")
            client.sendall(b"GET /0 HTTP/1.1\r\n\r\n")
            relay.resume("up")
            assert b"200 OK" in client.recv(65536)


def test_the_stalling_relay_cuts_connections_with_a_reset(backend):
    with StallRelay(backend) as relay:
        with socket.create_connection(split_address(relay.address)) as client:
            client.sendall(b"GET /0 HTTP/1.1\r\n\r\n")
            assert client.recv(65536)
            relay.cut()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
