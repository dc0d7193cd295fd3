"""What first bytes decide: TLS passed through by SNI, detection with its deadline, the PROXY protocol, several ports of one application."""

# presets: dev tsan release

import shutil
import signal
import ssl
import struct

import pytest

from support.fleet import accepts, eventually, take_port
from support.hop import Hop, service
from support.opaque import Raw, greeting, speaks_after_end, tcp_listener, tls_client, tls_server
from support.pair import Pair
from support.wire import exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\nConnection: close\r\n\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n"


def secure_service(address, hosts=("secure.example", "*.wild.example")):
    return service("secure", [address], protocol="TLS", port=443, hosts=list(hosts))


# --- TLS by SNI ---

@pytest.mark.parametrize("name", ["secure.example", "Secure.Example", "a.wild.example"])
def test_tls_goes_through_to_whom_it_asks_for(fleet, name):
    server, certificate = tls_server(fleet)
    hop = Hop(fleet, [secure_service(server.address), service("backend", [fleet.backend().address])])
    with tls_client(hop.address, name) as client:
        assert client.getpeercert(binary_form=True) == certificate
        client.sendall(b"abc")
        assert client.recv(3) == b"abc"
    assert exchange(hop.address, GET).status == 200
    line = hop.logged(method="CONNECT")
    assert (line["authority"], line["service"]) == (name.lower(), "default/secure:443")
    assert hop.figure("outrigger_detected_total", result="tls") == 1


def test_a_name_that_nobody_has_is_refused_by_an_alert(fleet):
    server, _ = tls_server(fleet)
    hop = Hop(fleet, [secure_service(server.address)])
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        tls_client(hop.address, "other.example")
    assert hop.logged(end="host_unknown")["detail"] == "other.example"


def test_permissive_passes_other_tls_on_and_ends_its_own(fleet):
    server, certificate = tls_server(fleet)
    pair = Pair(fleet, server.address, mode="Permissive", protocol="TCP", near={"listeners": [tcp_listener("backend")], "outbound": False})
    with tls_client(pair.inbound, "whatever.example", alpn=["h2"]) as client:
        assert client.getpeercert(binary_form=True) == certificate
        client.sendall(b"abc")
        assert client.recv(3) == b"abc"
    assert pair.far.logged(method="CONNECT", authority="whatever.example")["tls"] is False
    # Of the mesh: TLS inside of ours.
    listener = pair.near.proxy["spec"]["listeners"][0]["address"]
    with tls_client(listener, "whatever.example") as client:
        assert client.getpeercert(binary_form=True) == certificate
    pair.far.logged(tls=True, peer_identity=pair.near_identity.identity)


# --- detection ---

def detecting(fleet, script, **detection):
    backend = fleet.backend(script)
    hop = Hop(fleet, [], inbound={"in": {"forwardTo": backend.address, "detection": {"timeout": "60s", **detection}}}, outbound=False)
    return hop, hop.inbound["in"]


def test_bytes_that_are_no_http_go_through(fleet):
    hop, address = detecting(fleet, speaks_after_end(b"got "))
    with Raw(address) as client:
        assert client.send(b"SELECT 1").end().rest() == b"got SELECT 1"
    with Raw(address) as client:
        assert client.send(b"G").end().rest() == b"got G", "too little to tell, and no more to come"
    assert hop.figure("outrigger_detected_total", result="tcp") == 1


@pytest.mark.parametrize("request_line", ["PROPFIND / HTTP/1.1", "\r\nGET / HTTP/1.1", "FROB / HTTP/1.1", "get / HTTP/1.1"])
def test_a_request_that_is_odd_is_no_opaque_bytes(fleet, request_line):
    backend = fleet.backend()
    hop = Hop(fleet, [], inbound={"in": {"forwardTo": backend.address, "detection": {}}}, outbound=False)
    status = exchange(hop.inbound["in"], f"{request_line}\r\nHost: a\r\nX-Forwarded-Client-Cert: forged\r\nConnection: close\r\n\r\n").status
    assert status == (501 if request_line.startswith(("FROB", "get")) else 200)
    for request in [request for connection in backend.connections for request in connection.requests]:
        assert "x-forwarded-client-cert" not in [name.lower() for name, _ in request.headers]
    assert not hop.figure("outrigger_detected_total", result="tcp")


def test_http_is_still_http(fleet):
    backend = fleet.backend()
    hop = Hop(fleet, [], inbound={"in": {"forwardTo": backend.address, "detection": {}}}, outbound=False)
    assert exchange(hop.inbound["in"], GET).status == 200
    assert hop.figure("outrigger_detected_total", result="http1") == 1


def test_silence_begins_a_relay_and_is_remembered(fleet):
    hop, address = detecting(fleet, greeting(b"220 hi\r\n"), timeout="2s")
    with Raw(address) as client:
        assert client.exactly(8) == b"220 hi\r\n"
    assert hop.figure("outrigger_detected_total", result="silent") == 1
    for _ in range(3):
        with Raw(address) as client:
            assert client.exactly(8) == b"220 hi\r\n"
    if hop.proxy["spec"].get("workers", 1) == 1:
        assert hop.figure("outrigger_detected_total", result="silent") == 1
        assert hop.figure("outrigger_detected_total", result="remembered") == 3


def test_silence_may_close(fleet):
    hop, address = detecting(fleet, greeting(b"220 hi\r\n"), timeout="50ms", onTimeout="Close")
    with Raw(address) as client:
        assert client.rest() == b""
    assert hop.figure("outrigger_detected_total", result="closed") == 1


