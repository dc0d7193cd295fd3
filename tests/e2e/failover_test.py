"""Servers that die and come back while requests flow: what was provably not processed is tried elsewhere, what may have been is not, and nothing else fails."""
# seconds: 19

import collections
import threading

import pytest

from support.backend import message, reply
from support.fleet import eventually, take_port
from support.h2_peer import h2_reply
from support.hop import Hop, service, traffic
from support.wire import Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"
POST = "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 4\r\n\r\nbody"


def ends(hop):
    return collections.Counter(line["end"] for line in hop.log())


@pytest.mark.parametrize("content", [GET, POST], ids=["GET", "POST"])
def test_a_server_that_is_not_there_is_passed_over(fleet, content):
    hop = Hop(fleet, {"backend": [fleet.address(), fleet.backend(reply(200, b"alive")).address]})
    for _ in range(20):
        assert exchange(hop.address, content).body == b"alive"
    hop.logged(20, end="ok")
    assert hop.figure("outrigger_retries_total") == hop.figure("outrigger_upstream_connections_failed_total", reason="connect_refused") >= 1


def test_no_retries_where_the_policy_says_so(fleet):
    hop = Hop(fleet, {"backend": [fleet.address()]}, policies=[traffic("backend", retry={"attempts": 0})])
    assert exchange(hop.address, GET).status == 502
    assert hop.logged(end="connect_refused")["attempts"] == 1 and hop.figure("outrigger_retries_total") == 0


def test_conditions_that_are_not_named_are_not_retried(fleet):
    hop = Hop(fleet, {"backend": [fleet.address()]}, policies=[traffic("backend", retry={"attempts": 3, "conditions": ["Unsent"]})])
    assert exchange(hop.address, GET).status == 502
    assert hop.logged(end="connect_refused")["attempts"] == 1


def test_as_many_tries_as_the_policy_allows(fleet):
    hop = Hop(fleet, {"backend": [fleet.address()]}, policies=[traffic("backend", retry={"attempts": 3, "backoff": {"base": "1ms", "max": "1ms"}, "budget": {"percent": 100, "minPerSecond": 100}})])
    assert exchange(hop.address, GET).status == 502
    assert hop.logged(end="connect_refused")["attempts"] == 4


def test_the_budget_bounds_retries(fleet):
    hop = Hop(fleet, {"backend": [fleet.address()]}, policies=[traffic("backend", retry={"attempts": 1, "backoff": {"base": "0s", "max": "0s"},
                                                                                         "budget": {"percent": 10, "interval": "1h", "minPerSecond": 0}})])
    for _ in range(100):
        assert exchange(hop.address, GET).status == 502
    attempts = [line["attempts"] for line in hop.logged(100, end="connect_refused")]
    assert sum(attempts) - 100 == 10, "a tenth of the requests"
    assert hop.figure("outrigger_retries_refused_total", reason="budget") == 90


def test_a_request_that_may_have_been_processed_is_not_repeated(fleet):
    def script(connection):
        connection.read_request()
        connection.reset()
    backends = [fleet.backend(script) for _ in range(2)]
    hop = Hop(fleet, {"backend": [backend.address for backend in backends]})
    for content in (GET, POST):
        assert exchange(hop.address, content).status == 502
    assert sum(len(backend.requests) for backend in backends) == 2
    assert [line["attempts"] for line in hop.logged(2, end="upstream_reset")] == [1, 1]


def flaky(connection):
    """Keeps a connection for one request and closes it when the next one comes: what a client sees that reuses a connection which is being closed."""
    connection.read_request()
    connection.send(message(200, b"first"))
    connection.read_request()
    connection.reset()


def test_the_race_with_a_server_that_closes_does_not_reach_requests_that_may_be_repeated(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(flaky).address]})
    with Wire(hop.address) as wire:
        for _ in range(6):
            assert wire.get().response().body == b"first"
    hop.logged(6, end="ok")
    assert hop.figure("outrigger_retries_total") == 5


