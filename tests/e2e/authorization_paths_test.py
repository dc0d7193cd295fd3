# presets: dev
# seconds: 19
"""Every spelling of a path, a host, a header that has got past somebody's authorization: against Deny and Allow rules, over HTTP/1.1 and HTTP/2, beside an application and at a gateway. What reaches
the application is judged as the most generous server would read it: escapes decoded, parameters of segments cut off, slashes merged, dots resolved."""

import json
import urllib.parse

import pytest

from support.authorize import authorize, rule
from support.edge import Edge
from support.fleet import Fleet
from support.h2_peer import H2Client
from support.hop import Hop, service
from support.routes import backends, path, route, to_gateway
from support.wire import Wire


def paths(*rules):
    return [{"path": {"type": kind, "value": value}} for kind, value in rules]


def header(name, value, kind="Exact"):
    return [{"headers": [{"type": kind, "name": name, "value": value}]}]


DENIES = [{"name": "admin", "matches": paths(("Exact", "/admin"), ("PathPrefix", "/secret"), ("RegularExpression", "/hidden/[a-z]+"))},
          {"name": "host", "matches": [{"headers": [{"name": "host", "value": "denied.example"}]}]},
          {"name": "role", "matches": header("x-role", "evil")},
          {"name": "expression", "matches": header("x-agent", ".*evil.*", "RegularExpression")}]
ALLOWS = [{"name": "app", "matches": paths(("PathPrefix", "/app"), ("Exact", "/exact"))},
          {"name": "role", "matches": [{"path": {"value": "/by-role"}, "headers": [{"name": "x-role", "value": "good"}]}]},
          {"name": "expression", "matches": [{"path": {"value": "/by-agent"}}], "notMatches": header("x-agent", ".*evil.*", "RegularExpression")}]


def read_generously(target):
    """The path of the target, by a server that takes whatever could be meant."""
    text = urllib.parse.unquote(target.partition("?")[0], "latin-1")
    kept = []
    for segment in text.split("/"):
        segment = segment.partition(";")[0]
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


def is_denied(form):
    return form == "/admin" or form == "/secret" or form.startswith("/secret/") or (form.startswith("/hidden/") and form[8:].isalpha() and form[8:].islower())


def is_allowed(form):
    return form in ("/app", "/exact") or form.startswith("/app/")


class Http1:
    def __init__(self, address):
        self.address, self.wire = address, Wire(address)

    def ask(self, target, host="front", headers=()):
        """(status, path that the application got); a connection that breaks is status 400."""
        lines = b"".join(b"%s: %s\r\n" % (name, value) for name, value in headers)
        self.wire.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n".encode("latin-1") + lines + b"\r\n")
        response = self.wire.response()
        if response.header("connection") == "close":
            self.close()
            self.wire = Wire(self.address)
        return response.status, json.loads(response.body)["target"] if response.status == 200 else None

    def close(self):
        self.wire.close()


class Http2:
    def __init__(self, address):
        self.address, self.client, self.asked = address, H2Client(address), 0

    def ask(self, target, host="front", headers=()):
        self.asked += 1
        if self.asked % 40 == 0:  # who breaks rules all the time is sent away
            self.close()
            self.client = H2Client(self.address)
        answer = self.client.get(target, authority=host, headers=list(headers))
        if answer.reset is not None:
            return 400, None
        return answer.status, json.loads(answer.body)["target"] if answer.status == 200 else None

    def close(self):
        self.client.socket.close()


class World:
    """Addresses of a proxy with Deny rules and of one with Allow rules."""

    def __init__(self, fleet, where):
        backend = fleet.backend()
        self.addresses = {}
        for action, rules in (("Deny", DENIES), ("Allow", ALLOWS)):
            if where == "gateway":
                edge = Edge(fleet, [service("echo", [backend.address])], [{}], route("all", [to_gateway()], {"matches": [path("/")], "backendRefs": backends("echo")}),
                            authorize("a", action, *rules, target="edge", kind="Gateway"), name=f"edge-{action.lower()}")
                self.addresses[action] = edge.address
            else:
                hop = Hop(fleet, name=f"hop-{action.lower()}", inbound={"in": {"forwardTo": backend.address}}, outbound=False, service="app",
                          policies=[authorize("a", action, *rules)])
                self.addresses[action] = hop.inbound["in"]


