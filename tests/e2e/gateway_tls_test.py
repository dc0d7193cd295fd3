"""TLS at a gateway: the certificate by the name that a client asks for, versions and protocols, resumption, files that change, and what is refused."""
# presets: dev

import contextlib
import datetime
import json
import socket
import ssl
import subprocess

import pytest

from support.backend import echo, reply
from support.edge import Edge, https
from support.fleet import eventually, split_address
from support.h2_peer import H2Client
from support.hop import service
from support.pair import CALLEE, Identity
from support.routes import backends, route, to_gateway
from support.test_ca import HOUR, Authority
from support.wire import exchange


def files(fleet, svid, name):
    certificate, key = svid.write(fleet.folder / "edge-certs", name)
    return {"name": name, "certificate": str(certificate), "privateKey": str(key)}


class Site:
    """A gateway with HTTPS listeners for a.example, *.b.example and all other hosts."""

    def __init__(self, fleet, **options):
        self.authority = Authority()
        self.trust = fleet.write("edge-ca.pem", self.authority.bundle_pem.decode())
        leaves = {"a": ["a.example"], "b": ["*.b.example"], "rest": ["rest.example"]}
        self.svids = {name: self.authority.issue(names=names, subject=names[0], extended=("server",)) for name, names in leaves.items()}
        listeners = [https("a", "a.example"), https("b", "*.b.example"), https("rest")]
        self.backend = fleet.backend(echo)
        certificates = [files(fleet, svid, name) for name, svid in self.svids.items()]
        self.edge = Edge(fleet, [service("v1", [self.backend.address])], listeners, route("r", [to_gateway()], {"backendRefs": backends("v1")}),
                         socket={"certificates": certificates}, **options)
        self.address = self.edge.address

    def context(self, **options):
        context = ssl.create_default_context(cafile=str(self.trust))
        context.check_hostname = False
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def shake(self, name=None, protocols=(), session=None, context=None, **options):
        """(connection, names of the server's certificate)."""
        context = context or self.context(**options)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        wire = context.wrap_socket(socket.create_connection(split_address(self.address), 30), server_hostname=name, session=session)
        return wire, [value for _, value in wire.getpeercert()["subjectAltName"]]


@pytest.fixture
def site(fleet):
    return Site(fleet)


def get(wire, host):
    wire.sendall(f"GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    data = b""
    while more := wire.recv(65536):
        data += more
    return data


def test_the_certificate_is_chosen_by_the_name(site):
    for name, wanted in (("a.example", "a.example"), ("A.Example", "a.example"), ("x.b.example", "*.b.example"), ("elsewhere.example", "rest.example"), (None, "a.example")):
        wire, names = site.shake(name)
        assert names == [wanted], name
        assert get(wire, name or "a.example").startswith(b"HTTP/1.1 200"), name
    request = site.backend.requests[-1]
    assert request.values("x-forwarded-proto") == ["https"]
    assert site.edge.hop.logged(1, authority="x.b.example")["tls"] is True


def test_a_request_for_the_host_of_another_listener_is_misdirected(site):
    """Gateway API, Listener.hostname; RFC 9110 section 7.4. Without a name in the handshake all hosts may be asked for."""
    for name, host, status in (("a.example", "x.b.example", 421), ("x.b.example", "a.example", 421), ("elsewhere.example", "a.example", 421), ("a.example", "elsewhere.example", 421),
                               ("x.b.example", "y.b.example", 200), ("one.example", "two.example", 200), ("a.example", "A.Example:443", 200), ("x.b.example.", "x.b.example", 200), ("a.example.", "a.example.", 200), (None, "x.b.example", 200)):
        wire, _ = site.shake(name)
        answer = get(wire, host)
        assert answer.startswith(b"HTTP/1.1 %d" % status), (name, host, answer)
    line = site.edge.hop.logged(4, end="misdirected")
    assert all(row["status"] == 421 for row in line)
    wire, _ = site.shake("a.example", protocols=["h2"])
    with H2Client(site.address, sock=wire) as client:
        asked = [client.get(authority=host, scheme="https").status for host in ("a.example", "x.b.example", "a.example")]
        assert asked == [200, 421, 200], "the connection goes on for what it is for"


def test_a_name_that_no_listener_has_is_refused(fleet):
    authority = Authority()
    svid = authority.issue(names=["a.example"], subject="a", extended=("server",))
    edge = Edge(fleet, [service("v1", ["127.0.0.1:1"])], [https("a", "a.example")], socket={"certificates": [files(fleet, svid, "a")]})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME|unrecognized name"):
        context.wrap_socket(socket.create_connection(split_address(edge.address), 30), server_hostname="b.example")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_and_protocols(site, version):
    wire, _ = site.shake("a.example", ("h2", "http/1.1"), minimum_version=version, maximum_version=version)
    assert wire.selected_alpn_protocol() == "h2"
    wire, _ = site.shake("a.example", ("http/1.1",), minimum_version=version, maximum_version=version)
    assert wire.selected_alpn_protocol() == "http/1.1" and get(wire, "a.example").startswith(b"HTTP/1.1 200")


def test_older_versions_are_refused(site):
    host, port = split_address(site.address)
    done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], input=b"", capture_output=True, timeout=60, check=False)
    assert done.returncode != 0


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("name", ["x.b.example", None])
@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_are_resumed(site, version, name):
    context = site.context(minimum_version=version, maximum_version=version)
    host = name or "a.example"
    wire, _ = site.shake(name, context=context)
    assert get(wire, host).startswith(b"HTTP/1.1 200")
    session = wire.session
    for _ in range(2):
        wire, names = site.shake(name, context=context, session=session)
        assert wire.session_reused and get(wire, host).startswith(b"HTTP/1.1 200")