def test_the_same_race_fails_a_post(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(flaky).address]})
    with Wire(hop.address) as wire:
        assert wire.post(b"1").response().body == b"first"
        assert wire.post(b"2").response().status == 502
    assert len(fleet.backends[0].requests) == 2 and hop.logged(end="upstream_reset")["attempts"] == 1


def test_a_connection_that_was_closed_while_idle_is_not_taken(fleet):
    closed = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(message(200, b"x"))
        closed.wait(60)
    hop = Hop(fleet, {"backend": [fleet.backend(script).address]})
    with Wire(hop.address) as wire:
        assert wire.post(b"1").response().status == 200
        closed.set()
        eventually(lambda: hop.figure("outrigger_upstream_connections_active") == 0)
        assert wire.post(b"2").response().status == 200
    assert hop.figure("outrigger_retries_total") == 0


def test_a_keep_alive_that_the_server_promises_is_kept_short_of(fleet):
    answer = message(200, b"x", [("Keep-Alive", "timeout=1")])

    def script(connection):
        while connection.read_request() is not None:
            connection.send(answer)
    hop = Hop(fleet, {"backend": [fleet.backend(script).address]})
    assert exchange(hop.address, GET).status == 200
    eventually(lambda: hop.figure("outrigger_upstream_connections_closed_total", reason="idle_timeout") == 1)


def test_a_body_that_was_sent_is_sent_again(fleet):
    """The first server takes a connection and no request: its queue is all there is of it."""
    dead = fleet.address()
    backend = fleet.backend()
    hop = Hop(fleet, {"backend": [dead, backend.address]}, policies=[traffic("backend", loadBalancer={"type": "RoundRobin"}, retry={"attempts": 1, "budget": {"percent": 100}})],
              workers=1)  # each has turns of its own
    body = b"0123456789" * 5000
    for _ in range(4):
        with Wire(hop.address) as wire:
            assert wire.post(body).response().status == 200
    assert [request.body for request in backend.requests] == [body] * 4
    assert hop.figure("outrigger_retries_total") >= 1


@pytest.mark.parametrize("protocol, method", [("HTTP1", "GET"), ("HTTP1", "POST"), ("HTTP2", "GET")])
def test_servers_killed_and_restarted_under_load(fleet, protocol, method):
    script = reply(200, b"alive") if protocol == "HTTP1" else h2_reply(b"alive")
    ports = [take_port(), take_port()]
    alive = [fleet.backend(script, port) for port in ports]
    hop = Hop(fleet, [service("backend", [f"127.0.0.1:{port}" for port in ports], protocol=protocol)])
    body = ["-d", fleet.write("body", "body")] if method == "POST" else []
    load = fleet.start("load", ["h2load", "-D", "4", "-c", "4", "-m", "4", *body, "--connect-to", hop.address, "http://backend/"])
    kills = 4
    for count in range(kills):
        victim = count % 2
        before = len(alive[victim].requests)
        eventually(lambda: len(alive[victim].requests) > before + 20, what="traffic")
        alive[victim].close()
        before = len(alive[1 - victim].requests)
        eventually(lambda: len(alive[1 - victim].requests) > before + 100, what="traffic on the other one")
        alive[victim] = fleet.backend(script, ports[victim])
    load.wait()
    found = eventually(lambda: ends(hop) if ends(hop)["ok"] > 200 else None, what="the log's lines")
    lines = [line for line in hop.log() if line["end"] not in ("ok", "client_gone")]
    # What was under way at a server when it died, and may have been processed: at most as many as there are requests at a time.
    assert found.keys() <= {"ok", "client_gone", "upstream_reset", "response_incomplete"}, lines[:3]
    assert len(lines) <= kills * 16, found
    eventually(lambda: hop.figure("outrigger_streams_active") == 0)
