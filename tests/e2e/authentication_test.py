# presets: dev tsan release
# seconds: 25
"""Tokens as a client sees them: keys out of a file and from a URL, rotation, issuers that fail, what the application is told, limits by what a token says, a dry run."""

import json
import threading
from pathlib import Path

import pytest
import yaml

from support.backend import reply
from support.fleet import eventually, take_port
from support.hop import API, Hop
from support.origin import Origin
from support.token import ALGORITHMS, Issuer, b64, jwks
from support.wire import Wire, exchange

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "docs" / "examples" / "tokens"
HEADERS = [{"claim": "sub", "header": "x-user-id"}, {"claim": "realm.roles", "header": "x-roles"}]


def document(kind, name="t", **spec):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": {"targetRefs": [{"kind": "Service", "name": "api"}], **spec}}


def tokens(keys, name="t", provider=None, **spec):
    return document("AuthenticationPolicy", name, jwt=[{"name": "main", "issuer": "https://id.example", "jwks": keys, **(provider or {})}], **spec)


def beside(fleet, *policies, environment=None, workers=2):
    """A proxy beside the application of service `api`, and that application."""
    backend = fleet.backend(reply(200, b"hello"))
    hop = Hop(fleet, inbound={"inbound": {"forwardTo": backend.address}}, policies=policies, service="api", outbound=False, workers=workers, start=False)
    hop.start(environment=environment)
    return hop, backend


def ask(hop, token=None, path="/", **fields):
    if token:
        fields["authorization"] = f"Bearer {token}"
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return exchange(hop.inbound["inbound"], f"GET {path} HTTP/1.1\r\nHost: api\r\n{lines}\r\n")


class Server:
    """The issuer's server: answers with what `answer` says, when `may_answer` is set; `asked` are the requests."""

    def __init__(self, fleet, issuers, port=None):
        self.status, self.body, self.headers = 200, jwks(*issuers).encode(), ""
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.backend = fleet.backend(self.script, port)
        self.uri = f"http://{self.backend.address}/jwks"

    def script(self, connection):
        while connection.read_request():
            self.may_answer.wait(30)
            connection.send(f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.body)}\r\n{self.headers}\r\n".encode() + self.body)

    @property
    def asked(self):
        return self.backend.requests


def test_each_algorithm(fleet):
    """Signed by another library than the one that verifies."""
    issuers = [Issuer(f"k-{algorithm}", algorithm) for algorithm in ALGORITHMS]
    hop, backend = beside(fleet, tokens({"file": str(fleet.write("keys", jwks(*issuers)))}))
    for issuer in issuers:
        assert ask(hop, issuer.token()).status == 200, issuer.algorithm
        stranger = Issuer(issuer.kid, issuer.algorithm)
        refused = ask(hop, stranger.token())
        assert refused.status == 401 and refused.header("www-authenticate") == 'Bearer error="invalid_token", error_description="wrong signature"'
    assert len(backend.requests) == len(issuers)
    assert hop.figure("outrigger_tokens_verified_total") == 2 * len(issuers)


def test_what_is_refused_and_how_it_is_told(fleet):
    issuer = Issuer()
    hop, backend = beside(fleet, tokens({"file": str(fleet.write("keys", jwks(issuer)))}, provider={"audiences": ["api"], "clockSkew": "5s"}, required=True))
    assert ask(hop, issuer.token(aud="api")).status == 200
    none = b64(b'{"alg":"none"}') + "." + b64(json.dumps({"iss": "https://id.example", "aud": "api", "exp": 4000000000}).encode()) + "."
    cases = {"no token": None, "malformed": none, "expired": issuer.token(-10, aud="api"), "wrong audience": issuer.token(aud="web"), "wrong issuer": issuer.token(iss="https://evil.example"),
             "not yet valid": issuer.token(aud="api", nbf=4000000000), "never expires": issuer.token(aud="api", exp=None),
             "unknown key": Issuer("k2").token(aud="api"), "algorithm not taken": none + "AA"}
    for reason, token in cases.items():
        refused = ask(hop, token)
        assert refused.status == 401, reason
        challenge = "Bearer" if token is None else f'Bearer error="invalid_token", error_description="{reason}"'
        assert refused.header("www-authenticate") == challenge
        assert f"unauthenticated: {reason}" in json.loads(refused.body)["detail"]
        line = hop.logged(end="unauthenticated", detail=reason)
        assert line["policy"] == "AuthenticationPolicy/default/t: main" and line["status"] == 401
    assert len(backend.requests) == 1
    assert hop.figure("outrigger_policy_refusals_total", policy="AuthenticationPolicy/default/t", rule="main", mode="enforce") == len(cases)


