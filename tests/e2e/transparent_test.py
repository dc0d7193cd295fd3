"""Redirected connections, in a network namespace of the test: which service is meant, what is passed on to where it was going, what would come back for ever."""

# presets: dev

import socket
import ssl

import pytest
import yaml

from support.backend import Backend, echo
from support.fleet import BIN, READY_S, answers
from support.hop import Hop, service
from support.namespace import network_namespace, redirect
from support.opaque import Raw, echo_bytes, greeting
from support.wire import exchange

GROUP = 61616
HERE, HERE6, FAR = "10.99.0.1", "fd99::1", "10.99.0.9"
OUT, IN = 15001, 15006
RAW, HTTP, DB, SHOP = 7001, 7002, 3306, 8080


class Redirected:
    """A proxy with a transparent outbound and a transparent inbound listener, to which all of the test's connections to HERE, HERE6 and FAR are led."""

    def __init__(self, fleet, documents=(), outbound=None, inbound=None):
        self.hop = Hop(fleet, documents, outbound=False, start=False, listeners=[
            {"name": "out", "role": "Outbound", "address": f"0.0.0.0:{OUT}", "transparent": True, "detection": {"timeout": "100ms"}, **(outbound or {})},
            {"name": "out6", "role": "Outbound", "address": f"[::]:{OUT}", "transparent": True, "detection": {"timeout": "100ms"}},
            {"name": "in", "role": "Inbound", "address": f"0.0.0.0:{IN}", "transparent": True, "mtls": {"mode": "Disable"}, **(inbound or {})}])
        self.hop.proxy["spec"]["workers"] = 1
        config = fleet.write("hop/config.yaml", yaml.safe_dump_all(self.hop.documents))
        self.hop.process = fleet.start("hop", ["setpriv", "--regid", GROUP, "--clear-groups", BIN / "outrigger-proxy", "--config", config], answers(self.hop.metrics))
        redirect(fleet, GROUP, [("ip", f"{{ {HERE}, {FAR} }}", f"{{ {RAW}, {HTTP}, {DB}, 443, {OUT}, {IN} }}", OUT), ("ip6", HERE6, RAW, OUT), ("ip", HERE, f"{{ {SHOP}, {SHOP + 1} }}", IN)])

    def backend(self, script, port, **options):
        backend = Backend(script, port, **options)
        self.hop.fleet.backends.append(backend)
        return backend


@pytest.fixture
def inside(fleet):
    with network_namespace(fleet, f"{HERE}/32", f"{FAR}/32", f"{HERE6}/128"):
        yield fleet


def test_what_nobody_knows_goes_to_where_it_was_going(inside):
    way = Redirected(inside)
    way.backend(echo_bytes, RAW, host=HERE)
    way.backend(echo, HTTP, host=HERE)
    with Raw(f"{HERE}:{RAW}") as client:
        assert client.send(b"\x01abc").exactly(4) == b"\x01abc"
    assert exchange(f"{HERE}:{HTTP}", "GET / HTTP/1.1\r\nHost: unheard.of\r\n\r\n").status == 200
    assert way.hop.logged(method="CONNECT")["endpoint"] == f"{HERE}:{RAW}"
    assert way.hop.logged(method="GET")["service"] == "passthrough/out"


def test_a_server_that_speaks_first_is_waited_for_once(inside):
    way = Redirected(inside)
    way.backend(greeting(b"220 hi\r\n"), RAW, host=HERE)
    for _ in range(3):
        with Raw(f"{HERE}:{RAW}") as client:
            assert client.exactly(8) == b"220 hi\r\n"
    assert way.hop.figure("outrigger_detected_total", result="silent") == 1
    assert way.hop.figure("outrigger_detected_total", result="remembered") == 2


def test_ipv6_is_redirected_too(inside):
    way = Redirected(inside)
    way.backend(echo_bytes, RAW)  # at 127.0.0.1: not where it goes
    server = socket.create_server((HERE6, RAW), family=socket.AF_INET6)
    with server, Raw(f"[{HERE6}]:{RAW}") as client:
        client.send(b"\x01")
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(READY_S)
            assert accepted.recv(1) == b"\x01"
    assert way.hop.logged(method="CONNECT")["endpoint"] == f"[{HERE6}]:{RAW}"


