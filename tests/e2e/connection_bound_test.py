# presets: dev tsan release
"""connections.max is a service's: over its endpoints and over two event loops no more connections than that, and nobody is locked out for it."""

import concurrent.futures
import contextlib
import socket
import struct
import threading

import pytest

from support.backend import held, message, reply
from support.fleet import FleetError, eventually
from support.h2_peer import GOAWAY, H2Client, frame, h2_reply, h2_server
from support.hop import Hop, service, traffic
from support.opaque import Raw, echo_bytes, tcp_listener
from support.websocket import connect, switched, websocket_server
from support.wire import Wire

KEY = "default/backend:80"
CLIENTS = 8
TURNS = 7
ESTABLISHED = 1  # of TCP_INFO


def bounded(fleet, most, backends, protocol="HTTP1", connections=(), **options):
    policy = traffic("backend", connections={"max": most, **dict(connections)}, loadBalancer={"type": "RoundRobin"})
    return Hop(fleet, {"backend": [backend.address for backend in backends]}, protocol=protocol, policies=[policy], **{"workers": 2, **options})


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


@pytest.mark.parametrize("end", ["in order", "reset", "by the server"])
def test_a_websocket_holds_its_place_to_its_end(fleet, end):
    server = websocket_server(fleet)
    hop = bounded(fleet, 1, [server])
    with connect(hop.address, "/ping" if end == "by the server" else "/echo") as first, concurrent.futures.ThreadPoolExecutor() as pool:
        second = pool.submit(connect, hop.address, "/echo")
        eventually(lambda: waiting(hop) == 1, what="the second waiting")
        if end == "reset":
            first.channel.break_off()
        else:
            if end == "by the server":
                assert first.recv() == "answered"  # and then it ends
                first.wait_for_close()
            else:
                first.close()
            first.channel.close()
        with second.result() as peer:
            peer.send("there")
            assert peer.recv() == "there"
            row = bound(hop)
            assert (row["use"], row["peak"]) == (1, 1)
    eventually(lambda: bound(hop)["use"] == 0, what="the place given back")


def switches(connection):
    """Answers, and where an upgrade is asked for gives all bytes back from then on."""
    while (request := connection.read_request()) is not None:
        if request.header("upgrade"):
            connection.send(switched(request))
            echo_bytes(connection)
            return
        connection.send(message(200, b"x"))


def test_a_service_that_is_removed_gives_its_idle_places_back(fleet):
    """A WebSocket goes on, and keeps its own place alone: the service that comes back has the other."""
    backend = fleet.backend(switches)
    hop = bounded(fleet, 2, [backend], connections={"http1IdleTimeout": "1h"}, workers=1)
    with contextlib.closing(connect(hop.address).channel) as tunnel:
        with Wire(hop.address) as wire:
            assert wire.get().response().status == 200
        assert bound(hop)["use"] == 2
        documents = hop.documents
        hop.reload([hop.proxy])
        eventually(lambda: backend.connections[1].socket.fileno() < 0, what="the idle connection closed")
        hop.reload(documents)
        with contextlib.closing(connect(hop.address).channel) as other:
            other.send(b"there")
            assert other.receive() == b"there"
            assert bound(hop)["use"] == 2
        with Wire(hop.address) as wire:
            assert wire.get().response().status == 200
        tunnel.send(b"still there")
        assert tunnel.receive() == b"still there"
    eventually(lambda: bound(hop)["use"] == 1, what="all but the idle one given back")


class Doors:
    """Connections that the proxy has open to several backends, as the system says. `over`: how often there were more than `most`."""

    def __init__(self, most):
        self.most, self.over, self.peak = most, 0, 0
        self.lock = threading.Lock()
        self.sockets = []

    def open(self):
        def is_open(sock):
            with contextlib.suppress(OSError):
                return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
            return False
        self.sockets = [sock for sock in self.sockets if is_open(sock)]
        return len(self.sockets)

    def enter(self, connection):
        with self.lock:
            self.sockets.append(connection.socket)
            try:
                # The end of the one before may be on its way on another core.
                self.peak = max(self.peak, eventually(lambda: self.open() <= self.most and len(self.sockets) or None, timeout=5, what="no more than may be"))
            except FleetError:
                self.over += 1


def restless(protocol, doors):
    """Every so often the answer is the connection's last, by GOAWAY or Connection: close; of /long there is only the head."""
    def http1(connection):
        while (request := connection.read_request()) is not None:
            if request.target == "/long":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
                connection.wait_for_end()
                return
            is_last = len(connection.requests) % TURNS == 0
            connection.send(message(200, b"x", [("Connection", "close")] if is_last else ()))
            if is_last:
                return

    def handler(server, request):
        if request.header(":path") == "/long":
            server.send_head(request.stream, [(":status", "200")])
            return
        if len(server.messages) % TURNS == 0:
            server.raw(frame(GOAWAY, 0, 0, struct.pack(">II", 2 ** 31 - 1, 0)))
        server.respond(request.stream, b"x")

    http = http1 if protocol == "HTTP1" else h2_server(handler)

    def script(connection):
        doors.enter(connection)
        http(connection)
    return script


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("protocol", ["HTTP1", "HTTP2"])
def test_whatever_happens_places_are_neither_lost_nor_too_many(fleet, protocol, most):
    """Three endpoints, two loops; all connections but one carry an answer without end; connections end, an endpoint dies and comes back, the service goes and comes back."""
    doors = Doors(most)
    backends = [fleet.backend(restless(protocol, doors)) for _ in range(3)]
    hop = bounded(fleet, most, backends, protocol, {"http1IdleTimeout": "1s", "idleTimeout": "1s"})

    def ask(_):
        with Wire(hop.address) as wire:
            return wire.get().response().status

    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(CLIENTS))

        def crowd(disturb=lambda: None):
            answers = [pool.submit(ask, number) for number in range(10 * CLIENTS)]
            disturb()
            return {answer.result() for answer in answers}

        for _ in range(most - 1):
            wire = Wire(hop.address)
            stack.callback(wire.break_off)
            wire.get("/long").take_until(b"\r\n\r\n")
        assert crowd() == {200}

        def kill():
            backends[0].close()
            backends[0] = fleet.backend(restless(protocol, doors), backends[0].port)
        assert crowd(kill) <= {200, 502, 503}

        def remove():
            documents = hop.documents
            for _ in range(3):
                hop.reload([hop.proxy, service("other", [backends[0].address])])
                hop.reload(documents)
        assert crowd(remove) <= {200, 502, 503}
        assert crowd() == {200}
        row = bound(hop)
        assert row["value"] == most and row["peak"] <= most and row["use"] <= most
    eventually(lambda: bound(hop)["use"] == 0 and waiting(hop) == 0, what="all places given back")
    assert doors.over == 0 and doors.peak == most
    with Wire(hop.address) as wire:
        assert wire.get().response().status == 200
