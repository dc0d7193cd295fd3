# presets: dev release
"""AuthorizationPolicy as users see it: between two sidecars, beside an application with two Services, on opaque TCP, at a gateway; what is told in replies, log, metrics and explanations."""

import pathlib
import urllib.parse

import pytest
import yaml

from support.authorize import POLICY, authorize, get, rule
from support.edge import Edge
from support.hop import Hop, service
from support.opaque import Raw, echo_bytes, tcp_listener
from support.pair import CALLER, Identity, Pair
from support.routes import backends, path, route, to_gateway
from support.test_ca import Authority, spiffe_id

EXAMPLE = pathlib.Path(__file__).parents[2] / "docs/examples/authorization/proxy.yaml"


def frontend_only(**more):
    return rule("frontend", **{"from": [{"serviceAccounts": [{"namespace": "school", "name": "frontend"}]}]}, **more)


def guarded_pair(fleet, *policies, **options):
    """Two sidecars, the far one with policies for its Service `app`."""
    pair = Pair(fleet, fleet.backend().address, far={"service": "app", "policies": policies}, **options)
    return pair


def test_callers_are_known_by_their_certificates(fleet):
    pair = guarded_pair(fleet, authorize("readers", "Allow", frontend_only(matches=[{"method": "GET", "path": {"value": "/courses"}}])))
    assert get(pair.address, "/courses/1").status == 200
    refused = get(pair.address, "/courses/1", "PUT")
    assert refused.status == 403
    line = pair.far.logged(end="denied")
    assert (line["policy"], line["status"], line["peer_identity"]) == (f"{POLICY}/default/readers: no rule", 403, CALLER)
    assert line["detail"] == f"{CALLER}: no Allow matches: {POLICY}/default/readers"
    near = pair.near.logged(status=403)
    assert near["attempts"] == 1  # a decision is not tried again
    assert pair.far.figure("outrigger_policy_refusals_total", policy=f"{POLICY}/default/readers", rule="no rule", mode="enforce") == 1
    assert pair.far.figure("outrigger_request_ends_total", end="denied") == 1


def test_a_deny_goes_before_an_allow_and_says_so(fleet):
    pair = guarded_pair(fleet, authorize("all", "Allow", rule("all", matches=[{}])), authorize("admin", "Deny", frontend_only(matches=[{"path": {"value": "/admin"}}])))
    assert get(pair.address, "/").status == 200
    refused = get(pair.address, "/admin/x")
    assert refused.status == 403 and b"denied" in refused.body
    assert pair.far.logged(end="denied")["policy"] == f"{POLICY}/default/admin: frontend"


def test_another_service_account_is_another_caller(fleet):
    authority = Authority()
    inbound = {"in": {"forwardTo": fleet.backend().address, "mtls": {"mode": "Strict"}}}
    far = Hop(fleet, name="far", inbound=inbound, outbound=False, identity=Identity(fleet, "far", spiffe_id("school", "courses"), authority).spec, service="app",
              policies=[authorize("a", "Allow", rule("dotted", **{"from": [{"serviceAccounts": [{"namespace": "school", "name": "sa.name"}]}]}))])
    expected = {"sa.name": 200, "saXname": 403, "sa.name.x": 403, "sa": 403}
    for name, status in expected.items():
        callee = service("backend", [far.inbound["in"]], tls={"mode": "Mesh"}, identities=[spiffe_id("school", "courses")])
        near = Hop(fleet, [callee], name=f"near-{name.lower()}", identity=Identity(fleet, f"near-{name}", spiffe_id("school", name), authority).spec)
        assert get(near.address).status == status, name


def test_a_dry_run_is_told_and_refuses_nothing(fleet):
    pair = guarded_pair(fleet, authorize("trial", "Deny", frontend_only(matches=[{"path": {"value": "/x"}}]), mode="DryRun"),
                        authorize("closed", "Allow", rule("x", matches=[{"path": {"value": "/x"}}]), mode="DryRun"))
    assert get(pair.address, "/x").status == 200
    assert get(pair.address, "/y").status == 200
    assert pair.far.logged(path="/x")["dry_run"] == f"{POLICY}/default/trial: frontend: denied"
    assert pair.far.logged(path="/y")["dry_run"] == f"{POLICY}/default/closed: no rule: denied"
    assert pair.far.figure("outrigger_policy_refusals_total", mode="dry_run") == 2
    assert pair.far.figure("outrigger_policy_refusals_total", mode="enforce") == 0


@pytest.mark.parametrize("policy, passes", [
    (authorize("a", "Allow", frontend_only()), True),
    (authorize("a", "Allow", frontend_only(matches=[{}])), False),
    (authorize("a", "Allow", rule("other", **{"from": [{"namespaces": ["elsewhere"]}]})), False),
    (authorize("a", "Deny", rule("put", matches=[{"method": "PUT"}])), False),
    (authorize("a", "Deny", rule("other", **{"from": [{"namespaces": ["elsewhere"]}]}, matches=[{"method": "PUT"}])), True),
], ids=["by identity", "about requests", "another's", "Deny about requests", "Deny of another"])
def test_opaque_tcp_between_two_proxies(fleet, policy, passes):
    listener = tcp_listener("backend")
    pair = Pair(fleet, fleet.backend(echo_bytes).address, protocol="TCP", near={"listeners": [listener], "outbound": False}, far={"service": "app", "policies": [policy]})
    with Raw(listener["address"]) as client:
        if passes:
            assert client.send(b"hello").exactly(5) == b"hello"
            return
        client.send(b"hello")
        try:
            assert client.rest() == b""
        except ConnectionError:
            pass
    assert pair.far.logged(end="denied")["policy"].startswith(f"{POLICY}/default/a: ")


