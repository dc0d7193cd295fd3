"""Who may come in by an inbound listener: Strict, Permissive, Disable; strangers with an identity of the mesh and what they may say; certificates that break a rule; tickets."""
# seconds: 21

import contextlib
import datetime
import json
import ssl

import pytest

from support.backend import reply
from support.fleet import eventually
from support.h2_peer import H2Client, h2_echo, h2_server
from support.pair import CALLEE, CALLER, Identity, Pair
from support.test_ca import HOUR, Authority
from support.wire import TlsWire, Wire, connect_tls, exchange

GET = "GET / HTTP/1.1\r\nHost: backend\r\n\r\n"
OURS, H2, H1 = "outrigger/1", "h2", "http/1.1"


def is_let_in(address, context):
    """Whether a request is answered. In TLS 1.3 a client learns that its certificate was refused only when it reads."""
    try:
        with TlsWire(address, context) as wire:
            return wire.send(GET).response().status == 200
    except (ssl.SSLError, EOFError, OSError):
        return False


@pytest.fixture
def strict(fleet):
    return Pair(fleet, fleet.backend().address)


# --- Strict ---

def test_strict_takes_callers_of_the_mesh_and_nobody_else(strict, fleet):
    assert exchange(strict.address, GET).status == 200
    assert is_let_in(strict.inbound, strict.near_identity.context([H1]))
    with Wire(strict.inbound) as wire:
        assert b"HTTP/1.1 200" not in wire.send(GET).rest(), "plain text"
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname = False
    nobody.load_verify_locations(strict.far_identity.volume / "ca.crt")
    assert not is_let_in(strict.inbound, nobody), "no certificate"
    other = Identity(fleet, "other", CALLER, Authority("school.local", name="Other Root"), strict.authority.bundle_pem)
    assert not is_let_in(strict.inbound, other.context()), "another root"
    old = strict.near_identity.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not is_let_in(strict.inbound, old), "TLS 1.2"
    assert len(fleet.backends[0].requests) == 2
    assert exchange(strict.address, GET).status == 200
    eventually(lambda: strict.far.figure("outrigger_downstream_connections_closed_total", reason="tls_failed") >= 4)


BROKEN = {
    "expired": {"lifetime": -HOUR / 2}, "not yet valid": {"starts": HOUR / 2}, "no digital signature": {"usages": ("key_agreement",)}, "may sign certificates": {"usages": ("digital_signature", "key_cert_sign")},
    "may sign lists": {"usages": ("digital_signature", "crl_sign")}, "server alone": {"extended": ("server",)}, "client alone": {"extended": ("client",)}, "a CA": {"ca": True},
}
IDENTITIES = {"none": [], "two": [CALLER, "spiffe://school.local/ns/school/sa/other"], "another domain": ["spiffe://elsewhere.local/ns/school/sa/frontend"], "no path": ["spiffe://school.local"],
              "no SPIFFE": ["https://school.local/ns/school/sa/frontend"], "a query": [CALLER + "?x=1"], "an escape": ["spiffe://school.local/ns/school/sa/front%65nd"], "dots": ["spiffe://school.local/ns/../sa/x"]}


def test_certificates_that_break_a_rule_are_refused(strict, fleet):
    """Rules of X.509-SVID, one broken at a time."""
    def let_in(*identities, **options):
        svid = strict.authority.issue(*identities, **options)
        identity = Identity.__new__(Identity)
        identity.identity, identity.volume = CALLER, strict.near_identity.volume
        identity.publish(svid, strict.authority.bundle_pem)
        return is_let_in(strict.inbound, identity.context([H1]))
    assert let_in(CALLER)
    assert let_in("spiffe://school.local/ns/x/sa/any", names=["a.name"], subject="A Name"), "other names are allowed"
    wrong = [name for name, options in BROKEN.items() if let_in(CALLER, **options)] + [name for name, identities in IDENTITIES.items() if let_in(*identities, subject="x")]
    assert wrong == []
    assert len(fleet.backends[0].requests) == 2


# --- Permissive and Disable ---

