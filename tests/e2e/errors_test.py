"""The table of errors: for each way a request can end, what the client is told over HTTP/1.1, HTTP/2 and gRPC, what the log says, and that nobody else notices.

Errors of TLS stand in mtls_test.py; those of framing, one by one, in framing_test.py.
"""

import json
import socket
import threading

import pytest

from support.backend import cut, echo, held, message, replay, reply
from support.fleet import eventually, take_port
from support.h2_peer import PREFACE, SETTINGS, H2Client, frame
from support.hop import Hop, service, traffic, undisturbed
from support.wire import Wire, exchange

# end: (status, grpc-status, type in Proxy-Status)
TABLE = {
    "bad_request": (400, 13, "http_request_error"),
    "framing_invalid": (400, 13, "http_request_error"),
    "header_timeout": (408, 4, "http_request_error"),
    "body_timeout": (408, 4, "http_request_error"),
    "body_too_large": (413, 8, "http_request_error"),
    "uri_too_long": (414, 13, "http_request_error"),
    "headers_too_large": (431, 8, "http_request_error"),
    "expectation": (417, 13, "http_request_error"),
    "method_unknown": (501, 12, "http_request_error"),
    "version_unsupported": (505, 12, "http_request_error"),
    "host_unknown": (502, 14, "destination_not_found"),
    "connect_refused": (502, 14, "connection_refused"),
    "upstream_reset": (502, 14, "connection_terminated"),
    "response_malformed": (502, 13, "http_protocol_error"),
    "upgrade_failed": (502, 13, "http_upgrade_failed"),
    "loop": (502, 13, "proxy_loop_detected"),
    "no_endpoint": (503, 14, "destination_unavailable"),
    "pool_full": (503, 14, "connection_limit_reached"),
    "connect_timeout": (504, 14, "connection_timeout"),
    "request_timeout": (504, 4, "http_response_timeout"),
    "try_timeout": (504, 4, "http_response_timeout"),
    "deadline_expired": (504, 4, "http_response_timeout"),
}
POLICY = "TrafficPolicy/default/backend-traffic: "
GREETING = PREFACE + frame(SETTINGS, 0, 0)
GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


def is_reply(response, end, rule=None):
    """The response is what the table says for `end`: status, problem document, Proxy-Status, which names the rule of the service's policy where one ended it."""
    status, _, kind = TABLE[end]
    assert response.status == status, response
    assert response.header("content-type") == "application/problem+json"
    problem = json.loads(response.body)
    assert problem["status"] == status and problem["type"] == "about:blank" and problem["title"]
    assert problem["detail"].split(":")[0] == end
    assert response.header("proxy-status") == f'outrigger; error={kind}; details="{end}{"; " + POLICY + rule if rule else ""}"'
    return response


def world(fleet, script=echo, **options):
    """A hop with a service `backend` and an innocent one, `witness`."""
    return Hop(fleet, {"backend": [fleet.backend(script).address], "witness": [fleet.backend().address]}, **options)


def check_all(hop, end, path="/", host="backend", headers=(), grpc=True, rule=None):
    """The same request over HTTP/1.1, HTTP/2 and gRPC ends in `end` each time; the connections can be used again."""
    with undisturbed(hop):
        with Wire(hop.address) as wire:
            for _ in range(2):
                response = is_reply(wire.get(path, host, [f"{name}: {value}" for name, value in headers]).response(), end, rule)
                assert response.header("connection") is None
        with H2Client(hop.address) as client:
            is_reply(client.get(path, host, headers=headers), end, rule)
            if grpc:
                answer = client.post(b"", path, authority=host, headers=[*GRPC, *headers])
                assert (answer.status, answer.header("grpc-status"), answer.body, answer.trailers) == (200, str(TABLE[end][1]), b"", [])
                assert answer.header("grpc-message").split(":")[0] == end and answer.header("content-type") == "application/grpc"
    hop.logged(3, end=end, status=TABLE[end][0], **({"policy": POLICY + rule} if rule else {}))
    if grpc:
        hop.logged(end=end, status=200, grpc_status=TABLE[end][1])


# --- the upstream's side ---

def test_host_unknown(fleet):
    check_all(world(fleet), "host_unknown", host="nobody")


