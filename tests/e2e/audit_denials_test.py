# presets: dev tsan release
# seconds: 40
"""Who was refused what, in the audit log: requests and opaque connections by each kind of policy, callers by mutual TLS, each once and where it was decided."""

import contextlib
import datetime
import ssl
import threading

import pytest

from support.audited import Audited, AuditLog
from support.authorize import authorize
from support.backend import held, message, reply
from support.edge import Edge
from support.fleet import eventually
from support.h2_peer import H2Client
from support.hop import API, service
from support.opaque import Raw, echo_bytes, tcp_listener
from support.pair import CALLEE, CALLER, Identity, Pair
from support.routes import backends, path, route, to_gateway
from support.test_ca import HOUR, Authority
from support.token import Issuer, jwks
from support.wire import TlsWire, Wire, exchange

GET = "GET / HTTP/1.1\r\nHost: app\r\n\r\n"


# --- by whom ---

def test_each_kind_of_policy_is_told(fleet):
    agent = fleet.backend(reply(200, b'{"result": false}'))
    keys = fleet.write("keys.json", jwks(Issuer()))
    tokens = {"apiVersion": API, "kind": "AuthenticationPolicy", "metadata": {"name": "tokens"},
              "spec": {"targetRefs": [{"kind": "Service", "name": "app"}], "jwt": [{"name": "main", "issuer": "https://id.example", "jwks": {"file": str(keys)}}]}}
    asks = authorize("agent", "External", {"name": "asked", "matches": [{"path": {"type": "PathPrefix", "value": "/ask"}}]},
                     external={"type": "OPA", "url": f"http://{agent.address}/", "timeout": "20s"})
    audited = Audited(fleet, [tokens, asks])
    assert exchange(audited.address, "GET /ask HTTP/1.1\r\nHost: app\r\n\r\n").status == 403
    assert audited.line(event="denied", path="/ask")["policy"] == "AuthorizationPolicy/default/agent: asked"
    assert exchange(audited.address, "GET /token HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer a.b.c\r\n\r\n").status == 401
    line = audited.line(event="denied", path="/token")
    assert (line["end"], line["status"], line["policy"]) == ("unauthenticated", 401, "AuthenticationPolicy/default/tokens: main") and "a.b.c" not in audited.path.read_text()
    assert exchange(audited.address, "GET /secret HTTP/1.1\r\nHost: app\r\n\r\n").status == 403
    audited.line(event="denied", path="/secret", policy="AuthorizationPolicy/default/guard: secret")
    assert len(audited.lines(event="denied")) == 3


def test_an_opaque_connection_is_told_with_its_client(fleet):
    listener = tcp_listener("backend")
    audit = AuditLog(fleet.folder / "far0" / "audit.log")
    policy = authorize("guard", "Deny", {"name": "all", "from": [{"namespaces": ["school"]}]})
    pair = Pair(fleet, fleet.backend(echo_bytes).address, protocol="TCP", near={"listeners": [listener], "outbound": False},
                far={"service": "app", "policies": [policy], "telemetry": {"auditLog": audit.block, "accessLog": {"filter": "None"}}})
    with Raw(listener["address"]) as client:
        client.send(b"hello")
        with contextlib.suppress(ConnectionError):
            assert client.rest() == b""
    line = audit.line(event="denied")
    assert (line["end"], line["policy"], line["peer_identity"], line["listener"]) == ("denied", "AuthorizationPolicy/default/guard: all", CALLER, "in")
    assert pair.near.figure("outrigger_audit_log_lines_total") == 0


def test_what_a_sidecar_refused_is_told_by_it_and_not_by_the_gateway(fleet):
    authority = Authority()
    near, far = Identity(fleet, "near", CALLER, authority), Identity(fleet, "far", CALLEE, authority)
    audited = Audited(fleet, hop={"identity": far.spec}, start=False)
    audited.hop.proxy["spec"]["listeners"][0]["mtls"] = {"mode": "Strict"}
    audited.hop.start()
    audit = AuditLog(fleet.folder / "edge" / "audit.log", events=["Changes", "Denials", "Limits"])
    shop = service("shop", [audited.address], tls={"mode": "Mesh"}, identities=[CALLEE])
    edge = Edge(fleet, [shop], [{}], route("shop", [to_gateway()], {"matches": [path("/")], "backendRefs": backends("shop")}), identity=near.spec,
                telemetry={"auditLog": audit.block, "accessLog": {"path": str(fleet.folder / "edge" / "access.log"), "filter": "All"}})
    assert exchange(edge.address, "GET /secret HTTP/1.1\r\nHost: shop\r\n\r\n").status == 403
    assert audited.line(event="denied")["policy"] == "AuthorizationPolicy/default/guard: secret"
    edge.hop.logged(end="denied")
    edge.hop.process.stop()
    assert audit.lines(event="denied") == [] and audit.lines(event="process", result="ended") != []


