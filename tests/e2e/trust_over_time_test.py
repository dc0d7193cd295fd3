"""What was trusted when a connection was made, and is not any more: certificates that end, roots that are taken away, plain text that is no longer allowed."""
# seconds: 38

import datetime
import socket
import ssl
import threading

import pytest

from support.backend import held, message
from support.fleet import eventually, split_address
from support.hop import Hop, service
from support.test_ca import HOUR, Authority, spiffe_id
from support.wire import Wire

CALLER = spiffe_id("school", "frontend")
CALLEE = spiffe_id("school", "courses")


def identity(fleet, name, svid, bundle):
    certificate, key = svid.write(fleet.folder / name)
    return {"certificate": str(certificate), "privateKey": str(key), "trustBundle": str(fleet.write(f"{name}/ca.crt", bundle))}


def callee(fleet, backend, svid, bundle, mode="Strict"):
    return Hop(fleet, name="callee", inbound={"in": {"forwardTo": backend.address, "mtls": {"mode": mode}}}, outbound=False,
               identity=identity(fleet, "callee-identity", svid, bundle))


def caller(fleet, far, svid, bundle):
    courses = service("backend", [far.inbound["in"]], tls={"mode": "Mesh"}, identities=[CALLEE])
    return Hop(fleet, [courses], name="caller", identity=identity(fleet, "caller-identity", svid, bundle))


def endless(event):
    """Begins an answer and goes on with it once `event` is set."""
    def script(connection):
        while connection.read_request() is not None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegin")
            event.wait()
    return script


def ends_with_the_certificate(fleet, lives):
    event = threading.Event()
    authority = Authority()
    far = callee(fleet, fleet.backend(endless(event)), authority.issue(CALLEE, lifetime=lives["callee"]), authority.bundle_pem)
    near = caller(fleet, far, authority.issue(CALLER, lifetime=lives["caller"]), authority.bundle_pem)
    with Wire(near.address) as wire:
        assert wire.get().head().status == 200
        assert wire.rest() == b"begin"
    event.set()
    return near, far


def test_no_connection_outlives_the_certificate_of_its_client(fleet):
    _, far = ends_with_the_certificate(fleet, {"callee": HOUR, "caller": datetime.timedelta(seconds=8)})
    eventually(lambda: far.figure("outrigger_downstream_connections_closed_total", reason="untrusted") == 1)


def test_no_connection_outlives_the_certificate_of_its_server(fleet):
    near, _ = ends_with_the_certificate(fleet, {"callee": datetime.timedelta(seconds=8), "caller": HOUR})
    eventually(lambda: near.figure("outrigger_upstream_connections_closed_total", reason="untrusted") == 1)


class Handshake:
    """A client of the mesh, step by step."""

    def __init__(self, address, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(name / "tls.crt", name / "tls.key")
        context.set_alpn_protocols(["h2"])
        self.arrived, self.leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.arrived, self.leaving)
        self.socket = socket.create_connection(split_address(address), timeout=60)

    def step(self):
        """As far as it goes without hearing from the peer; True when it is done on our side."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def send(self):
        self.socket.sendall(self.leaving.read())

    def hear(self):
        content = self.socket.recv(65536)
        self.arrived.write(content)
        return content

    def is_let_in(self):
        """Whether the server says anything of HTTP/2 to us."""
        try:
            while self.hear():
                try:
                    return self.tls.read(1) != b""
                except ssl.SSLWantReadError:
                    pass
        except (OSError, ssl.SSLError):
            pass
        return False


def shake_hands(address, folder):
    client = Handshake(address, folder)
    while not client.step():
        client.send()
        client.hear()
    client.send()
    return client


def test_a_handshake_does_not_outlive_the_root_that_it_was_begun_under(fleet):
    old, new = Authority(name="Old Root"), Authority(name="New Root")
    far = callee(fleet, fleet.backend(), old.issue(CALLEE), old.bundle_pem)
    address = far.inbound["in"]
    old.issue(CALLER).write(fleet.folder / "old")
    new.issue(CALLER).write(fleet.folder / "new")
    assert shake_hands(address, fleet.folder / "old").is_let_in()

    late = Handshake(address, fleet.folder / "old")
    late.step()
    late.send()
    while not late.step():
        late.hear()  # it has all to be sure of the server, and the server waits for its certificate

    far.proxy["spec"]["identity"] = identity(fleet, "callee-new", new.issue(CALLEE), new.bundle_pem)
    far.reload()
    eventually(lambda: shake_hands(address, fleet.folder / "new").is_let_in(), what="the new root being in force")
    late.send()
    assert not late.is_let_in()
    eventually(lambda: far.figure("outrigger_downstream_connections_closed_total", reason="untrusted") >= 1)


def test_plain_text_ends_where_mutual_tls_becomes_a_must(fleet):
    event = threading.Event()
    authority = Authority()
    backend = fleet.backend(held(event, message(200, b"done")))
    far = callee(fleet, backend, authority.issue(CALLEE), authority.bundle_pem, mode="Permissive")
    address = far.inbound["in"]
    event.set()
    with Wire(address) as idle, Wire(address) as busy, Wire(address) as silent:
        assert idle.get().response().status == 200
        event.clear()
        busy.get()
        eventually(lambda: sum(len(connection.requests) for connection in backend.connections) == 2)
        far.proxy["spec"]["listeners"][0]["mtls"]["mode"] = "Strict"
        far.reload()
        assert idle.is_ended() and silent.is_ended()
        event.set()
        response = busy.response()
        assert response.body == b"done" and response.header("connection") == "close"
        assert busy.is_ended()
    with Wire(address) as late:
        assert late.get().is_ended() or late.rest()[:4] != b"HTTP"


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_peer_whose_root_is_taken_away_is_cut_off(fleet, who):
    event = threading.Event()
    old, new = Authority(name="Old Root"), Authority(name="New Root")
    far = callee(fleet, fleet.backend(endless(event)), old.issue(CALLEE), old.bundle_pem + new.bundle_pem)
    near = caller(fleet, far, new.issue(CALLER), old.bundle_pem + new.bundle_pem)
    with Wire(near.address) as wire:
        assert wire.get().head().status == 200
        hop, own = {"caller": (near, new), "callee": (far, old)}[who]
        hop.proxy["spec"]["identity"] = identity(fleet, "alone", own.issue(CALLER if who == "caller" else CALLEE), own.bundle_pem)
        hop.reload()
        assert wire.rest() == b"begin"
    event.set()
    side = "upstream" if who == "caller" else "downstream"
    eventually(lambda: hop.figure(f"outrigger_{side}_connections_closed_total", reason="untrusted") == 1)
