# presets: dev
"""CVE-2019-9901, CVE-2021-31920, CVE-2021-32779 and their kin: a path that one part reads in one way and the next in another. Every spelling of a path goes through rules for exact paths
and prefixes, over HTTP/1.1 and HTTP/2, at a sidecar and at a gateway: it is refused, or the one canonical form is what the rule was chosen by and what the server gets."""

import json

import pytest

from support.edge import Edge
from support.fleet import Fleet
from support.h2_peer import H2Client
from support.hop import Hop, service
from support.routes import backends, path, route, to_gateway
from support.wire import Wire

UNRESERVED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def marked(name, *matches):
    """A rule that says in its answer that it was the one."""
    return {"name": name, "matches": list(matches), "backendRefs": backends("echo"),
            "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-rule", "value": name}]}}]}


RULES = [marked("secret", path("/admin", "Exact")), marked("below", path("/admin")), marked("app", path("/app")), marked("rest", path("/"))]


def canonical(target):
    """RFC 3986 section 6.2.2, written without a look at the proxy: unreserved octets decoded, hex digits in capitals, dot segments resolved. None: not to be had."""
    text, at = "", 0
    while at < len(target):
        if target[at] != "%":
            text += target[at]
            at += 1
            continue
        octet = int(target[at + 1:at + 3], 16)
        text += chr(octet) if chr(octet) in UNRESERVED else f"%{octet:02X}"
        at += 3
    kept = []
    segments = text.split("/")[1:]
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        if segment == "..":
            if not kept:
                return None
            kept.pop()
        elif segment != ".":
            kept.append(segment)
        if segment in (".", "..") and last:
            kept.append("")
    return "/" + "/".join(kept)


def rule_for(form):
    """What Gateway API says of a path: an exact one, then whole elements of a prefix."""
    if form == "/admin":
        return "secret"
    return "below" if form.startswith("/admin/") else "app" if form == "/app" or form.startswith("/app/") else "rest"


class Http1:
    def __init__(self, address):
        self.address, self.wire = address, Wire(address)

    def ask(self, target):
        """(status, rule, path that the server got)."""
        response = self.wire.get(target, host="front").response()
        if response.header("connection") == "close":
            assert self.wire.rest() == b"", target
            self.wire.close()
            self.wire = Wire(self.address)
        body = json.loads(response.body) if response.status == 200 else {"target": None}
        return response.status, response.header("x-rule"), body["target"]

    def close(self):
        self.wire.close()


class Http2:
    def __init__(self, address):
        self.address, self.client, self.asked = address, H2Client(address), 0

    def ask(self, target):
        self.asked += 1
        if self.asked % 40 == 0:  # who breaks rules all the time is sent away
            self.close()
            self.client = H2Client(self.address)
        answer = self.client.get(target, authority="front")
        if answer.reset is not None:
            return 400, None, None
        body = json.loads(answer.body) if answer.status == 200 else {"target": None}
        return answer.status, answer.header("x-rule"), body["target"]

    def close(self):
        self.client.socket.close()


@pytest.fixture(scope="module", params=["sidecar", "gateway"])
def address(request):
    with Fleet() as fleet:
        services = [service("echo", [fleet.backend().address]), service("front", [fleet.backend().address])]
        if request.param == "gateway":
            yield Edge(fleet, services, [{}], route("guard", [to_gateway()], *RULES)).address
        else:
            yield Hop(fleet, services, policies=[route("guard", "front", *RULES)]).address


@pytest.fixture(params=[Http1, Http2], ids=["HTTP/1.1", "HTTP/2"])
def client(request, address):
    client = request.param(address)
    yield client
    client.close()


def judge(client, target):
    """Refused, or seen by rule and server as what it is. Returns which."""
    status, rule, seen = client.ask(target)
    assert status in (200, 400), (target, status)
    if status == 400:
        return 400
    form = canonical(target.partition("?")[0])
    assert (rule, seen.partition("?")[0]) == (rule_for(form), form), target
    return rule