def test_claims_reach_the_application_and_nobody_can_send_them(fleet):
    issuer = Issuer(algorithm="EdDSA")
    hop, backend = beside(fleet, tokens({"file": str(fleet.write("keys", jwks(issuer)))}, provider={"claimsToHeaders": HEADERS}))
    spoofed = {"x_user_id": "root", "X-ROLES": "root"}
    assert ask(hop, issuer.token(sub="ann", realm={"roles": ["a", "b"]}), **spoofed).status == 200
    told = backend.requests[-1]
    assert told.values("x-user-id") == ["ann"] and told.values("x-roles") == ["a,b"] and told.header("authorization").startswith("Bearer ey")
    raw = "GET / HTTP/1.1\r\nHost: api\r\nx_user_id: root\r\nX-User-Id: root\r\n\r\n"
    assert exchange(hop.inbound["inbound"], raw).status == 200
    assert not [name for name, _ in backend.requests[-1].headers if name.lower().replace("_", "-") == "x-user-id"]


def test_a_file_of_keys_is_followed(fleet):
    first, second = Issuer("k1"), Issuer("k2")
    keys = fleet.write("keys", jwks(first))
    hop, _ = beside(fleet, tokens({"file": str(keys)}))
    old, new = first.token(), second.token()
    assert (ask(hop, old).status, ask(hop, new).status) == (200, 401)
    fleet.write("keys", jwks(first, second))
    eventually(lambda: ask(hop, new).status == 200, what="the new key")
    assert ask(hop, old).status == 200
    fleet.write("keys", '{"keys": [{"kty": "RSA"}]}')
    eventually(lambda: "event=config_refused" in hop.process.output(), what="a refused set")
    assert "is no JWK Set: a key of it is malformed" in hop.process.output()
    assert (ask(hop, old).status, ask(hop, new).status) == (200, 200)
    fleet.write("keys", jwks(second))
    eventually(lambda: ask(hop, old).status == 401, what="the old key gone")
    assert ask(hop, new).status == 200


@pytest.mark.parametrize("workers", [1, 3])
def test_those_who_come_first_wait_for_the_keys(fleet, workers):
    """Whichever worker they are of: there is one fetch for all."""
    issuer = Issuer()
    server = Server(fleet, [issuer])
    server.may_answer.clear()
    hop, backend = beside(fleet, tokens({"uri": server.uri, "timeout": "20s"}), workers=workers)
    wires = [Wire(hop.inbound["inbound"]) for _ in range(10)]
    for number, wire in enumerate(wires):
        wire.send(f"GET / HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {issuer.token(sub=str(number))}\r\n\r\n".encode())
    eventually(lambda: hop.figure("outrigger_streams_active") == len(wires) + 1, what="all wait, and the fetch is under way")
    for gone in (wires.pop(0), wires.pop()):
        gone.break_off()
    hop.logged(2, end="client_gone")
    assert ask(hop, "nonsense").status == 401 and not backend.requests
    server.may_answer.set()
    assert [wire.response().status for wire in wires] == [200] * len(wires) and len(server.asked) == 1
    assert server.asked[0].target == "/jwks" and server.asked[0].values("authorization") == []
    assert hop.figure("outrigger_jwks_fetches_total", result="ok") == 1
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_key_is_rotated(fleet, workers):
    """One that is unknown is asked for, ten seconds after the last time; then the one before is good no more."""
    first, second = Issuer("k1"), Issuer("k2")
    server = Server(fleet, [first])
    hop, _ = beside(fleet, tokens({"uri": server.uri}), workers=workers)
    old, new = first.token(), second.token()
    assert ask(hop, old).status == 200
    server.body = jwks(second).encode()
    eventually(lambda: ask(hop, new).status == 200, timeout=60, what="the new key")
    assert [ask(hop, token).status for token in [old, new] * workers] == [401, 200] * workers, "all workers go by what one has fetched"
    assert len(server.asked) == 2


