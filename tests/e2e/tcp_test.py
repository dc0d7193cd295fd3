"""Opaque TCP: a TCP listener to an endpoint and through a pair of sidecars; ends and breaks in each direction, who speaks first, retries, back-pressure, drain."""

# presets: dev tsan release
# seconds: 18

import signal
import threading

import pytest

from support.fleet import eventually
from support.hop import Hop, service, traffic
from support.opaque import Raw, echo_bytes, ends_first, greeting, speaks_after_end, tcp_listener
from support.pair import Pair

MEGABYTE = 1 << 20


class Way:
    """How a client reaches a raw server: by one hop, or by a pair of sidecars that speak outrigger-tcp/1. `hops` are the proxies on it, the client's first."""

    def __init__(self, fleet, addresses, through, policies=(), far=None, hop=None):
        listener = tcp_listener("backend")
        self.address = listener["address"]
        self.listener = listener["name"]
        if through == "hop":
            self.hops = [Hop(fleet, [service("backend", addresses, protocol="TCP")], policies=policies, listeners=[listener], outbound=False, **(hop or {}))]
        else:
            pair = Pair(fleet, addresses[0], protocol="TCP", policies=policies, near={"listeners": [listener], "outbound": False}, **(far or {}))
            self.pair = pair
            self.hops = [pair.near, pair.far]

    def logged(self, **wanted):
        return [hop.logged(**wanted) for hop in self.hops]


@pytest.fixture(params=["hop", "pair"])
def way(request, fleet):
    return lambda script, **options: Way(fleet, [fleet.backend(script).address], request.param, **options)


def test_bytes_go_both_ways(way):
    path = way(echo_bytes)
    with Raw(path.address) as client:
        for size in (1, 100, 70000):
            assert client.send(b"x" * size).exactly(size) == b"x" * size
        client.end()
        assert client.rest() == b""
    for line in path.logged(end="ok", method="CONNECT"):
        assert (line["request_bytes"], line["response_bytes"]) == (70101, 70101)
        assert line["attempts"] == 1


def test_a_server_may_speak_first(way):
    path = way(greeting(b"220 hello\r\n"))
    with Raw(path.address) as client:
        assert client.exactly(11) == b"220 hello\r\n"
        assert client.send(b"HELO x").exactly(6) == b"HELO x"


def test_a_client_may_end_first(way):
    path = way(speaks_after_end(b"all: "))
    with Raw(path.address) as client:
        assert client.send(b"abc").end().rest() == b"all: abc"
    path.logged(end="ok", request_bytes=3, response_bytes=8)


def test_a_server_may_end_first(way):
    ended = []
    path = way(ends_first(b"bye", ended))
    with Raw(path.address) as client:
        assert client.rest() == b"bye"
        client.send(b"one more thing").end()
        assert eventually(lambda: ended) == [b"one more thing"]
    path.logged(end="ok", request_bytes=14, response_bytes=3)


def test_a_client_that_says_nothing_ends_in_order(way):
    path = way(speaks_after_end(b"nothing: "))
    with Raw(path.address) as client:
        assert client.end().rest() == b"nothing: "


def test_a_client_that_breaks_breaks_the_server(way):
    broken = threading.Event()

    def script(connection):
        connection.send(connection.socket.recv(100))
        try:
            while connection.socket.recv(100):
                pass
        except ConnectionResetError:
            broken.set()
    path = way(script)
    with Raw(path.address) as client:
        assert client.send(b"abc").exactly(3) == b"abc"
        client.reset()
    assert broken.wait(60)
    path.logged(end="client_gone")


def test_a_server_that_breaks_breaks_the_client(way):
    def script(connection):
        connection.send(connection.socket.recv(100))
        if connection.socket.recv(100):
            connection.reset()
    path = way(script)
    with Raw(path.address) as client:
        assert client.send(b"abc").exactly(3) == b"abc"
        client.send(b"now")
        assert client.is_reset()
    assert path.hops[0].logged(method="CONNECT")["end"] == "response_incomplete"