def test_a_session_of_tls_1_2_is_for_one_name_alone(site):
    context = site.context(maximum_version=ssl.TLSVersion.TLSv1_2)
    wire, _ = site.shake("a.example", context=context)
    get(wire, "a.example")
    wire, names = site.shake("x.b.example", context=context, session=wire.session)
    assert not wire.session_reused and names == ["*.b.example"]
    get(wire, "x.b.example")
    wire, names = site.shake(None, context=context, session=wire.session)
    assert not wire.session_reused and names == ["a.example"]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_is_resumed_under_other_certificates_or_longer_than_they_last(site, fleet, version):
    context = site.context(minimum_version=version, maximum_version=version)
    wire, _ = site.shake("x.b.example", context=context)
    get(wire, "x.b.example")
    session = wire.session
    assert 3000 < session.ticket_lifetime_hint <= 3600
    fresh = site.authority.issue(names=["a.example"], subject="a", extended=("server",), lifetime=HOUR / 6)
    files(fleet, fresh, "a")
    eventually(lambda: int(site.shake("a.example")[0].getpeercert()["serialNumber"], 16) == fresh.certificate.serial_number)
    wire, _ = site.shake("x.b.example", context=context, session=session)
    assert not wire.session_reused
    get(wire, "x.b.example")
    assert 0 < wire.session.ticket_lifetime_hint <= 600
    assert site.edge.hop.figure("outrigger_tls_tickets_total") >= 2


def test_http2_from_outside(site):
    wire, _ = site.shake("a.example", ("h2",))
    with H2Client(site.address, sock=wire) as client:
        assert client.get("/x", authority="a.example").status == 200