def test_connect_refused(fleet):
    hop = world(fleet)
    fleet.backends[0].close()
    check_all(hop, "connect_refused")
    assert hop.figure("outrigger_upstream_connections_failed_total", reason="connect_refused") >= 4


def test_connect_timeout(fleet):
    # A listener whose queue is full: the kernel drops what comes.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", take_port()))
        listener.listen(0)
        address = "%s:%d" % listener.getsockname()
        fill = [socket.socket() for _ in range(4)]
        for sock in fill:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        hop = Hop(fleet, {"backend": [address], "witness": [fleet.backend().address]},
                  policies=[traffic("backend", connections={"connectTimeout": "100ms"}, retry={"attempts": 0})])
        check_all(hop, "connect_timeout", rule="connections.connectTimeout")
        for sock in fill:
            sock.close()


def test_no_endpoint(fleet):
    backend = fleet.backend()
    hop = Hop(fleet, [service("backend", [{"address": backend.address, "weight": 0}]), service("witness", [fleet.backend().address])])
    check_all(hop, "no_endpoint")


def test_upstream_reset_before_an_answer(fleet):
    def script(connection):
        connection.read_request()
        connection.reset()
    check_all(world(fleet, script), "upstream_reset", grpc=False)


def test_upstream_closed_before_an_answer(fleet):
    check_all(world(fleet, lambda connection: connection.read_request()), "upstream_reset", grpc=False)


def test_response_malformed(fleet):
    check_all(world(fleet, lambda connection: connection.read_request() and connection.send(b"SSH-2.0-OpenSSH\r\n")), "response_malformed", grpc=False)