def test_permissive_takes_plain_text_and_callers_of_the_mesh(fleet):
    pair = Pair(fleet, fleet.backend().address, mode="Permissive")
    seen = json.loads(exchange(pair.inbound, GET).body)
    assert "X-Forwarded-Client-Cert" not in dict(seen["headers"])
    assert pair.far.logged(tls=False)["end"] == "ok"
    with H2Client(pair.inbound) as client:
        assert client.get().status == 200
    seen = json.loads(exchange(pair.address, GET).body)
    assert f"URI={CALLER}" in dict(seen["headers"])["X-Forwarded-Client-Cert"]
    assert pair.far.logged(tls=True)["peer_identity"] == CALLER


@pytest.mark.parametrize("slowly", [False, True])
def test_permissive_tells_them_apart_by_the_first_bytes(fleet, slowly):
    pair = Pair(fleet, fleet.backend().address, mode="Permissive")
    with Wire(pair.inbound) as wire:
        (wire.send_slowly if slowly else wire.send)(GET.encode())
        assert wire.response().status == 200
    assert is_let_in(pair.inbound, pair.near_identity.context([OURS])) is False, "HTTP/1 on an HTTP/2 connection"
    with H2Client(None, connect_tls(pair.inbound, pair.near_identity.context([OURS]))) as client:
        assert client.get().status == 200


@pytest.mark.parametrize("protocol, listener", [(OURS, {}), ("outrigger-tcp/1", {"appProtocol": "TCP"})])
def test_the_time_of_first_bytes_is_not_that_of_a_handshake(fleet, protocol, listener):
    backend = fleet.backend()
    pair = Pair(fleet, backend.address, mode="Permissive", listener={"detection": {"timeout": "2s"}, **listener})
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = pair.near_identity.context([protocol]).wrap_bio(incoming, outgoing)
    with Wire(pair.inbound) as slow, Wire(pair.inbound):
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        slow.send(outgoing.read())
        eventually(lambda: backend.connections, what="the silent connection, which came later, being relayed")
        while not outgoing.pending:
            assert slow.more(), "the handshake was cut"
            incoming.write(slow.drop(len(slow.received)))
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
        slow.send(outgoing.read())
        assert slow.more(), "what is said inside of it, or a ticket"


def test_permissive_leaves_tls_that_is_not_ours_alone(fleet):
    """It goes to the application as it is, which here speaks none."""
    seen = []

    def application(connection):
        connection.received += connection.socket.recv(65536)
        seen.append(connection.received[:1])
        if seen[-1] != b"\x16":
            reply(200)(connection)

    pair = Pair(fleet, fleet.backend(application).address, mode="Permissive")
    assert not is_let_in(pair.inbound, pair.near_identity.context([H2, H1]))
    assert not is_let_in(pair.inbound, pair.near_identity.context())
    assert exchange(pair.inbound, GET).status == 200
    assert seen == [b"\x16", b"\x16", b"G"]


def test_permissive_refuses_a_bad_certificate_all_the_same(fleet):
    pair = Pair(fleet, fleet.backend().address, mode="Permissive")
    other = Identity(fleet, "other", CALLER, Authority("school.local", name="Other Root"), pair.authority.bundle_pem)
    with pytest.raises((ssl.SSLError, OSError, EOFError)):
        with H2Client(None, connect_tls(pair.inbound, other.context([OURS]))) as client:
            client.get()


def test_disable_takes_plain_text_alone(fleet):
    pair = Pair(fleet, fleet.backend().address, mode="Disable")
    assert exchange(pair.inbound, GET).status == 200
    assert not is_let_in(pair.inbound, pair.near_identity.context([OURS, H2, H1]))
    assert exchange(pair.address, GET).status == 502


# --- strangers ---

@pytest.mark.parametrize("offered, chosen", [([OURS, H2, H1], OURS), ([H1, H2], H2), ([H1], H1), ([], None), (["h3", H1], H1)], ids=str)
def test_the_server_chooses_what_is_spoken(strict, offered, chosen):
    sock = connect_tls(strict.inbound, strict.near_identity.context(offered))
    assert sock.selected_alpn_protocol() == chosen
    if chosen in (OURS, H2):
        with H2Client(None, sock) as client:
            assert client.get().status == 200
    else:
        with TlsWire.__new__(TlsWire) as wire:
            wire.socket, wire.received = sock, bytearray()
            for _ in range(2):
                assert wire.send(GET).response().status == 200