def test_a_stream_that_outlives_a_reload_is_told(fleet):
    """It waits for an agent while other documents come into force."""
    event = threading.Event()
    agent = fleet.backend(held(event, message(200, b'{"result": false}')))
    audited = Audited(fleet, [authorize("agent", "External", external={"type": "OPA", "url": f"http://{agent.address}/", "timeout": "20s"})])
    with Wire(audited.address) as wire:
        wire.send("GET /held HTTP/1.1\r\nHost: app\r\n\r\n")
        eventually(lambda: agent.requests, what="the agent is asked")
        audited.hop.reload([*audited.hop.documents, service("other", ["127.0.0.1:1"])])
        event.set()
        assert wire.response().status == 403
    assert audited.line(event="denied", path="/held")["policy"] == "AuthorizationPolicy/default/agent: all"


# --- by mutual TLS ---

@pytest.fixture
def strict(fleet):
    pair = Pair(fleet, fleet.backend().address, far={"telemetry": {"auditLog": {"path": str(fleet.folder / "audit.log")}, "accessLog": {"filter": "None"}}})
    pair.audit = AuditLog(fleet.folder / "audit.log")
    return pair


def knock(address, context):
    """The address of a client that was not let in."""
    with Wire(address) if context is None else TlsWire(address, context) as wire:
        own = "%s:%d" % wire.socket.getsockname()[:2]
        try:
            assert b"HTTP/1.1 200" not in wire.send(GET).rest()
        except (ssl.SSLError, OSError):
            pass
    return own


def nobody_context(strict):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(strict.far_identity.volume / "ca.crt")
    return context


def test_callers_that_mutual_tls_refuses_are_told(strict, fleet):
    other = Identity(fleet, "other", CALLER, Authority("school.local", name="Other Root"), strict.authority.bundle_pem)
    old = Identity(fleet, "old", CALLER, strict.authority)
    old.issue(strict.authority, lifetime=-HOUR / 2)
    why = {"plain": (None, "http request"), "nobody": (nobody_context(strict), "did not return a certificate"), "other": (other.context(), CALLER), "old": (old.context(), "expired")}
    for name, (context, reason) in why.items():
        peer = knock(strict.inbound, context)
        line = strict.audit.line(event="denied", peer=peer)
        assert (line["end"], line["listener"], line["direction"]) == ("tls_failed", "in", "inbound"), name
        assert reason in line["detail"] and "status" not in line and "path" not in line, line
        assert f"peer={peer} error=tls_failed" in strict.far.process.output()
    assert exchange(strict.address, "GET / HTTP/1.1\r\nHost: backend\r\n\r\n").status == 200
    assert len(strict.audit.lines(event="denied")) == len(why)


def test_whoever_goes_or_refuses_us_was_not_refused(strict, fleet):
    with Raw(strict.inbound):
        pass  # as a health check does
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname = False
    stranger.load_verify_locations(cadata=Authority().bundle_pem.decode())
    with pytest.raises(ssl.SSLError):
        TlsWire(strict.inbound, stranger)
    eventually(lambda: strict.far.figure("outrigger_downstream_connections_closed_total", reason="tls_failed") >= 1)
    peer = knock(strict.inbound, None)
    strict.audit.line(event="denied", peer=peer)
    assert len(strict.audit.lines(event="denied")) == 1


def test_a_caller_that_is_no_longer_trusted_is_told(strict, fleet):
    fresh = Authority("school.local", name="New Root")
    with TlsWire(strict.inbound, strict.near_identity.context(["http/1.1"])) as wire:
        assert wire.send(GET).response().status == 200
        strict.far_identity.issue(fresh)
        assert wire.rest() == b""
    line = strict.audit.line(event="denied")
    assert (line["end"], line["detail"], line["peer_identity"]) == ("unauthenticated", "its certificate is no longer trusted", CALLER)