def test_response_incomplete_is_cut_and_nothing_is_said(fleet):
    whole = message(200, b"0123456789")
    hop = Hop(fleet, {"cut": [fleet.backend(cut(whole, len(whole) - 3)).address], "reset": [fleet.backend(cut(whole, len(whole) - 3, reset=True)).address],
                      "chunked": [fleet.backend(cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n", 1000)).address],
                      "witness": [fleet.backend().address]})
    with undisturbed(hop):
        for host in ("cut", "reset", "chunked"):
            with Wire(hop.address) as wire:
                response = wire.get(host=host).head()
                rest = wire.rest()
                assert response.status == 200 and not rest.endswith(b"0\r\n\r\n") and len(rest) < 20, "the client can tell that it is incomplete"
            with H2Client(hop.address) as client:
                assert client.get(authority=host).reset is not None
    hop.logged(6, end="response_incomplete", status=200)


def test_a_body_to_the_end_of_the_connection_that_is_reset_is_incomplete(fleet):
    hop = world(fleet, cut(b"HTTP/1.1 200 OK\r\n\r\npart of it", 1000, reset=True))
    with Wire(hop.address) as wire:
        assert wire.get().head().status == 200
        assert not wire.rest().endswith(b"0\r\n\r\n")
    hop.logged(end="response_incomplete")


def test_pool_full(fleet):
    event = threading.Event()
    hop = world(fleet, held(event, message(200, b"late")), policies=[traffic("backend", connections={"max": 1, "maxPending": 1})],
                workers=1)  # the queue is a worker's own
    with Wire(hop.address) as first, Wire(hop.address) as second:
        first.get()
        eventually(lambda: fleet.backends[0].connections and fleet.backends[0].connections[0].requests)
        second.get()
        eventually(lambda: hop.figure("outrigger_pool_waiting") == 1)
        check_all(hop, "pool_full", grpc=False, rule="connections.maxPending")
        event.set()
        assert [first.response().body, second.response().body] == [b"late", b"late"]
    assert hop.figure("outrigger_pool_full_total") == 3


def test_request_timeout(fleet):
    event = threading.Event()
    hop = world(fleet, held(event, message(200)), policies=[traffic("backend", timeouts={"request": "150ms"}, deadline={"propagate": False})])
    check_all(hop, "request_timeout", grpc=False, rule="timeouts.request")
    event.set()


def test_try_timeout(fleet):
    event = threading.Event()
    hop = world(fleet, held(event, message(200)), policies=[traffic("backend", timeouts={"backendRequest": "150ms"})])
    check_all(hop, "try_timeout", grpc=False, rule="timeouts.backendRequest")
    event.set()


def test_deadline_expired(fleet):
    event = threading.Event()
    hop = world(fleet, held(event, message(200)))
    check_all(hop, "deadline_expired", headers=[("x-request-timeout-ms", "150")], grpc=False)
    event.set()


def test_idle_timeout_of_a_stream(fleet):
    event = threading.Event()
    hop = world(fleet, held(event, message(200)), policies=[traffic("backend", timeouts={"idle": "150ms"})])
    check_all(hop, "request_timeout", grpc=False, rule="timeouts.idle")
    event.set()


def test_loop(fleet):
    hop = Hop(fleet, [service("witness", [fleet.backend().address])], start=False)
    hop.documents.append(service("backend", [hop.address]))
    hop.start()
    with undisturbed(hop):
        is_reply(exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"), "loop")
    hop.logged(end="loop", status=502)


def test_upgrade_that_was_not_asked_for_is_malformed(fleet):
    hop = world(fleet, replay(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n"))
    check_all(hop, "response_malformed", grpc=False)


# --- the client's side ---

def raw(hop, end, content, closes=True):
    """Bytes that end in `end`; where the rest of the input cannot be told, the connection is closed behind the reply."""
    with undisturbed(hop):
        with Wire(hop.address) as wire:
            response = is_reply(wire.send(content).response(), end)
            if closes:
                assert response.header("connection") == "close" and wire.is_ended()
            else:
                assert wire.get(host="witness").response().status == 200
    return hop.logged(end=end, status=TABLE[end][0])


def test_bad_request(fleet):
    raw(world(fleet), "bad_request", "GET / HTTP/1.1\r\n\r\n")


def test_framing_invalid(fleet):
    raw(world(fleet), "framing_invalid", "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


def test_method_unknown(fleet):
    raw(world(fleet), "method_unknown", "BREW / HTTP/1.1\r\nHost: backend\r\n\r\n")


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0"])
def test_version_unsupported(fleet, version):
    raw(world(fleet), "version_unsupported", f"GET / {version}\r\nHost: backend\r\n\r\n")


def test_uri_too_long(fleet):
    hop = world(fleet, limits={"urlBytes": 1024})
    raw(hop, "uri_too_long", f"GET /{'x' * 1100} HTTP/1.1\r\nHost: backend\r\n\r\n")
    with H2Client(hop.address) as client:
        is_reply(client.get("/" + "x" * 1100), "uri_too_long")
        assert client.get("/" + "x" * 900).status == 200
    assert exchange(hop.address, f"GET /{'x' * 900} HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200


@pytest.mark.parametrize("limits, lines", [({"headers": 10}, ["x: y"] * 20), ({"headerBytes": 1024}, [f"x: {'y' * 1100}"]), ({"headerBytes": 1024}, ["x: y"] * 40)],
                         ids=["number", "one large", "many small"])
def test_headers_too_large(fleet, limits, lines):
    hop = world(fleet, limits=limits)
    raw(hop, "headers_too_large", "\r\n".join(["GET / HTTP/1.1", "Host: backend", *lines, "", ""]))
    with H2Client(hop.address) as client:
        is_reply(client.get(headers=[tuple(line.split(": ")) for line in lines]), "headers_too_large")
        assert client.get().status == 200


def test_body_too_large_by_its_length(fleet):
    hop = world(fleet, limits={"bodyBytes": 1000})
    raw(hop, "body_too_large", "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 1001\r\n\r\n")
    with H2Client(hop.address) as client:
        is_reply(client.answer(client.request(method="POST", headers=[("content-length", "1001")], end=False)), "body_too_large")
        assert client.post(b"x" * 1000).status == 200
    assert all(len(request.body) <= 1000 for request in fleet.backends[0].requests)


def test_body_too_large_while_it_comes(fleet):
    hop = world(fleet, limits={"bodyBytes": 1000})
    body = "POST / HTTP/1.1\r\nHost: backend\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + "x" * 1001
    raw(hop, "body_too_large", body)
    raw(hop, "body_too_large", body + "\r\n0\r\n\r\n", closes=False)
    with H2Client(hop.address) as client:
        is_reply(client.post(b"x" * 1001), "body_too_large")
        assert client.post(b"x" * 1000).status == 200
    assert all(len(request.body) <= 1000 for request in fleet.backends[0].requests)


def test_header_timeout(fleet):
    hop = world(fleet, limits={"headerTimeout": "200ms"})
    raw(hop, "header_timeout", "GET / HTTP/1.1\r\nHost: back")
    with Wire(hop.address) as wire:  # in the second request of a connection as well
        assert wire.get().response().status == 200
        is_reply(wire.send("GET / HT").response(), "header_timeout")
        assert wire.is_ended()


@pytest.mark.parametrize("greeting", [b"", b"G", b"PRI * HT", GREETING], ids=["nothing", "a letter", "half a preface", "HTTP/2"])
def test_a_connection_that_asks_for_nothing_is_closed(fleet, greeting):
    hop = world(fleet, limits={"headerTimeout": "200ms", "idleTimeout": "200ms"})
    with Wire(hop.address) as wire:
        wire.send(greeting).rest()
    eventually(lambda: hop.figure("outrigger_downstream_connections_active") == 0)
    assert hop.figure("outrigger_downstream_connections_closed_total") == 1


def test_body_timeout(fleet):
    hop = world(fleet, limits={"bodyIdleTimeout": "200ms"})
    raw(hop, "body_timeout", "POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 10\r\n\r\nhalf")
    with H2Client(hop.address) as client:
        stream = client.request(method="POST", end=False)
        client.send_body(stream, b"half", end=False)
        is_reply(client.answer(stream), "body_timeout")
        assert client.get().status == 200


def test_client_gone_is_only_logged(fleet):
    event = threading.Event()
    hop = world(fleet, held(event, message(200)))
    with undisturbed(hop):
        gone = Wire(hop.address)
        gone.get("/gone")
        eventually(lambda: fleet.backends[0].connections and fleet.backends[0].connections[0].requests)
        gone.break_off()
        line = hop.logged(end="client_gone", path="/gone")
        assert "status" not in line
    event.set()


def test_a_body_that_its_client_breaks_off_is_never_taken_for_whole(fleet):
    hop = world(fleet)
    with undisturbed(hop):
        for content in ("POST / HTTP/1.1\r\nHost: backend\r\nContent-Length: 10\r\n\r\nhalf", "POST / HTTP/1.1\r\nHost: backend\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"):
            with Wire(hop.address) as wire:
                wire.send(content).end()
                wire.rest()
    hop.logged(2, end="client_gone")
    assert fleet.backends[0].requests == []


# --- what all replies have in common ---

def test_a_reply_to_head_has_no_body(fleet):
    with Wire(world(fleet).address) as wire:
        for _ in range(2):
            response = wire.send("HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n").response("HEAD")
            assert response.status == 502 and int(response.header("content-length")) > 0


def test_a_reply_to_http_1_0_closes(fleet):
    with Wire(world(fleet).address) as wire:
        is_reply(wire.send("GET / HTTP/1.0\r\nHost: nobody\r\n\r\n").response(), "host_unknown")
        assert wire.is_ended()


def test_what_a_client_says_cannot_break_the_reply(fleet):
    hop = world(fleet)
    response = is_reply(exchange(hop.address, "GET / HTTP/1.1\r\nHost: no-body_at~all\r\n\r\n"), "host_unknown")
    assert json.loads(response.body)["detail"] == "host_unknown: no-body_at~all"


def test_errors_of_the_application_are_passed_on_as_they_are(fleet):
    hop = world(fleet, reply(503, b"mine", [("Retry-After", "7"), ("Proxy-Status", "app; error=x")]))
    response = exchange(hop.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n")
    assert (response.status, response.body, response.header("retry-after"), response.header("proxy-status")) == (503, b"mine", "7", "app; error=x")
    hop.logged(end="ok", status=503)


def test_a_request_body_behind_a_reply_is_not_taken_for_a_request(fleet):
    """Smuggling by the body of a request that was refused."""
    hop = world(fleet)
    with Wire(hop.address) as wire:
        wire.send("POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: 46\r\n\r\n").send("GET /smuggled HTTP/1.1\r\nHost: backend\r\n\r\n......")
        is_reply(wire.response(), "host_unknown")
        assert b"smuggled" not in wire.rest()
    assert fleet.backends[0].requests == []