def test_every_service_of_the_application_counts(fleet):
    """Two Services on one port: what is for either is for the application, by whatever Host it is asked."""
    hop = Hop(fleet, inbound={"in": {"forwardTo": fleet.backend().address}}, outbound=False, services=[], policies=[
        authorize("one", "Deny", rule("a", matches=[{"path": {"value": "/a"}}]), target="one"),
        authorize("two", "Deny", rule("b", matches=[{"path": {"value": "/b"}}]), target="two")], start=False)
    hop.proxy["spec"]["services"] = [{"name": "one", "port": 80}, {"name": "two", "port": 80}]
    hop.start()
    for host in ("one", "two", "elsewhere.example"):
        assert [get(hop.inbound["in"], target, host=host).status for target in ("/a", "/b", "/c")] == [403, 403, 200], host


def test_at_a_gateway_by_address_and_route(fleet):
    edge = Edge(fleet, [service("app", [fleet.backend().address])], [{}],
                route("app", [to_gateway()], {"matches": [path("/open")], "backendRefs": backends("app")}),
                route("inner", [to_gateway()], {"matches": [path("/inner")], "backendRefs": backends("app")}),
                authorize("inner", "Allow", rule("office", **{"from": [{"addresses": ["10.0.0.0/8"]}]}), target="inner", kind="HTTPRoute"),
                authorize("all", "Deny", rule("trace", matches=[{"path": {"value": "/open/secret"}}]), target="edge", kind="Gateway"),
                trustedProxies=["127.0.0.0/8"])
    assert [get(edge.address, target).status for target in ("/open", "/open/secret", "/inner")] == [200, 403, 403]
    assert get(edge.address, "/inner", x_forwarded_for="10.1.2.3").status == 200
    assert get(edge.address, "/inner", x_forwarded_for="11.1.2.3").status == 403
    refused = get(edge.address, "/inner")
    assert refused.header("proxy-status") is None  # who asks from outside learns nothing of policies by it
    assert "without an identity" in edge.hop.logged(3, end="denied", path="/inner")[0]["detail"]


def test_documents_that_are_read_anew_hold(fleet):
    hop = Hop(fleet, inbound={"in": {"forwardTo": fleet.backend().address}}, outbound=False, service="app", policies=[authorize("a", "Allow", rule("x", matches=[{"path": {"value": "/x"}}]))])
    assert [get(hop.inbound["in"], target).status for target in ("/x", "/y")] == [200, 403]
    hop.documents[-1] = authorize("a", "Allow", rule("y", matches=[{"path": {"value": "/y"}}]))
    hop.reload()
    assert [get(hop.inbound["in"], target).status for target in ("/x", "/y")] == [403, 200]


def explained(hop, **query):
    page = hop.page("/explain?" + urllib.parse.urlencode(query))
    return [step for step in page["filters"] if step["filter"] == "authorization"]


def test_explain_names_the_document_and_rule(fleet):
    hop = Hop(fleet, inbound={"in": {"forwardTo": fleet.backend().address}}, outbound=False, service="app", policies=[
        authorize("a", "Allow", rule("read", matches=[{"method": "GET"}])), authorize("d", "Deny", rule("admin", matches=[{"path": {"value": "/admin"}}])),
        authorize("t", "Deny", rule("trial", matches=[{"path": {"value": "/x"}}]), mode="DryRun")])
    (step,) = explained(hop, listener="in", host="app", path="/y")
    assert (step["outcome"], step["policy"], step["rule"]) == ("passes", f"{POLICY}/default/a", "read")
    (step,) = explained(hop, listener="in", host="app", path="/admin")
    assert (step["outcome"], step["policy"], step["rule"], step["end"]) == ("refuses", f"{POLICY}/default/d", "admin", "denied")
    real, trial = explained(hop, listener="in", host="app", path="/x")
    assert (real["outcome"], trial["outcome"], trial["policy"], trial["rule"]) == ("passes", "would refuse", f"{POLICY}/default/t", "trial")
    assert hop.figure("outrigger_policy_refusals_total") == 0


def test_explain_knows_who_would_ask(fleet):
    pair = guarded_pair(fleet, authorize("a", "Allow", frontend_only()))
    assert [explained(pair.far, **{"listener": "in", "as": caller})[0]["outcome"] for caller in (CALLER, CALLER + "x", CALLER.replace("school.local", "other.local"))] == \
        ["passes", "refuses", "refuses"]


def test_the_example(fleet):
    """docs/examples/authorization as it stands, but for its addresses and files."""
    proxy, *documents = yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8"))
    authority = Authority()
    far = Hop(fleet, documents, name="far", inbound={"in": {"forwardTo": fleet.backend().address, "mtls": {"mode": "Strict"}}}, outbound=False,
              identity=Identity(fleet, "far", spiffe_id("school", "progress"), authority).spec, service=proxy["spec"]["service"], start=False)
    far.proxy["metadata"] = proxy["metadata"]
    far.start()
    callee = service("progress", [far.inbound["in"]], tls={"mode": "Mesh"}, identities=[spiffe_id("school", "progress")])
    asked = {"frontend": {"/progress/1": 200, "/progress/private/1": 200, "/health": 200, "/other": 403, "/admin": 200}, "stranger": {"/progress/1": 403, "/health": 200}}
    for name, targets in asked.items():
        near = Hop(fleet, [callee], name=f"near-{name}", identity=Identity(fleet, f"near-{name}", spiffe_id("school", name), authority).spec)
        assert {target: get(near.address, target, host="progress").status for target in targets} == targets, name
        assert get(near.address, "/health", host="progress", x_client_version="1").status == 403
    assert far.logged(path="/progress/private/1")["dry_run"] == f"{POLICY}/school/stricter: frontend: denied"
