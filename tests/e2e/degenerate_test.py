"""Requests that are odd and yet mostly allowed (no host, no path, empty or absurd values of fields that a filter reads) through every listener, version and filter: each is answered
or refused, and the proxy goes on. Others' proxies have crashed on them."""

import itertools
import json

import pytest

from support.fleet import Fleet, eventually
from support.h2_peer import H2Client, h2_echo, h2_server
from support.hop import Hop, service, traffic, undisturbed
from support.wire import Wire, exchange

ANSWERS = {200, 400, 405, 413, 414, 417, 431, 501, 502, 504, 505}  # 502: of a host that nobody knows
LONG = ".".join(["a" * 63] * 4)

TARGETS = [("GET", "/"), ("OPTIONS", "*"), ("GET", "*"), ("GET", "http://backend"), ("GET", "http://backend?x"), ("GET", "http:/"), ("GET", "/" + "%2e" * 2000), ("GET", "/?" + "&" * 8000),
           ("HEAD", "/"), ("DELETE", "/"), ("TRACE", "/"), ("CONNECT", "backend:80"), ("CONNECT", ":80"), ("CONNECT", "backend"), ("CONNECT", "/"), ("CONNECT", "*"), ("M-SEARCH", "/"), ("PRI", "*")]
HOSTS = [None, "", "backend", "backend.", ".", "..", "backend:", "backend:0", ":80", LONG, LONG[:-1], "a" * 64, "a" * 8000, "[::]", "[::1]:1", "[fe80::1%eth0]", "1.2.3.4", "0x7f.1", "*", "-", "_"]
# Fields that the proxy acts upon, and what may stand there.
NAMES = ["grpc-timeout", "x-request-timeout-ms", "max-forwards", "via", "te", "x-request-id", "content-type", "cookie", "outrigger-protocol", "x-forwarded-client-cert", "forwarded",
         "traceparent", "user-agent", "range", "trailer", "accept-encoding"]
VALUES = ["", ",", ";", "0", "-1", "1", "99999999H", "0n", "18446744073709551616", "a" * 4000, "\xff\xfe", "\"", "%", "trailers", "application/grpc", "1.1 outrigger," * 10]


@pytest.fixture(scope="module", params=["HTTP1", "HTTP2"])
def hop(request):
    with Fleet() as fleet:
        spoken = request.param
        if spoken == "HTTP1":
            backend = fleet.backend()
        else:
            backend = fleet.backend(h2_server(h2_echo))
        services = [service("backend", [backend.address], protocol=spoken), service("witness", [fleet.backend().address])]
        policies = [traffic("backend", timeouts={"request": "20s", "backendRequest": "10s", "idle": "10s"}, retry={"attempts": 2})]
        yield Hop(fleet, services, policies=policies, inbound={"in": {"forwardTo": backend.address, "appProtocol": spoken}})


def requests_of_http_1():
    for method, target in TARGETS:
        for version in ("1.0", "1.1"):
            yield method, f"{method} {target} HTTP/{version}\r\nHost: backend\r\n\r\n"
    for host, version in itertools.product(HOSTS, ("1.0", "1.1")):
        yield "GET", f"GET / HTTP/{version}\r\n" + ("" if host is None else f"Host: {host}\r\n") + "\r\n"
    for name, value in itertools.product(NAMES, VALUES):
        yield "POST", f"POST / HTTP/1.1\r\nHost: backend\r\n{name}: {value}\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("listener", ["outbound", "in"])
def test_degenerate_requests_of_http_1_pass_every_filter(hop, listener):
    address = hop.address if listener == "outbound" else hop.inbound[listener]
    with undisturbed(hop):
        wire = Wire(address)
        for method, content in requests_of_http_1():
            response = wire.send(content).response(method)
            assert response.status in ANSWERS, (content, response)
            if response.header("connection") == "close":
                assert wire.rest() == b""
                wire = Wire(address)
        wire.close()
    eventually(lambda: hop.figure("outrigger_streams_active") == 0)


def requests_of_http_2():
    base = {":method": "GET", ":scheme": "http", ":authority": "backend", ":path": "/"}
    for method, target in TARGETS:
        yield {**base, ":method": method, ":path": target}
        yield {":method": method, ":authority": target}
    for host in HOSTS:
        yield {**base, ":authority": host} if host is not None else {name: value for name, value in base.items() if name != ":authority"}
        yield {":method": "GET", ":scheme": "", ":path": "", "host": host or ""}
    for missing in base:
        yield {name: value for name, value in base.items() if name != missing}
    for name, value in itertools.product(NAMES, VALUES):
        yield {**base, ":method": "POST", name: value}


@pytest.mark.parametrize("listener", ["outbound", "in"])
def test_degenerate_requests_of_http_2_pass_every_filter(hop, listener):
    address = hop.address if listener == "outbound" else hop.inbound[listener]
    with undisturbed(hop):
        client = H2Client(address)
        for number, fields in enumerate(requests_of_http_2(), 1):
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, list(fields.items()), end_stream=True)
            client.flush()
            answer = client.answer(stream)
            assert answer.reset is not None or answer.status in ANSWERS, (fields, answer)
            if number % 50 == 0:  # the proxy sends those away that break the rules all the time
                client.socket.close()
                client = H2Client(address)
        client.socket.close()
    eventually(lambda: hop.figure("outrigger_streams_active") == 0)


def test_a_request_without_a_host_goes_on_without_one(fleet):
    """HTTP/1.0 needs none: an empty Host toward HTTP/1.1 (RFC 9112 section 3.2), no :authority toward HTTP/2 (RFC 9113 section 8.3.1)."""
    backends = {"HTTP1": fleet.backend(), "HTTP2": fleet.backend(h2_server(h2_echo))}
    hop = Hop(fleet, outbound=False, inbound={spoken.lower(): {"forwardTo": backend.address, "appProtocol": spoken} for spoken, backend in backends.items()})
    request = "GET / HTTP/1.0\r\n\r\n"
    seen = json.loads(exchange(hop.inbound["http1"], request).body)
    assert seen["version"] == "HTTP/1.1" and [value for name, value in seen["headers"] if name == "Host"] == [""]
    seen = exchange(hop.inbound["http2"], request)
    assert (seen.status, seen.header("seen-path"), seen.header("seen-authority"), seen.header("seen-host")) == (200, "/", None, None)