@pytest.fixture(scope="module", params=["sidecar", "gateway"])
def world(request):
    with Fleet() as fleet:
        yield World(fleet, request.param)


@pytest.fixture(params=[Http1, Http2], ids=["HTTP/1.1", "HTTP/2"])
def clients(request, world):
    made = {action: request.param(address) for action, address in world.addresses.items()}
    yield made
    for client in made.values():
        client.close()


def judge(clients, target):
    """What of the two proxies lets it pass; neither may let pass what a generous server reads as something that is not to."""
    answers = {action: client.ask(target) for action, client in clients.items()}
    for action, (status, seen) in answers.items():
        assert status in (200, 400, 403), (action, target, status)
        if status != 200:
            continue
        form = read_generously(seen)
        assert is_allowed(form) if action == "Allow" else not is_denied(form), (action, target, seen)
    return {action: status for action, (status, _) in answers.items()}


SPELLINGS = ["/admin", "/./admin", "/admin/.", "/x/../admin", "/x/%2E%2e/admin", "/%61dmin", "/adm%69n", "/%41dmin", "/ADMIN", "//admin", "/admin//", "/admin/", "/x//../admin", "/x/..//admin",
             "/admin%2F", "/admin%2f", "/%2Fadmin", "/x%2F..%2Fadmin", "/x/..%2Fadmin", "/x%5C..%5Cadmin", "/x\\..\\admin", "\\admin", "/admin\\", "/x/..;/admin", "/x/..;a=b/admin", "/x/%2e%2e;/admin",
             "/admin;x", "/admin;", "/admin;/", "/;/admin", "/;x/admin", "/x;/../admin", "/admin%3Bx", "/%3B/admin", "/admin%00", "/admin%00.html", "/admin%0d%0a", "/admin%20", "/admin%09", "/admin%7F",
             "/admin%", "/admin%2", "/admin%zz", "/admin%u002f", "/admin%25", "/%2561dmin", "/admin%252f", "/admin%3F", "/admin%23", "/admin#", "/admin#x", "/#/admin", "/x#/../admin", "/admin?x", "/admin?",
             "/admin?/../app", "/app?/../admin", "/../admin", "/x/../../admin", "/%2e%2e/admin", "/admin%C0%AE", "/admin%c0%af", "/%c0%aeadmin", "/admin%EF%BC%8F", "/admin...", "/.../admin", "/admin+",
             "/secret", "/secret/", "/secret/x", "/secret;a/b", "/secret;/../x", "/secret%2Fx", "/secret%2fx", "/secret//x", "/x/../secret/y", "/secret/../secret", "/s%65cret/x", "/secret/..%2F",
             "/hidden/abc", "/hidden/abc;x", "/hidden;/abc", "/hidden//abc", "/hidden/%61bc", "/hidden/ABC", "/app", "/app/", "/app/x", "/app/..", "/app/../admin", "/app/%2e%2e/admin", "/app/..;/admin",
             "/app/..%2Fadmin", "/app%2F..%2Fadmin", "/app/%2F..%2F..%2Fadmin", "/app//../../admin", "/app/;/../admin", "/app;/../admin", "/app;x", "/app/x;y", "/app%3B/x", "/application", "/exact", "/exact/",
             "/exact;x", "/exact?x", "/exact%2F", "/app/\\..\\..\\admin", "/app/.%2e/admin", "/app/%2e./admin", "/app/./../admin", "/app/...//admin", "*", "http://front/admin", "http://front//admin"]


@pytest.mark.parametrize("target", SPELLINGS)
def test_threat_17_18_no_spelling_gets_past_a_rule(clients, target):
    judge(clients, target)


def test_what_is_plain_passes(clients):
    assert judge(clients, "/app/x") == {"Deny": 200, "Allow": 200}
    assert judge(clients, "/x") == {"Deny": 200, "Allow": 403}
    assert judge(clients, "/admin") == {"Deny": 403, "Allow": 403}
    assert judge(clients, "/app/x;y=1") == {"Deny": 200, "Allow": 200}
    assert judge(clients, "/app//x") == {"Deny": 400, "Allow": 400}
    assert judge(clients, "/app%2Fx") == {"Deny": 400, "Allow": 400}
    assert judge(clients, "/app/x?y=//z%2F") == {"Deny": 200, "Allow": 200}