# Istio's table (tests/integration/security/normalization_test.go), by our rules: kept as it is where octets are reserved, refused where two servers could differ.
TABLE = {
    "/app#foo": 400, "/app/../admin": "secret", "/app//": "app", "/app/%2f": "app", "/app%2f/": "rest", "/xyz%30..//abc": "rest", "/app/%2E./admin": "secret", "/app/%2e%2e/admin": "secret",
    "/admin/": "below", "/admin//": "below", "//admin": "rest", "/./admin": "secret", "/admin/.": "below", "/admin/..": "rest", "/app/..//admin": "rest", "/%61dmin": "secret", "/%41dmin": "rest",
    "/ADMIN": "rest", "/admin%2F": "rest", "/admin%2Fx": "rest", "/app%2F..%2Fadmin": 400, "/app/..%2Fadmin": 400, "/app/..%2fadmin": 400, "/app%5C..%5Cadmin": 400, "/app\\..\\admin": 400,
    "/app/..;/admin": 400, "/app/..;x/admin": 400, "/app/%2e%2e;/admin": 400, "/app;/../admin": "secret", "/admin;x": "rest", "/admin;": "rest", "/admin;/x": "rest", "/admin%3Bx": "rest",
    "/admin?x": "secret", "/admin%3Fx": "rest", "/admin?/../app": "secret", "/../admin": 400, "/app/../../admin": 400, "/%2e%2e/admin": 400, "/admin%00": 400, "/admin%00.html": 400,
    "/admin%0d%0a": 400, "/admin%7F": 400, "/admin%": 400, "/admin%2": 400, "/admin%zz": 400, "/admin%u002f": 400, "/admin%25": "rest", "/admin%252f": "rest", "/%2561dmin": "rest",
    "/admin%C0%AE": "rest", "/admin%c0%af": "rest", "/admin%EF%BC%8F": "rest", "/admin...": "rest", "/admin/...": "below", "/...//admin": "rest", "/admin%20": "rest", "/admin+": "rest",
}


@pytest.mark.parametrize("target, wanted", TABLE.items(), ids=list(TABLE))
def test_threat_17_a_spelling_of_a_path_is_refused_or_matched_as_what_it_is(client, target, wanted):
    assert judge(client, target) == wanted


@pytest.mark.parametrize("form", ["/admin{}", "/{}admin", "/ad{}min", "/admin/{}", "/app/{}/../../admin", "/app/..{}/admin"])
def test_threat_17_all_256_octets_percent_encoded(client, form):
    """In capitals and not: no octet anywhere opens another rule than its canonical form's, none of the controls passes, and no octet of the exact path may be spelled around it."""
    for octet in range(256):
        for escape in {f"%{octet:02x}", f"%{octet:02X}"}:
            target = form.format(escape)
            result = judge(client, target)
            if octet < 32 or octet in (127, ord("\\")):
                assert result == 400, target
            elif chr(octet) in UNRESERVED and canonical(target) is not None:
                assert result == rule_for(canonical(target)), target


@pytest.mark.parametrize("form", ["/admin{}", "/{}admin", "/app/{}/../../admin"])
def test_threat_17_octets_that_are_not_encoded(client, form):
    """Those that stand in a target by right; all others end the request."""
    allowed = UNRESERVED | set("!$&'()*+,;=:@/")
    for octet in range(33, 127):
        if chr(octet) in "%?":
            continue
        target = form.format(chr(octet))
        result = judge(client, target)
        assert result != 400 or chr(octet) not in allowed or canonical(target) is None or "..;" in target, target
        if chr(octet) in "#\\":
            assert result == 400, target


@pytest.mark.parametrize("target", ["/admin#", "/admin#x", "/#/admin", "/app#/../admin", "/app?x#/admin", "#", "/app/#/../../admin"])
def test_threat_18_a_fragment_is_refused(client, target):
    assert client.ask(target) == (400, None, None)


@pytest.mark.parametrize("target", ["/admin%23", "/admin%23x", "/app%23/../admin"])
def test_threat_18_an_encoded_number_sign_is_a_part_of_the_path(client, target):
    assert judge(client, target) == ("secret" if target.endswith("/admin") else "rest")


def test_threat_18_a_fragment_of_an_absolute_target_is_refused(address):
    for target in ("http://front/admin#x", "http://front#/admin", "http://front/app#@evil"):
        with Wire(address) as wire:
            assert wire.get(target, host="front").response().status == 400, target