def test_where_nothing_is_said_it_is_http(fleet):
    hop = Hop(fleet, [], inbound={"in": {"forwardTo": fleet.backend().address}}, outbound=False)
    with Raw(hop.inbound["in"]) as client:
        assert client.send(b"SELECT 1\r\n\r\n").rest().startswith(b"HTTP/1.1 ")


# --- several ports ---

def test_each_forward_has_a_port_and_a_protocol(fleet):
    http, raw = fleet.backend(), fleet.backend(greeting(b"first"))
    ports = [take_port(), take_port()]
    hop = Hop(fleet, [], outbound=False, inbound={"in": {"forwards": [{"port": ports[0], "to": http.address, "protocol": "HTTP"},
                                                                      {"port": ports[1], "to": raw.address, "protocol": "TCP"}]}})
    assert exchange(f"127.0.0.1:{ports[0]}", GET).status == 200
    with Raw(f"127.0.0.1:{ports[1]}") as client:
        assert client.exactly(5) == b"first"
    assert hop.logged(method="CONNECT")["listener"] == f"in-{ports[1]}"
    with pytest.raises(OSError):
        Raw(hop.inbound["in"])


# --- the PROXY protocol ---

HEADERS = {
    "v1": (b"PROXY TCP4 192.0.2.7 10.0.0.1 5555 80\r\n", "192.0.2.7:5555"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None),
    "v2": (V2 + b"\x21\x11" + struct.pack("!H", 12) + bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack("!HH", 5555, 80), "192.0.2.7:5555"),
    "v2 local": (V2 + b"\x20\x00\0\0", None),
    "v2 with extensions": (V2 + b"\x21\x11" + struct.pack("!H", 12 + 3 + 500) + bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack("!HH", 5555, 80)
                           + b"\x04" + struct.pack("!H", 500) + bytes(500), "192.0.2.7:5555"),
}


def proxied(fleet, mode, **options):
    return Hop(fleet, [], outbound=False, inbound={"in": {"forwardTo": fleet.backend(**options).address, "proxyProtocol": mode}})


@pytest.mark.parametrize("mode", ["Accept", "Require"])
@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_says_who_the_client_is(fleet, mode, kind):
    header, peer = HEADERS[kind]
    hop = proxied(fleet, mode)
    with Raw(hop.inbound["in"]) as client:
        # Byte by byte, as far as a network may cut it.
        for byte in header + GET.encode():
            client.send(bytes([byte]))
        assert client.rest().startswith(b"HTTP/1.1 200")
    assert hop.logged(status=200)["peer"] == peer if peer else hop.logged(status=200)["peer"].startswith("127.0.0.1:")
    assert hop.figure("outrigger_proxy_headers_total", result="read") == 1


def test_accept_takes_connections_without(fleet):
    assert exchange(proxied(fleet, "Accept").inbound["in"], GET).status == 200


@pytest.mark.parametrize("content", [GET.encode(), b"PROXY TCP4 1.2.3.4\r\n" + GET.encode(), V2 + b"\x21\x11\xff\xff" + bytes(70000)],
                         ids=["none", "wrong", "endless"])
def test_require_closes_what_has_none_or_a_wrong_one(fleet, content):
    hop = proxied(fleet, "Require")
    with Raw(hop.inbound["in"]) as client:
        try:
            assert client.send(content).rest() == b""
        except ConnectionError:
            pass
    assert eventually(lambda: hop.figure("outrigger_proxy_headers_total", result="refused") == 1)


def test_a_header_where_none_is_taken_is_a_bad_request(fleet):
    hop = proxied(fleet, "Disable")
    with Raw(hop.inbound["in"]) as client:
        assert client.send(HEADERS["v1"][0] + GET.encode()).rest().startswith(b"HTTP/1.1 ")
    assert not [line for line in hop.log() if line.get("peer", "").startswith("192.0.2")]


def test_a_header_stands_before_opaque_bytes_too(fleet):
    listener = tcp_listener("backend", proxyProtocol="Accept")
    hop = Hop(fleet, [service("backend", [fleet.backend(greeting(b"hi")).address], protocol="TCP")], outbound=False, listeners=[listener])
    with Raw(listener["address"]) as client:
        assert client.send(HEADERS["v1"][0] + b"abc").exactly(5) == b"hiabc"
    hop.logged(peer="192.0.2.7:5555", request_bytes=3)
    with Raw(listener["address"]) as client:
        assert client.exactly(2) == b"hi", "a client that waits for its server sends no header"


def test_haproxy_says_who_its_client_is(fleet):
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if haproxy is None:
        pytest.skip("haproxy is not installed: ./dev setup")
    for version in ("send-proxy", "send-proxy-v2"):
        hop = Hop(fleet, [], name=version, outbound=False, inbound={"in": {"forwardTo": fleet.backend().address, "proxyProtocol": "Require"}})
        front = fleet.address()
        config = fleet.write(f"{version}.cfg", f"""defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend f
  bind {front}
  default_backend b
backend b
  server s {hop.inbound["in"]} {version}
""")
        fleet.start(f"haproxy-{version}", [haproxy, "-f", config, "-db"], accepts(front), exit_codes=(0, -signal.SIGTERM))
        with Raw(front) as client:
            port = client.socket.getsockname()[1]
            assert client.send(GET.encode()).rest().startswith(b"HTTP/1.1 200")
        hop.logged(peer=f"127.0.0.1:{port}", status=200)