def test_a_caller_whose_certificate_ends_is_told_with_the_connection(strict, fleet):
    short = Identity(fleet, "short", CALLER, strict.authority)
    short.issue(strict.authority, lifetime=datetime.timedelta(seconds=6))
    silent = fleet.backend(held(threading.Event(), b""))
    strict.far.proxy["spec"]["listeners"][0]["forwardTo"] = silent.address
    strict.far.reload()
    with TlsWire(strict.inbound, short.context(["http/1.1"])) as wire:
        wire.send(GET)
        assert b"HTTP/1.1 200" not in wire.rest()
    line = strict.audit.line(event="denied")
    assert (line["end"], line["detail"], line["peer_identity"]) == ("unauthenticated", "its certificate has ended", CALLER)
    assert len(strict.audit.lines(event="denied")) == 1


def test_plain_text_that_is_not_let_in_any_more_is_not_blamed_on_a_certificate(fleet):
    """Opaque bytes that flow over a Permissive listener, which becomes Strict."""
    audit = AuditLog(fleet.folder / "audit.log")
    pair = Pair(fleet, fleet.backend(echo_bytes).address, mode="Permissive", listener={"appProtocol": "TCP"}, protocol="TCP",
                near={"listeners": [tcp_listener("backend")], "outbound": False},
                far={"telemetry": {"auditLog": audit.block, "accessLog": {"filter": "None"}}})
    with Raw(pair.inbound) as client:
        client.send(b"hello")
        assert client.exactly(5) == b"hello"
        pair.far.proxy["spec"]["listeners"][0]["mtls"]["mode"] = "Strict"
        pair.far.reload()
        with contextlib.suppress(ConnectionError):
            client.rest()
    line = audit.line(event="denied")
    assert (line["end"], line["detail"]) == ("unauthenticated", "only mutual TLS is let in any more") and "peer_identity" not in line
    assert len(audit.lines(event="denied")) == 1


# --- what they send ---

# value, and what is answered where it stands in: the request id and the path over HTTP/1, the path and the request id over HTTP/2. 0: the stream is reset.
ALL_PASS, IDS_PASS = [403, 403, 403, 403], [403, 400, 400, 403]
HOSTILE = {"quote": (b'a"b', ALL_PASS), "forged": (b'"},{"event":"forged"', ALL_PASS), "bytes": (b"caf\xc3\xa9\xff\xfe", IDS_PASS), "long": (b"x" * 3000, ALL_PASS),
           "backslash": (b"a\\b", IDS_PASS), "controls": (b"a\tb\x7f\x1b[2J", [400, 400, 0, 0])}


@pytest.mark.parametrize("value, answers", HOSTILE.values(), ids=HOSTILE)
def test_no_field_breaks_a_line(fleet, value, answers):
    """As it is, over both protocols: what the parser lets pass stands in the line as valid text, what it does not is a bad request and none of this log."""
    audited = Audited(fleet)
    with H2Client(audited.address) as client:
        statuses = [exchange(audited.address, b"GET /secret/id HTTP/1.1\r\nHost: app\r\nX-Request-Id: " + value + b"\r\n\r\n").status,
                    exchange(audited.address, b"GET /secret/h1/" + value + b" HTTP/1.1\r\nHost: app\r\n\r\n").status,
                    client.get(b"/secret/h2/" + value, authority="app").status,
                    client.get("/secret/h2", authority="app", headers=[("x-request-id", value)]).status]
    assert statuses == answers
    assert exchange(audited.address, "GET /secret/end HTTP/1.1\r\nHost: app\r\n\r\n").status == 403
    audited.line(path="/secret/end")
    *lines, _ = audited.lines(event="denied")
    assert len(lines) == statuses.count(403) and audited.lines(event="forged") == []
    begins = value.decode("utf-8", "replace")[:3]
    for line in lines:
        assert line["end"] == "denied" and line["policy"] == "AuthorizationPolicy/default/guard: secret"
        assert begins in line["path"] + line.get("request_id", ""), line
