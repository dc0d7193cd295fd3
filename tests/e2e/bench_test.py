# presets: dev
"""The programs of the benchmarks tell the truth: what they count, and what they do when a server is slow, wrong or gone."""

import contextlib
import json
import select
import signal
import socket
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

from support.fleet import BIN, ROOT, accepts, eventually, http_get, prints, split_address
from support.stall_relay import StallRelay

sys.path.insert(0, str(ROOT / "bench"))
import cases  # needs the path above
import report


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
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if str(link.readlink()).startswith("socket:"):
                found.append(link)
    return found


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


def judged(row, paired=False, **samples):
    """The result of one row with these samples of each peer, one per round."""
    return report.row_result(cases.Case("case", "hop", [row], None, paired=paired), row, {"row": samples})


def test_a_ratio_is_to_the_better_peer():
    result = judged(cases.Row("row", "", "us", ratio=0.9), ours=[8.0, 9.0, 100.0], nginx=[12.0, 10.0, 9.0], haproxy=[20.0, 20.0, 1.0])
    assert (result["better"], result["ratio"], result["verdict"]) == ("nginx", 0.9, "ok")


def test_a_goal_is_missed_only_beyond_the_spread():
    row = cases.Row("row", "", "us", ratio=1.0)
    assert judged(row, ours=[11.0, 11.1, 11.2], nginx=[10.0, 10.1, 10.2])["verdict"] == "MISSED"
    assert judged(row, ours=[10.1, 11.1, 11.2], nginx=[10.0, 10.1, 10.2])["verdict"] == "unclear"
    assert judged(row, ours=[11.0], nginx=[10.0])["verdict"] == "MISSED"


def test_a_plain_bound_needs_no_peer():
    row = cases.Row("row", "", "MB", absolute=6.0)
    assert judged(row, ours=[5.9])["verdict"] == "ok"
    assert judged(row, ours=[6.1])["verdict"] == "MISSED"
    assert judged(row, nginx=[6.1])["verdict"] is None


def test_paired_rounds_are_compared_round_by_round():
    # Each round is twice as slow as the last for both: the medians' ratio and the median of ratios would differ if rounds were mixed.
    result = judged(cases.Row("row", "", "us", ratio=1.0), paired=True, ours=[90.0, 45.0, 220.0], nginx=[100.0, 50.0, 200.0])
    assert result["ratio"] == 0.9


def test_a_run_ends_in_a_table_a_file_and_a_chart(fleet):
    done = fleet.run(["/usr/bin/python3", "-B", ROOT / "bench" / "run.py", "hop", "--only", "relay", "--quick", "--no-build", "--build", BIN.parent], timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "plain HTTP/1.1, one hop" in done.stdout
    results = json.loads((BIN.parent / "bench" / "bench.json").read_text())["results"]
    assert results[0]["figures"]["relay"]["median"] > 0
    assert xml.etree.ElementTree.parse(BIN.parent / "bench" / "bench.svg").getroot().tag.endswith("svg")


def test_a_case_that_is_not_there_is_refused(fleet):
    done = fleet.run(["/usr/bin/python3", "-B", ROOT / "bench" / "run.py", "nothing"])
    assert done.returncode == 2 and "no case nothing" in done.stderr
