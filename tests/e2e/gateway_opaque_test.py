"""Listeners of protocols TLS and TCP of a Gateway: TLS passed through by name to real servers, TLS ended with bytes inside, plain bytes, and what attaches where."""
# presets: dev

import collections
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml

from support.edge import Edge
from support.fleet import eventually, http_get, split_address
from support.hop import Hop, service
from support.opaque import Raw, echo_bytes, first_word, greeting, tls_client, tls_server
from support.routes import backends, tcp_route, tls_route, to_gateway
from support.test_ca import Authority

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "edge-opaque" / "edge-opaque.yaml"
PASSED = {"name": "tls", "protocol": "TLS", "tls": {"mode": "Passthrough"}}
PLAIN = {"name": "tcp", "protocol": "TCP"}


def secure(name, address):
    return service(name, [address], protocol="TLS", port=443)


def to(name, *hostnames, parent=None, port=443):
    return tls_route(f"to-{name}", [parent or to_gateway()], hostnames, *backends(name, port=port))


def shown_to(address, name):
    """The certificate that a client gets which asks for the name."""
    with tls_client(address, name) as client:
        return client.getpeercert(binary_form=True)


# --- TLS that is passed through ---

def openssl_server(fleet, name):
    """(address, certificate): `openssl s_server` that answers HTTP."""
    svid = Authority(name).issue(names=[name], subject=name, extended=("server",))
    certificate, key = svid.write(fleet.folder / "openssl", name)
    address = fleet.address()
    fleet.start(f"s_server-{name}", ["openssl", "s_server", "-accept", address, "-cert", str(certificate), "-key", str(key), "-www", "-quiet"],
                ready=lambda process: accepts_tls(address), exit_codes=(0, -15))
    return address, ssl.PEM_cert_to_DER_cert(svid.certificate_pem.decode())


def accepts_tls(address):
    try:
        with tls_client(address, "probe"):
            return True
    except OSError:
        return False


def test_openssl_servers_are_reached_by_name(fleet):
    one, two = openssl_server(fleet, "one.example"), openssl_server(fleet, "two.example")
    edge = Edge(fleet, [secure("one", one[0]), secure("two", two[0])], [PASSED], to("one", "one.example"), to("two", "*.example"))
    assert shown_to(edge.address, "one.example") == one[1]
    assert shown_to(edge.address, "Other.Example") == two[1]
    with tls_client(edge.address, "two.example") as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while more := client.recv(65536):
            answer += more
    assert answer.startswith(b"HTTP/1.0 200 ok")
    line = edge.hop.logged(authority="one.example")
    assert (line["direction"], line["method"], line["route"], line["service"]) == ("gateway", "CONNECT", "TLSRoute/default/to-one: rule 1", "default/one:443")
    eventually(lambda: edge.hop.figure("outrigger_opaque_connect_duration_seconds_count", route="TLSRoute/default/to-two: rule 1") == 2)


