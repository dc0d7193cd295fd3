"""Which endpoint and which connection a request gets: RoundRobin, weights, PeakEWMA, pools with bounds and a queue, idle connections and their end."""

import collections
import threading

import pytest

from support.backend import held, message, reply
from support.fleet import eventually
from support.h2_peer import H2Client, h2_reply
from support.hop import Hop, service, traffic
from support.wire import Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"
ROUND_ROBIN = {"type": "RoundRobin", "slowStart": "0s"}


def shares(hop, count):
    return collections.Counter(exchange(hop.address, GET).body for _ in range(count))


def test_round_robin_takes_turns(fleet):
    backends = [fleet.backend(reply(200, name)) for name in (b"a", b"b", b"c")]
    hop = Hop(fleet, {"backend": [backend.address for backend in backends]}, policies=[traffic("backend", loadBalancer=ROUND_ROBIN)], workers=1)
    assert shares(hop, 30) == {b"a": 10, b"b": 10, b"c": 10}


def test_round_robin_keeps_to_weights(fleet):
    weights = {b"a": 3, b"b": 1, b"c": 0}
    endpoints = [{"address": fleet.backend(reply(200, name)).address, "weight": weight} for name, weight in weights.items()]
    hop = Hop(fleet, [service("backend", endpoints)], policies=[traffic("backend", loadBalancer=ROUND_ROBIN)], workers=1)
    assert shares(hop, 40) == {b"a": 30, b"b": 10}


def test_peak_ewma_prefers_the_one_that_answers(fleet):
    event = threading.Event()
    slow, fast = fleet.backend(held(event, message(200, b"slow"))), fleet.backend(reply(200, b"fast"))
    hop = Hop(fleet, {"backend": [slow.address, fast.address]}, workers=1)
    # Requests go out, each known to have arrived, until one hangs at the slow endpoint; from then on that is busier and gets none.
    sent = 0
    while not slow.requests:
        waiting = Wire(hop.address).get()
        sent += 1
        eventually(lambda: len(fast.requests) + len(slow.requests) == sent)
        if not slow.requests:
            assert waiting.response().body == b"fast"
            waiting.close()
    assert set(shares(hop, 30)) == {b"fast"}
    event.set()
    assert waiting.response().body == b"slow"
    waiting.close()


def test_peak_ewma_uses_all_that_are_alike(fleet):
    hop = Hop(fleet, {"backend": [fleet.backend(reply(200, name)).address for name in (b"a", b"b")]})
    found = shares(hop, 200)
    assert set(found) == {b"a", b"b"}


def test_an_endpoint_that_failed_is_left_alone_and_found_again(fleet):
    dead = fleet.address()
    alive = fleet.backend(reply(200, b"alive"))
    hop = Hop(fleet, {"backend": [dead, alive.address]}, workers=1)
    assert set(shares(hop, 50)) == {b"alive"}
    assert hop.figure("outrigger_upstream_connections_failed_total") <= 3
    fleet.backend(reply(200, b"back"), int(dead.split(":")[1]))
    eventually(lambda: exchange(hop.address, GET).body == b"back", what="the endpoint that is back")


# --- pools ---

def test_the_connection_that_was_used_last_is_used_first(fleet):
    event = threading.Event()
    backend = fleet.backend(held(event, message(200, b"x")))
    hop = Hop(fleet, {"backend": [backend.address]}, workers=1)
    wires = [Wire(hop.address).get() for _ in range(5)]
    eventually(lambda: hop.figure("outrigger_upstream_connections_active") == 5)
    event.set()
    for wire in wires:
        assert wire.response().status == 200
    used = len(backend.requests)
    for _ in range(20):
        assert wires[0].get().response().status == 200
    assert collections.Counter(len(connection.requests) for connection in backend.connections)[1] == 4 and len(backend.requests) == used + 20
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_connections_than_the_policy_allows(fleet, workers):
    backend = fleet.backend(reply(200, b"x"))
    hop = Hop(fleet, {"backend": [backend.address]}, policies=[traffic("backend", connections={"max": 2})], workers=workers)
    done = fleet.run(["h2load", "-n", "1000", "-c", "8", "-m", "5", "--connect-to", hop.address, "http://backend/"])
    assert "1000 succeeded, 0 failed" in done.stdout and "1000 2xx" in done.stdout, done.stdout
    assert 1 <= len(backend.connections) <= 2 + hop.figure("outrigger_upstream_connections_closed_total")


def test_who_waits_for_a_connection_is_served_in_order(fleet):
    event = threading.Event()
    backend = fleet.backend(held(event, message(200, b"x")))
    hop = Hop(fleet, {"backend": [backend.address]}, policies=[traffic("backend", connections={"max": 1})], workers=1)
    wires = []
    for count in range(6):
        wires.append(Wire(hop.address).get(f"/{count}"))
        eventually(lambda: hop.figure("outrigger_streams_active") == len(wires))
    eventually(lambda: hop.figure("outrigger_pool_waiting") == 5)
    event.set()
    for wire in wires:
        assert wire.response().status == 200
        wire.close()
    assert [request.target for request in backend.requests] == [f"/{count}" for count in range(6)]
    assert hop.figure("outrigger_pool_waits_total") == 6 and hop.figure("outrigger_pool_waiting") == 0


def test_who_goes_away_while_waiting_leaves_the_queue(fleet):
    event = threading.Event()
    backend = fleet.backend(held(event, message(200, b"x")))
    hop = Hop(fleet, {"backend": [backend.address]}, policies=[traffic("backend", connections={"max": 1})], workers=1)
    with Wire(hop.address) as first, Wire(hop.address) as last:
        first.get("/first")
        eventually(lambda: hop.figure("outrigger_streams_active") == 1)
        gone = Wire(hop.address).get("/gone")
        eventually(lambda: hop.figure("outrigger_streams_active") == 2)
        last.get("/last")
        eventually(lambda: hop.figure("outrigger_pool_waiting") == 2)
        gone.break_off()
        hop.logged(end="client_gone", path="/gone")
        event.set()
        assert first.response().status == last.response().status == 200
    assert [request.target for request in backend.requests] == ["/first", "/last"]


@pytest.mark.parametrize("protocol, idle", [("HTTP1", "http1IdleTimeout"), ("HTTP2", "idleTimeout")])
def test_an_idle_connection_is_closed(fleet, protocol, idle):
    backend = fleet.backend(reply(200, b"x") if protocol == "HTTP1" else h2_reply(b"x"))
    hop = Hop(fleet, {"backend": [backend.address]}, protocol=protocol, policies=[traffic("backend", connections={idle: "50ms"})])
    assert exchange(hop.address, GET).status == 200
    eventually(lambda: hop.figure("outrigger_upstream_connections_closed_total", reason="idle_timeout") == 1)
    assert exchange(hop.address, GET).status == 200


@pytest.mark.parametrize("protocol", ["HTTP1", "HTTP2"])
def test_a_connection_takes_nothing_new_after_its_age(fleet, protocol):
    backend = fleet.backend(reply(200, b"x") if protocol == "HTTP1" else h2_reply(b"x"))
    hop = Hop(fleet, {"backend": [backend.address]}, protocol=protocol, policies=[traffic("backend", connections={"maxAge": "100ms"})])
    with H2Client(hop.address) as client:
        eventually(lambda: client.get().status == 200 and len(backend.connections) >= 3, what="a third connection")
    hop.logged(3, end="ok")
    assert {line["end"] for line in hop.log()} == {"ok"}