def test_a_protocol_that_nobody_knows_is_refused(strict):
    with pytest.raises((ssl.SSLError, OSError)):
        connect_tls(strict.inbound, strict.near_identity.context(["nonsense/1"])).recv(1)


CLAIMS = [("outrigger-protocol", "1.0"), ("outrigger-refused", "denied"), ("outrigger-anything", "1"), ("x-forwarded-client-cert", "URI=spiffe://school.local/ns/school/sa/admin")]


@pytest.mark.parametrize("alpn, version", [(H2, "HTTP/1.1"), (OURS, "HTTP/1.0")])
def test_what_the_mesh_says_is_believed_under_its_own_protocol_alone(strict, alpn, version):
    with H2Client(None, connect_tls(strict.inbound, strict.near_identity.context([alpn]))) as client:
        seen = json.loads(client.get(headers=CLAIMS).body)
    headers = seen["headers"]
    assert seen["version"] == version
    assert not [name for name, _ in headers if name.lower().startswith("outrigger-")]
    certs = [value for name, value in headers if name.lower() == "x-forwarded-client-cert"]
    assert len(certs) == 1 and "admin" not in certs[0] and f"URI={CALLER}" in certs[0].split(";")


def test_strangers_of_http_1_cannot_speak_for_the_mesh(strict):
    with TlsWire(strict.inbound, strict.near_identity.context([H1])) as wire:
        wire.send("\r\n".join(["GET / HTTP/1.1", "Host: backend", *[f"{name}: {value}" for name, value in CLAIMS], "", ""]))
        headers = json.loads(wire.response().body)["headers"]
    assert not [name for name, _ in headers if name.lower().startswith("outrigger-")]
    certs = [value for name, value in headers if name.lower() == "x-forwarded-client-cert"]
    assert len(certs) == 1 and "admin" not in certs[0]


EVIL = "x\r\nX-Forged: 1\r\nX-Forwarded-Client-Cert: URI=spiffe://school.local/ns/school/sa/admin;\",{\"end\":\"forged\"}"


def test_a_certificate_cannot_split_what_the_application_is_told(strict):
    """CVE-2023-27493: of a certificate only its SPIFFE ID is passed on, whose letters are harmless."""
    near = strict.near_identity
    near.publish(strict.authority.issue(CALLER, names=["a,URI=spiffe://x/y"], subject=EVIL[:64]), strict.authority.bundle_pem)
    with TlsWire(strict.inbound, near.context([H1])) as wire:
        headers = json.loads(wire.send(GET).response().body)["headers"]
    assert [value for name, value in headers if name.lower() == "x-forwarded-client-cert"] == [f"By={CALLEE};URI={CALLER}"]
    assert "X-Forged" not in dict(headers)


def test_a_server_name_with_control_characters_reaches_no_log(strict):
    """CVE-2024-45808: what a handshake says is no more to be believed than a header."""
    context = strict.near_identity.context([H1])
    with TlsWire(strict.inbound, context, server_name=EVIL[:60]) as wire:
        assert wire.send(GET).response().status == 200
    strict.far.logged(end="ok")
    text = strict.far.access_log.read_text(encoding="utf-8") + strict.far.process.output()
    assert "X-Forged" not in text and "forged" not in text


def test_a_stranger_gets_no_headers_of_the_mesh_back(fleet):
    pair = Pair(fleet, fleet.address())
    with H2Client(None, connect_tls(pair.inbound, pair.near_identity.context([H2]))) as client:
        answer = client.get()
        assert answer.status == 502 and not answer.header("outrigger-refused")
    with H2Client(None, connect_tls(pair.inbound, pair.near_identity.context([OURS]))) as client:
        assert client.get().header("outrigger-refused") == "connect_refused"