def test_openssl_client_is_told_that_nobody_has_the_name(fleet):
    edge = Edge(fleet, [secure("one", fleet.address())], [PASSED], to("one", "one.example"))
    done = subprocess.run(["openssl", "s_client", "-connect", edge.address, "-servername", "other.example"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode != 0 and "unrecognized name" in done.stderr
    line = edge.hop.logged(end="route_not_found")
    assert (line["authority"], line["service"]) == ("other.example", "gateway/default/edge/tls")


def test_hostnames_of_listener_and_route_intersect(fleet):
    server, certificate = tls_server(fleet)
    listeners = [{**PASSED, "name": "very", "hostname": "very.example.com"}, {**PASSED, "name": "wild", "hostname": "*.example.com"}]
    edge = Edge(fleet, [secure("one", server.address)], listeners, to("one", "very.example.com", "a.example.com", "elsewhere.org", parent=to_gateway(sectionName="wild")))
    assert shown_to(edge.address, "a.example.com") == certificate
    for name in ("very.example.com", "b.example.com", "elsewhere.org", "example.com"):  # the first belongs to the listener that the route is not for
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            tls_client(edge.address, name)
    assert {line["end"] for line in edge.hop.logged(4, method="CONNECT", listener="edge") if line["authority"] != "a.example.com"} == {"route_not_found"}


def test_a_client_that_asks_for_no_name_and_what_is_no_tls_are_refused(fleet):
    server, _ = tls_server(fleet)
    edge = Edge(fleet, [secure("one", server.address)], [PASSED], to("one", "*.example"))
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        tls_client(edge.address, None)
    with Raw(edge.address) as client:
        assert client.send(b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n").rest() == b""
    assert server.connections == []


def test_a_silent_client_of_a_tls_listener_is_closed(fleet):
    edge = Edge(fleet, [secure("one", fleet.address())], [PASSED], to("one", "*.example"), limits={"headerTimeout": "200ms"})
    with Raw(edge.address) as client:
        client.is_reset()
    with Raw(edge.address) as client:
        client.send(b"\x16\x03\x01").is_reset()
    eventually(lambda: edge.hop.figure("outrigger_downstream_connections_active") == 0)


def test_weights_and_what_is_no_backend(fleet):
    server, certificate = tls_server(fleet)
    refs = backends(("one", 1), ("gone", 1), port=443)
    edge = Edge(fleet, [secure("one", server.address)], [PASSED], tls_route("split", [to_gateway()], ["*.example"], *refs), workers=1)
    found = collections.Counter()
    for _ in range(6):
        try:
            found[shown_to(edge.address, "a.example") == certificate] += 1
        except OSError:
            found["refused"] += 1
    assert found == {True: 3, "refused": 3}
    edge.hop.logged(3, end="backend_invalid")


# --- plain bytes ---

def plain(fleet, name):
    return service(name, [fleet.backend(greeting(name.encode())).address], protocol="TCP")


def test_a_tcp_route_of_a_listener(fleet):
    edge = Edge(fleet, [plain(fleet, "v1"), plain(fleet, "v2")], [PLAIN], tcp_route("split", [to_gateway()], *backends(("v1", 2), ("v2", 1), ("gone", 1))), workers=1)
    assert collections.Counter(first_word(edge.address) for _ in range(12)) == {"v1": 6, "v2": 3, "reset": 3}
    assert edge.hop.logged(6, service="default/v1:80")[0]["route"] == "TCPRoute/default/split: rule 1"
    shown = {listener["name"]: listener for listener in edge.hop.page("/listeners")}["edge"]
    assert (shown["protocol"], shown["leads_to"]) == ("bytes", "Gateway/default/edge")
    routes = {frontend["frontend"]: frontend for frontend in edge.hop.page("/routes")}["gateway/default/edge/tcp"]
    assert [host["routes"] for host in routes["hosts"]] == ["TCPRoute"]


def test_a_listener_without_a_route_resets(fleet):
    edge = Edge(fleet, [plain(fleet, "v1")], [PLAIN])
    assert first_word(edge.address) == "reset"
    assert edge.hop.logged(end="route_not_found")["service"] == "gateway/default/edge/tcp"


def test_several_ports_each_have_their_protocol(fleet):
    """One Gateway: HTTP, bytes and TLS at once."""
    server, certificate = tls_server(fleet)
    tcp, tls = fleet.address(), fleet.address()
    more = [{**PLAIN, "port": split_address(tcp)[1]}, {**PASSED, "port": split_address(tls)[1]}]
    edge = Edge(fleet, [plain(fleet, "v1"), secure("one", server.address)], [{}, *more], tcp_route("bytes", [to_gateway(sectionName="tcp")], *backends("v1")),
                to("one", "a.example", parent=to_gateway(sectionName="tls")))
    edge.hop.proxy["spec"]["listeners"] += [{"name": name, "role": "Gateway", "gateway": "edge", "address": address} for name, address in (("tcp", tcp), ("tls", tls))]
    edge.hop.reload()
    assert eventually(lambda: first_word(tcp)) == "v1"
    assert shown_to(tls, "a.example") == certificate
    assert http_get(edge.address, "/")[0] == 404
    assert {listener["name"]: listener["protocol"] for listener in edge.hop.page("/listeners") if listener["role"] == "Gateway"} == {
        "edge": "HTTP", "tcp": "bytes", "tls": "TLS that goes through"}


# --- TLS that ends here ---

class Ended:
    """A listener of protocol TLS with mode Terminate for two names, and plain servers behind it."""

    def __init__(self, fleet, *routes):
        self.authority = Authority()
        certificates = []
        for name in ("a.example", "b.example"):
            certificate, key = self.authority.issue(names=[name], subject=name, extended=("server",)).write(fleet.folder / "edge-certs", name[0])
            certificates.append({"name": name[0], "certificate": str(certificate), "privateKey": str(key)})
        self.trust = fleet.write("edge-ca.pem", self.authority.bundle_pem.decode())
        listeners = [{"name": name, "protocol": "TLS", "hostname": f"{name}.example", "tls": {"mode": "Terminate", "certificateRefs": [{"name": name}]}} for name in "ab"]
        self.edge = Edge(fleet, [plain(fleet, "v1"), plain(fleet, "v2"), service("echo", [fleet.backend(echo_bytes).address], protocol="TCP")], listeners, *routes,
                         socket={"certificates": certificates})

    def open(self, name, alpn=()):
        context = ssl.create_default_context(cafile=str(self.trust))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context.wrap_socket(socket.create_connection(split_address(self.edge.address), 60), server_hostname=name)


def test_bytes_come_out_of_tls_that_ends_here(fleet):
    site = Ended(fleet, to("v1", "a.example", port=80), to("v2", "b.example", port=80))
    for name, wanted in (("a.example", b"v1"), ("b.example", b"v2")):
        with site.open(name) as client:
            assert client.recv(2) == wanted
            client.sendall(b"abc")
            assert client.recv(3) == b"abc"
    line = site.edge.hop.logged(authority="b.example")
    assert (line["tls"], line["route"]) == (True, "TLSRoute/default/to-v2: rule 1")


def test_what_clients_speak_inside_is_theirs(fleet):
    site = Ended(fleet, tcp_route("all", [to_gateway()], *backends("echo")))
    with site.open("a.example", alpn=["imap", "h2"]) as client:
        assert client.selected_alpn_protocol() is None
        client.sendall(b"abc")
        assert client.recv(3) == b"abc"
    assert site.edge.hop.page("/listeners")[0]["protocol"] == "TLS with bytes inside"


def test_a_name_without_listener_is_refused_in_the_handshake(fleet):
    site = Ended(fleet, to("v1", "a.example", port=80))
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        site.open("c.example")


def test_the_example_has_a_broker_and_a_database(fleet):
    """docs/examples/edge-opaque as it stands, but for its addresses."""
    text = EXAMPLE.read_text(encoding="utf-8")
    ports = {written: split_address(fleet.address())[1] for written in (9093, 3306, 19093, 13306)}
    for written, real in ports.items():
        text = text.replace(f'0.0.0.0:{written}"', f'127.0.0.1:{real}"').replace(f'127.0.0.1:{written}"', f'127.0.0.1:{real}"')
    documents = list(yaml.safe_load_all(text))
    for listener in documents[1]["spec"]["listeners"]:
        listener["port"] = ports[listener["port"]]
    _, certificate = tls_server(fleet, port=ports[19093])
    fleet.backend(greeting(b"5.7"), ports[13306])
    hop = Hop(fleet, documents[1:], start=False, outbound=False)
    hop.proxy["metadata"]["namespace"] = "school"
    hop.proxy["spec"]["listeners"] = documents[0]["spec"]["listeners"]
    hop.start()
    assert shown_to(f"127.0.0.1:{ports[9093]}", "eu.broker.example") == certificate
    assert first_word(f"127.0.0.1:{ports[3306]}", 3) == "5.7"
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        tls_client(f"127.0.0.1:{ports[9093]}", "us.broker.example")