def test_plain_text_is_refused(site):
    with pytest.raises((ConnectionError, EOFError)):
        exchange(site.address, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")


def test_a_renewed_certificate_is_shown_without_a_restart(site, fleet):
    before = site.svids["a"].certificate.serial_number
    fresh = site.authority.issue(names=["a.example"], subject="a", extended=("server",))
    assert int(site.shake("a.example")[0].getpeercert()["serialNumber"], 16) == before
    files(fleet, fresh, "a")
    eventually(lambda: int(site.shake("a.example")[0].getpeercert()["serialNumber"], 16) == fresh.certificate.serial_number)


def test_a_set_that_cannot_be_used_leaves_the_one_before(site, fleet):
    path = fleet.folder / "edge-certs" / "a.key"
    path.write_text("no key")
    eventually(lambda: "edge_certificates_refused" in site.edge.hop.process.output())
    assert site.shake("a.example")[1] == ["a.example"]


def test_certificates_of_a_gateway_are_seen(site, fleet):
    hop = site.edge.hop
    page = hop.page("/certs")
    assert page["identity"] == "none"
    assert [(row["role"], row["listener"], row["hostname"], row["id"]) for row in page["certificates"]] == [
        ("gateway", "edge", "a.example", "a"), ("gateway", "edge", "*.b.example", "b"), ("gateway", "edge", "*", "rest")]
    assert [int(row["serial"], 16) for row in page["certificates"]] == [site.svids[name].certificate.serial_number for name in ("a", "b", "rest")]
    assert all(row["file"].startswith(str(fleet.folder)) and row["ends_in"] for row in page["certificates"])
    assert [(row["listener"], row["certificates"]) for row in page["gateway_listeners"]] == [("edge", "loaded")]
    end = site.svids["a"].certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp()
    assert hop.figure("outrigger_edge_certificate_not_after_timestamp_seconds", listener="edge", hostname="a.example", certificate="a") == end
    assert "PRIVATE" not in json.dumps(page)


def test_a_reload_says_what_is_wrong_with_certificates_of_a_gateway(site, fleet):
    hop = site.edge.hop
    path = fleet.folder / "edge-certs" / "a.key"
    right = path.read_text()
    path.write_text("no key")
    status, answer = hop.post("/reload")
    assert status == 422 and answer["result"] == "refused" and answer["gateway_errors"][0].startswith("edge: a: "), answer
    assert hop.page("/certs")["gateway_listeners"][0]["pending_error"].startswith("a: ")
    assert hop.figure("outrigger_edge_certificate_loads_total", listener="edge", result="refused") == 1
    path.write_text("still no key")
    assert hop.post("/reload")[0] == 422
    assert hop.figure("outrigger_edge_certificate_loads_total", listener="edge", result="refused") == 2, "another set that cannot be used is another that is refused"
    path.write_text(right)
    status, answer = hop.post("/reload")
    assert status == 200 and answer["gateway_errors"] == []
    assert "pending_error" not in hop.page("/certs")["gateway_listeners"][0]
    assert site.shake("a.example")[1] == ["a.example"]


def test_a_client_certificate_means_nothing_at_the_edge(site, fleet):
    """Not even one of the mesh makes a client one of the mesh."""
    context = site.context()
    svid = site.authority.issue("spiffe://school.local/ns/school/sa/courses")
    certificate, key = svid.write(fleet.folder / "client")
    context.load_cert_chain(certificate, key)
    wire, _ = site.shake("a.example", ("outrigger/1", "http/1.1"), context=context)
    assert wire.selected_alpn_protocol() == "http/1.1"
    wire.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\noutrigger-protocol: 2\r\nConnection: close\r\n\r\n")
    assert wire.recv(65536).startswith(b"HTTP/1.1 200")
    request = site.backend.requests[-1]
    assert request.values("x-forwarded-client-cert") == [] and request.values("outrigger-protocol") == []


def test_a_client_from_outside_does_not_stay_where_mutual_tls_becomes_strict(fleet):
    """The very socket becomes that of a sidecar: who came when it was a gateway's has shown no certificate."""
    site = Site(fleet)
    application = fleet.backend(reply(200, b"application"))
    hop, socket_of_listener = site.edge.hop, site.edge.hop.proxy["spec"]["listeners"][0]
    hop.proxy["spec"]["identity"] = Identity(fleet, "callee", CALLEE, site.authority).spec
    wire, _ = site.shake("a.example")
    with wire:
        wire.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert wire.recv(12) == b"HTTP/1.1 200"
        socket_of_listener.clear()
        socket_of_listener.update({"name": "edge", "address": site.address, "role": "Inbound", "forwardTo": application.address, "mtls": {"mode": "Strict"}})
        hop.reload([hop.proxy, hop.documents[1]])
        with contextlib.suppress(OSError):
            wire.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            while wire.recv(4096):
                pass
    assert application.requests == []
