# presets: dev tsan release
"""connections.max is a service's: over its endpoints and over two event loops no more connections than that, and nobody is locked out for it."""

import concurrent.futures
import threading

import pytest

from support.backend import held, message, reply
from support.fleet import eventually
from support.h2_peer import H2Client, h2_reply
from support.hop import Hop, traffic
from support.opaque import Raw, echo_bytes, tcp_listener
from support.wire import Wire

KEY = "default/backend:80"
CLIENTS = 8


def bounded(fleet, most, backends, protocol="HTTP1", **options):
    policy = traffic("backend", connections={"max": most}, loadBalancer={"type": "RoundRobin"})
    return Hop(fleet, {"backend": [backend.address for backend in backends]}, protocol=protocol, policies=[policy], workers=2, **options)


def bound(hop):
    return next(row for row in hop.page("/limits") if row["limit"] == "connections.max")


def waiting(hop):
    return next(each for each in hop.page("/clusters") if each["service"] == KEY)["waiting"]


def test_all_endpoints_and_both_loops_share_it(fleet):
    event = threading.Event()
    backends = [fleet.backend(held(event, message(200, b"x"))) for _ in range(2)]
    hop = bounded(fleet, 3, backends)
    wires = [Wire(hop.address).get() for _ in range(CLIENTS)]
    eventually(lambda: waiting(hop) == CLIENTS - 3, what="the rest waiting")
    eventually(lambda: sum(len(connection.requests) for backend in backends for connection in backend.connections) == 3)
    row = bound(hop)
    assert (row["scope"], row["value"], row["use"], row["peak"]) == (f"service/{KEY}", 3, 3, 3) and row["hits"] >= 1
    assert sum(len(backend.connections) for backend in backends) == 3
    event.set()
    for wire in wires:
        assert wire.response().status == 200
        wire.close()
    assert bound(hop)["peak"] == 3
    eventually(lambda: waiting(hop) == 0)


@pytest.mark.parametrize("protocol", ["HTTP1", "HTTP2"])
def test_nobody_is_locked_out_by_one_connection_for_all(fleet, protocol):
    """Each request goes to an endpoint by turns, on one of two loops: the one connection must go round."""
    backends = [fleet.backend(reply(200, b"x") if protocol == "HTTP1" else h2_reply(b"x")) for _ in range(2)]
    hop = bounded(fleet, 1, backends, protocol)

    def ask(_):
        with Wire(hop.address) as wire:
            return [wire.get().response().status for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        assert list(pool.map(ask, range(CLIENTS))) == [[200] * 4] * CLIENTS
    assert all(backend.connections for backend in backends)
    row = bound(hop)
    assert (row["value"], row["peak"]) == (1, 1)


def test_many_requests_over_few_connections(fleet):
    backends = [fleet.backend(reply(200, b"x")) for _ in range(3)]
    hop = bounded(fleet, 5, backends)
    with H2Client(hop.address) as client:
        assert client.get(authority="backend").status == 200
    done = fleet.run(["h2load", "--h1", "-c", "20", "-n", "2000", "--connect-to", hop.address, "http://backend/"])
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout and "2000 2xx" in done.stdout, done.stdout
    assert bound(hop)["peak"] <= 5


def test_opaque_connections_count_and_the_next_takes_the_place_of_one_that_ends(fleet):
    backends = [fleet.backend(echo_bytes) for _ in range(2)]
    listener = tcp_listener("backend")
    hop = bounded(fleet, 2, backends, "TCP", start=False)
    hop.proxy["spec"]["listeners"].append(listener)
    hop.start()
    with Raw(listener["address"]) as first, Raw(listener["address"]) as second:
        for client in (first, second):
            assert client.send(b"early").exactly(5) == b"early"
        with Raw(listener["address"]) as third:
            third.send(b"late")
            eventually(lambda: waiting(hop) == 1, what="the third waiting")
            assert sum(len(backend.connections) for backend in backends) == 2
            first.reset()
            assert third.exactly(4) == b"late"
            assert second.send(b"still").exactly(5) == b"still"
    assert bound(hop)["peak"] == 2