@pytest.mark.parametrize("how", ["dead", "failing", "lying", "moved", "endless"])
def test_threat_31_without_keys_no_token_is_good(fleet, how):
    issuer = Issuer()
    port = take_port()
    if how == "dead":
        uri = f"http://127.0.0.1:{port}/jwks"
    else:
        server = Server(fleet, [issuer], port)
        uri = server.uri
        server.status = {"failing": 500, "moved": 302}.get(how, 200)
        server.headers = f"Location: {uri}/more\r\n" if how == "moved" else ""
        server.body = {"lying": b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA"}]}', "endless": b" " * (1 << 20)}.get(how, server.body)
    hop, backend = beside(fleet, tokens({"uri": uri, "timeout": "1s"}), workers=1)
    refused = ask(hop, issuer.token())
    assert refused.status == 401 and refused.header("www-authenticate") == "Bearer"
    assert hop.logged(end="unauthenticated")["detail"] == "there are no keys to verify it with"
    assert ask(hop).status == 200 and len(backend.requests) == 1  # who shows none is as before
    assert hop.figure("outrigger_jwks_fetches_total", result="failed") >= 1 and "event=jwks_failed" in hop.process.output()
    if how == "dead":
        Server(fleet, [issuer], port)
    else:
        server.status, server.headers, server.body = 200, "", jwks(issuer).encode()
    eventually(lambda: ask(hop, issuer.token()).status == 200, what="the issuer back")


def test_keys_over_https_by_the_systems_authorities(fleet):
    issuer = Issuer()
    body = jwks(issuer).encode()
    origin = Origin(fleet, reply(200, body), names=("localhost",))
    port = origin.address.rsplit(":", 1)[1]
    policy = tokens({"uri": f"https://localhost:{port}/keys?v=1", "timeout": "10s"})
    hop, _ = beside(fleet, policy, environment={"SSL_CERT_FILE": str(origin.bundle())}, workers=1)
    assert ask(hop, issuer.token()).status == 200
    assert origin.asked == ["localhost"] and origin.backend.requests[0].target == "/keys?v=1"
    assert f"https://localhost:{port}" in {row["service"] for row in hop.page("/clusters")}
    stranger = Origin(fleet, reply(200, body), names=("other.example",), authority=origin.authority)
    policy["spec"]["jwt"][0]["jwks"]["uri"] = f"https://localhost:{stranger.address.rsplit(':', 1)[1]}/keys"
    hop.reload()
    assert ask(hop, issuer.token()).status == 401  # the name of another
    assert hop.figure("outrigger_jwks_fetches_total", result="failed") >= 1


TIERS = [{"name": "free", "limits": [{"requests": 2, "per": "1h"}]}, {"name": "premium", "limits": [{"requests": 5, "per": "1h"}]}]


def passed(hop, *args, **fields):
    return sum(ask(hop, *args, **fields).status == 200 for _ in range(8))


def test_limits_and_tiers_by_what_a_token_says(fleet):
    issuer = Issuer()
    limits = document("RateLimitPolicy", "l", rules=[{"name": "plan", "key": [{"type": "JWTClaim", "name": "sub"}],
                                                       "tier": {"from": {"type": "JWTClaim", "name": "plan"}, "default": "free"}, "tiers": TIERS}])
    hop, _ = beside(fleet, tokens({"file": str(fleet.write("keys", jwks(issuer)))}), limits)
    assert passed(hop, issuer.token(sub="ann", plan="premium")) == 5
    assert passed(hop, issuer.token(sub="bob", plan="no such")) == 2
    assert passed(hop, issuer.token(sub="ann", plan="premium", n=1)) == 0
    assert passed(hop) == 2  # all who have no token
    assert hop.logged(end="rate_limited")["policy"] == "RateLimitPolicy/default/l: plan"


def test_a_tier_by_a_header_that_a_token_makes_cannot_be_claimed(fleet):
    issuer = Issuer()
    limits = document("RateLimitPolicy", "l", rules=[{"name": "plan", "key": [{"type": "Header", "name": "x-user-id"}],
                                                       "tier": {"from": {"type": "Header", "name": "x-tier"}, "default": "free"}, "tiers": TIERS}])
    provider = {"claimsToHeaders": [*HEADERS, {"claim": "plan", "header": "x-tier"}]}
    hop, _ = beside(fleet, tokens({"file": str(fleet.write("keys", jwks(issuer)))}, provider=provider), limits)
    assert passed(hop, x_tier="premium", x_user_id="me") == 2
    assert passed(hop, issuer.token(sub="ann", plan="premium"), x_tier="free") == 5


def test_tiers_by_a_table_of_keys(fleet):
    table = fleet.write("plans.map", "k1 premium\n")
    limits = document("RateLimitPolicy", "l", rules=[{"name": "plan", "key": [{"type": "Header", "name": "x-api-key"}],
                                                       "tier": {"from": {"type": "KeyTable", "file": str(table)}, "default": "free"}, "tiers": TIERS}])
    hop, _ = beside(fleet, limits)
    assert (passed(hop, x_api_key="k1"), passed(hop, x_api_key="k2")) == (5, 2)
    fleet.write("plans.map", "k1 premium\nk3 premium\n")
    before = hop.worker_generation()
    eventually(lambda: hop.worker_generation() > before, what="the new table")
    assert (passed(hop, x_api_key="k3"), passed(hop, x_api_key="k1")) == (5, 0)


def test_a_dry_run(fleet):
    issuer = Issuer()
    policy = tokens({"file": str(fleet.write("keys", jwks(issuer)))}, provider={"claimsToHeaders": HEADERS}, mode="DryRun", required=True)
    hop, backend = beside(fleet, policy)
    assert ask(hop, "nonsense", x_user_id="root").status == 200 and backend.requests[-1].header("x-user-id") == "root"
    assert ask(hop).status == 200
    assert len(hop.logged(2, dry_run="AuthenticationPolicy/default/t: main: unauthenticated")) == 2
    assert ask(hop, issuer.token(sub="ann")).status == 200 and backend.requests[-1].header("x-user-id") is None
    assert hop.figure("outrigger_policy_refusals_total", policy="AuthenticationPolicy/default/t", mode="dry_run") == 2


def test_the_example(fleet):
    """docs/examples/tokens as it stands, but for its addresses and keys."""
    staff, customers = Issuer("2026-1", name="https://staff.example"), Issuer("c1", "EdDSA", name="https://id.example")
    server = Server(fleet, [customers])
    _, *documents = yaml.safe_load_all((EXAMPLE / "proxy.yaml").read_text(encoding="utf-8"))
    text = json.dumps(documents).replace("https://id.example/.well-known/jwks.json", server.uri)
    fleet.write("hop/keys.jwks", jwks(staff))
    fleet.write("hop/plans.map", (EXAMPLE / "plans.map").read_text(encoding="utf-8"))
    hop, backend = beside(fleet, *json.loads(text))
    assert ask(hop).status == 401
    assert ask(hop, staff.token(aud="api", sub="s", realm_access={"roles": ["ops"]})).status == 200
    assert backend.requests[-1].values("x-roles") == ["ops"]
    assert sum(ask(hop, customers.token(sub="c"), path="/reports", x_api_key="k-0815").status == 200 for _ in range(12)) == 10
    assert sum(ask(hop, customers.token(sub="d", plan="premium"), path="/reports", x_api_key="k-new").status == 200 for _ in range(7)) == 5