def test_a_socket_of_both_families_knows_where_connections_of_ipv4_were_going(inside):
    """As systemd makes one of ListenStream=PORT, for a document that says 0.0.0.0."""
    hop = Hop(inside, outbound=False, start=False, listeners=[
        {"name": "out", "role": "Outbound", "address": f"0.0.0.0:{OUT}", "transparent": True, "detection": {"timeout": "100ms"}}])
    program = "import os, sys\nos.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\nos.dup2(int(sys.argv[1]), 3)\nos.execv(sys.argv[2], sys.argv[2:])"
    with socket.create_server(("::", OUT), family=socket.AF_INET6, dualstack_ipv6=True) as both:
        hop.process = inside.start("hop", ["setpriv", "--regid", GROUP, "--clear-groups", "/usr/bin/python3", "-c", program, both.fileno(), BIN / "outrigger-proxy",
                                           "--config", hop.write()], answers(hop.metrics), pass_fds=[both.fileno()])
    redirect(inside, GROUP, [("ip", HERE, RAW, OUT)])
    inside.backends.append(Backend(echo_bytes, RAW, host=HERE))
    with Raw(f"{HERE}:{RAW}") as client:
        assert client.send(b"\x01abc").exactly(4) == b"\x01abc"
    line = hop.logged(method="CONNECT")
    assert line["endpoint"] == f"{HERE}:{RAW}" and line["peer"].startswith("10.99.0.")


def test_a_service_is_found_by_address_then_by_name_then_by_host(inside):
    db = inside.backend(greeting(b"db"))
    tls = inside.backend(echo_bytes)
    web = inside.backend()
    way = Redirected(inside, [service("db", [db.address], protocol="TCP", port=DB, hosts=["db", FAR]),
                              service("secure", [tls.address], protocol="TLS", port=443, hosts=["secure.example"]),
                              service("web", [web.address], hosts=["web.example"])])
    with Raw(f"{FAR}:{DB}") as client:
        assert client.exactly(2) == b"db", "by its address, without waiting for a byte"
    context = ssl.create_default_context()
    bio, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(bio, out, server_hostname="secure.example").do_handshake()
    hello = out.read()
    with Raw(f"{FAR}:443") as client:
        assert client.send(hello).exactly(len(hello)) == hello, "as it came"
    assert exchange(f"{FAR}:{HTTP}", "GET / HTTP/1.1\r\nHost: web.example\r\n\r\n").status == 200
    for name in ("db:3306", "secure:443", "web:80"):
        way.hop.logged(service=f"default/{name}")


def test_reject_passes_nothing_on(inside):
    way = Redirected(inside, outbound={"unknownHosts": "Reject"})
    way.backend(echo_bytes, RAW, host=HERE)
    with Raw(f"{HERE}:{RAW}") as client:
        client.send(b"\x01abc")
        assert client.is_reset()
    assert exchange(f"{HERE}:{HTTP}", "GET / HTTP/1.1\r\nHost: unheard.of\r\n\r\n").status == 502
    assert len(way.hop.logged(2, end="host_unknown")) == 2


@pytest.mark.parametrize("port", [OUT, IN])
def test_what_would_come_back_for_ever_is_refused(inside, port):
    way = Redirected(inside)
    # To a listener of ours, by another way than straight: sent on to where it was going, it would be redirected, or come in, again.
    other = OUT if port == IN else IN
    with Raw(f"{HERE}:{other}") as client:
        client.send(b"\x01abc")
        assert client.is_reset()
    if other == IN:
        way.hop.logged(end="loop")


def test_inbound_tells_ports_apart(inside):
    shop = inside.backend()
    way = Redirected(inside, inbound={"forwards": [{"port": SHOP, "to": shop.address, "protocol": "HTTP"}]})
    way.backend(greeting(b"raw"), SHOP + 1, host=HERE)
    assert exchange(f"{HERE}:{SHOP}", "GET / HTTP/1.1\r\nHost: shop\r\n\r\n").status == 200
    with Raw(f"{HERE}:{SHOP + 1}") as client:
        assert client.exactly(3) == b"raw", "no forward has it: to where it was going"
    way.hop.logged(endpoint=shop.address)
    way.hop.logged(endpoint=f"{HERE}:{SHOP + 1}")