def test_much_goes_through_little_memory_past_a_reader_that_waits(way):
    """100 MB that nobody takes for a while hold no more than the buffers' bounds."""
    total = 100 * MEGABYTE
    piece = bytes(range(256)) * 4096

    def script(connection):
        for _ in range(total // len(piece)):
            connection.send(piece)
    path = way(script)
    with Raw(path.address, buffer=65536) as client:
        first = client.exactly(1)
        # Both ends' sockets fill up, then nothing moves.
        for hop in path.hops:
            before = None

            def is_still(hop=hop):
                nonlocal before
                now = hop.figure("outrigger_upstream_received_bytes_total")
                before, was = now, before
                return now > 0 and now == was
            eventually(is_still)
            assert hop.figure("outrigger_buffer_blocks", state="used") <= 48
        found = len(first)
        while more := client.socket.recv(1 << 20):
            assert more == (piece + piece)[found % len(piece):][:len(more)] if len(more) <= len(piece) else True
            found += len(more)
        assert found == total
        for hop in path.hops:
            assert hop.figure("outrigger_buffer_blocks_peak") <= 96


def test_a_slow_server_holds_its_client_up(way):
    """The last of what a client said is delivered though its side has long ended and the server's too."""
    total = 8 * MEGABYTE
    go = threading.Event()
    found = []

    def script(connection):
        connection.end()
        go.wait(60)
        count = 0
        while more := connection.socket.recv(65536):
            count += len(more)
        found.append(count)
    path = way(script)
    with Raw(path.address) as client:
        sender = threading.Thread(target=lambda: client.send(b"x" * total).end())
        sender.start()
        assert client.rest() == b""
        go.set()
        sender.join()
        assert eventually(lambda: found) == [total]


def test_an_idle_connection_ends(way):
    path = way(echo_bytes, policies=[traffic("backend", timeouts={"tcpIdle": "200ms", "idle": "1h"})])
    with Raw(path.address) as client:
        assert client.send(b"abc").exactly(3) == b"abc"
        assert client.is_reset()
    line = path.hops[0].logged(end="request_timeout")
    assert line["policy"] == "TrafficPolicy/default/backend-traffic: timeouts.tcpIdle"


def test_a_refused_connection_is_tried_on_another_endpoint(fleet):
    backend = fleet.backend(greeting(b"here"))
    dead = fleet.address()
    path = Way(fleet, [dead, backend.address], "hop")
    for _ in range(8):
        with Raw(path.address) as client:
            assert client.exactly(4) == b"here"
    assert path.hops[0].figure("outrigger_retries_total") >= 1


def test_with_no_endpoint_left_the_client_is_reset(fleet):
    path = Way(fleet, [fleet.address()], "hop")
    with Raw(path.address) as client:
        assert client.is_reset()
    line = path.hops[0].logged(end="connect_refused")
    assert line["attempts"] == 2 and "status" not in line


def test_an_application_that_is_down_behind_its_sidecar_is_passed_by(fleet):
    """outrigger-tcp/1 tells that nothing was processed: what the client has said meanwhile goes to another endpoint."""
    backend = fleet.backend(echo_bytes)
    down = Pair(fleet, fleet.address(), protocol="TCP")
    listener = tcp_listener("backend")
    # A second sidecar, with the same identity, before an application that is up.
    up = Hop(fleet, name="up", inbound={"in": {"forwardTo": backend.address, "mtls": {"mode": "Strict"}}}, outbound=False, identity=down.far_identity.spec)
    both = service("backend", [down.inbound, up.inbound["in"]], protocol="TCP", tls={"mode": "Mesh"}, identities=[down.far_identity.identity])
    near = Hop(fleet, [both], name="caller", listeners=[listener], outbound=False, identity=down.near_identity.spec)
    for number in range(8):
        with Raw(listener["address"]) as client:
            text = b"number %d" % number
            assert client.send(text).exactly(len(text)) == text
    assert near.figure("outrigger_retries_total") >= 1
    assert down.far.logged(end="connect_refused")["listener"] == "in"
    assert near.figure("outrigger_upstream_connections_failed_total") == 0


def test_an_application_that_is_down_everywhere_resets_the_client(fleet):
    path = Way(fleet, [fleet.address()], "pair")
    with Raw(path.address) as client:
        client.send(b"abc")
        assert client.is_reset()
    path.logged(end="connect_refused")


def test_an_endpoint_with_another_identity_is_not_spoken_to(fleet):
    backend = fleet.backend(echo_bytes)
    path = Way(fleet, [backend.address], "pair", far={"expected": "spiffe://school.local/ns/school/sa/other"})
    with Raw(path.address) as client:
        assert client.is_reset()
    path.hops[0].logged(end="identity_mismatch")
    assert backend.connections == []


@pytest.mark.parametrize("protocol", ["HTTP", "HTTP1", "HTTP2"])
def test_opaque_bytes_do_not_reach_an_application_that_is_said_to_speak_http(fleet, protocol):
    """Rules on requests would be passed by."""
    backend = fleet.backend(echo_bytes)
    path = Way(fleet, [backend.address], "pair", far={"listener": {"appProtocol": protocol}})
    with Raw(path.address) as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.is_reset()
    path.hops[0].logged(end="tls_failed")
    assert backend.connections == []


def test_an_application_that_is_said_to_speak_tcp_gets_bytes_alone(fleet):
    path = Way(fleet, [fleet.backend(echo_bytes).address], "pair", far={"listener": {"appProtocol": "TCP"}})
    with Raw(path.address) as client:
        assert client.send(b"abc").exactly(3) == b"abc"


def test_a_reload_leaves_open_connections_alone(way):
    path = way(echo_bytes)
    with Raw(path.address) as client:
        assert client.send(b"abc").exactly(3) == b"abc"
        for hop in path.hops:
            hop.reload()
        assert client.send(b"def").exactly(3) == b"def"
    near = path.hops[0]
    with Raw(path.address) as client:
        assert client.send(b"abc").exactly(3) == b"abc"
        near.proxy["spec"]["listeners"] = [{"name": "other", "role": "Outbound", "address": near.fleet.address()}]
        near.reload()
        assert client.send(b"def").exactly(3) == b"def"
        assert client.end().rest() == b""


def test_a_drain_lets_open_connections_end(way):
    path = way(echo_bytes)
    with Raw(path.address) as client:
        assert client.send(b"abc").exactly(3) == b"abc"
        for hop in path.hops:
            hop.process.signal(signal.SIGTERM)
            eventually(lambda hop=hop: "event=draining" in hop.process.output())
        assert client.send(b"def").exactly(3) == b"def"
        assert client.end().rest() == b""
    for hop in path.hops:
        assert hop.process.wait() == 0


def test_connections_max_makes_clients_wait(fleet):
    path = Way(fleet, [fleet.backend(greeting(b"hi")).address], "hop", policies=[traffic("backend", connections={"max": 1})])
    with Raw(path.address) as first:
        assert first.exactly(2) == b"hi"
        with Raw(path.address) as second:
            eventually(lambda: path.hops[0].figure("outrigger_pool_waiting") == 1)
            first.end()
            assert first.rest() == b""
            assert second.exactly(2) == b"hi"


def test_a_client_that_leaves_while_it_waits_leaves_nothing(fleet):
    path = Way(fleet, [fleet.backend(greeting(b"hi")).address], "hop", policies=[traffic("backend", connections={"max": 1})])
    with Raw(path.address) as first:
        assert first.exactly(2) == b"hi"
        with Raw(path.address) as second:
            eventually(lambda: path.hops[0].figure("outrigger_pool_waiting") == 1)
            second.reset()
        path.hops[0].logged(end="client_gone")
        eventually(lambda: path.hops[0].figure("outrigger_pool_waiting") == 0)
    eventually(lambda: path.hops[0].figure("outrigger_upstream_connections_active") == 0)