def test_a_stranger_may_serve_the_mesh(fleet):
    """The far end is no sidecar of ours but has an identity: h2, and nothing of the mesh is said to it or believed from it."""
    pair = Pair(fleet, fleet.backend().address)
    context = pair.far_identity.context([H2], server=True)
    stranger = fleet.backend(h2_server(h2_echo), tls=context)
    pair.service["spec"]["endpoints"] = [{"address": stranger.address}]
    pair.near.reload()
    seen = dict(exchange(pair.address, GET).headers)
    assert seen["seen-path"] == "/" and not [name for name in seen if "outrigger" in name]


def test_bytes_that_are_no_tls_end_a_strict_connection(strict):
    for content in (b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 1000, b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"):
        with Wire(strict.inbound) as wire:
            with contextlib.suppress(OSError):  # it may have broken the connection off by then
                wire.send(content).end()
            assert b"HTTP" not in wire.rest()
    assert exchange(strict.address, GET).status == 200


def test_a_handshake_byte_by_byte_is_taken(strict):
    arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = strict.near_identity.context([H1]).wrap_bio(arrived, leaving)
    with Wire(strict.inbound) as wire:
        def exchange_until(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    wire.send_slowly(leaving.read())
                    assert wire.more()
                    arrived.write(wire.drop(len(wire.received)))
        exchange_until(tls.do_handshake)
        tls.write(GET.encode())
        assert exchange_until(lambda: tls.read(12)) == b"HTTP/1.1 200"


# --- tickets ---

def session_of(address, context):
    """The session after one answered request: a ticket comes behind it."""
    with TlsWire(address, context) as wire:
        assert wire.send(GET).response().status == 200
        assert wire.send(GET).response().status == 200
        return wire.socket.session


def resumes(address, context, session):
    with TlsWire(address, context, session) as wire:
        assert wire.send(GET).response().status == 200
        return wire.socket.session_reused


def test_a_stranger_resumes_by_its_ticket(strict):
    context = strict.near_identity.context([H1])
    session = session_of(strict.inbound, context)
    assert session.has_ticket and session.ticket_lifetime_hint <= 3600
    assert resumes(strict.inbound, context, session)
    strict.far.logged(3, peer_identity=CALLER)
    assert strict.far.figure("outrigger_tls_handshakes_total", side="server", kind="resumed") == 1


def test_a_connection_of_the_mesh_gets_no_ticket(strict):
    context = strict.near_identity.context([OURS])
    sock = connect_tls(strict.inbound, context)
    with H2Client(None, sock) as client:
        for _ in range(3):
            assert client.get().status == 200
        assert sock.session is None or not sock.session.has_ticket


def test_a_ticket_outlives_a_rotation_of_our_certificate(strict):
    context = strict.near_identity.context([H1])
    session = session_of(strict.inbound, context)
    strict.far_identity.issue(strict.authority)
    eventually(lambda: strict.far.figure("outrigger_identity_loads_total", result="accepted") == 2)
    resumes(strict.inbound, context, session)  # either way a request is answered
    assert is_let_in(strict.inbound, context)


def test_a_ticket_of_another_bundle_means_a_full_handshake(strict):
    context = strict.near_identity.context([H1])
    session = session_of(strict.inbound, context)
    more = Authority("school.local", name="Another Root")
    strict.far_identity.issue(strict.authority, strict.authority.bundle_pem + more.bundle_pem)
    eventually(lambda: strict.far.figure("outrigger_identity_loads_total", result="accepted") == 2)
    assert not resumes(strict.inbound, context, session)


def test_a_ticket_is_no_way_around_a_root_that_was_taken_away(strict):
    context = strict.near_identity.context([H1])
    session = session_of(strict.inbound, context)
    new = Authority("school.local", name="New Root")
    context.load_verify_locations(cadata=new.bundle_pem.decode())
    strict.far_identity.issue(new)
    eventually(lambda: strict.far.figure("outrigger_identity_loads_total", result="accepted") == 2)
    with pytest.raises((ssl.SSLError, OSError, EOFError)):
        resumes(strict.inbound, context, session)


def test_a_ticket_ends_with_the_certificate_that_it_was_given_to(fleet):
    pair = Pair(fleet, fleet.backend().address)
    pair.near_identity.issue(pair.authority, lifetime=datetime.timedelta(seconds=600))
    session = session_of(pair.inbound, pair.near_identity.context([H1]))
    assert session.ticket_lifetime_hint <= 600