@pytest.mark.parametrize("form", ["/admin{}", "/{}admin", "/ad{}min", "/secret{}x", "/secret/{}", "/app/{}/../../admin", "/app/..{}/admin", "/x/{}..{}/secret"])
def test_threat_17_all_256_octets_percent_encoded(clients, form):
    for octet in range(256):
        for escape in {f"%{octet:02x}", f"%{octet:02X}"}:
            judge(clients, form.replace("{}", escape))


@pytest.mark.parametrize("form", ["/admin{}", "/{}admin", "/secret{}x", "/app/{}/../../admin"])
def test_threat_17_octets_that_are_not_encoded(clients, form):
    for octet in range(33, 127):
        judge(clients, form.replace("{}", chr(octet)))


@pytest.mark.parametrize("octet", [0, 1, 8, 11, 12, 13, 27, 127], ids=lambda octet: f"{octet:02x}")
@pytest.mark.parametrize("where", ["target", "value", "name"])
def test_threat_16_controls_in_a_request_reach_nobody(world, octet, where):
    for address in world.addresses.values():
        bad = bytes([octet])
        target, name, value = b"/app", b"x-agent", b"good"
        if where == "target":
            target += bad + b"x"
        elif where == "value":
            value = b"good" + bad + b"evil"
        else:
            name = b"x-a" + bad + b"gent"
        with Wire(address) as wire:
            wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: front\r\n" + name + b": " + value + b"\r\n\r\n")
            assert wire.response().status == 400


@pytest.mark.parametrize("host", ["denied.example", "Denied.Example", "DENIED.EXAMPLE", "denied.example.", "denied.example:80", "Denied.example.:80", "denied.example:080"])
def test_threat_19_a_host_is_the_same_in_any_spelling(clients, host):
    assert clients["Deny"].ask("/app", host=host)[0] in (403, 404, 400), host


@pytest.mark.parametrize("headers", [
    [(b"x-role", b"evil")], [(b"x-role", b"good"), (b"x-role", b"evil")], [(b"x-role", b"evil"), (b"x-role", b"good")], [(b"x-role", b"good, evil")], [(b"x-role", b"good,evil")],
    [(b"x-role", b"evil "), (b"x-role", b"")], [(b"x_role", b"evil")], [(b"x-role", b"good"), (b"x_role", b"evil")]], ids=str)
def test_threat_20_each_value_of_a_header_is_looked_at(clients, headers):
    if isinstance(clients["Deny"], Http2):
        headers = [(name, value.strip()) for name, value in headers]
    assert clients["Deny"].ask("/x", headers=headers)[0] == 403
    assert clients["Allow"].ask("/by-role", headers=headers)[0] == 403


def test_threat_20_an_allow_takes_good_values_alone(clients):
    assert clients["Allow"].ask("/by-role", headers=[(b"x-role", b"good")])[0] == 200
    assert clients["Allow"].ask("/by-role", headers=[(b"x-role", b"good"), (b"x-role", b"good")])[0] == 200
    assert clients["Allow"].ask("/by-role", headers=[(b"x_role", b"good")])[0] == 403
    assert clients["Allow"].ask("/by-role")[0] == 403


@pytest.mark.parametrize("octet", [*range(0x80, 0x100, 7), 0xff])
def test_threat_21_bytes_that_are_no_utf_8_blind_no_expression(clients, octet):
    for value in (bytes([octet]) + b"evil", b"evil" + bytes([octet]), b"\xe2\x28" + bytes([octet]) + b"evil\xc3"):
        assert clients["Deny"].ask("/x", headers=[(b"x-agent", value)])[0] in (400, 403)
        assert clients["Allow"].ask("/by-agent", headers=[(b"x-agent", value)])[0] in (400, 403)


def test_threat_21_an_expression_that_takes_too_much_work_lets_nothing_pass(fleet):
    hop = Hop(fleet, inbound={"in": {"forwardTo": fleet.backend().address}}, outbound=False, service="app",
              policies=[authorize("a", "Deny", rule("slow", matches=header("x-agent", "(a+)+[bc]", "RegularExpression")))])
    client = Http1(hop.inbound["in"])
    assert client.ask("/", headers=[(b"x-agent", b"a" * 5000)])[0] == 400
    assert client.ask("/", headers=[(b"x-agent", b"aab")])[0] == 403
    assert client.ask("/", headers=[(b"x-agent", b"d")])[0] == 200
    client.close()
