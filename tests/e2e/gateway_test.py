"""The gateway role: listeners and hosts of a Gateway document, which routes attach, what is believed of clients from outside, what they are told."""
# presets: dev

import json

import grpc
import pytest

from support.backend import echo, reply
from support.edge import Edge
from support.grpc_echo import GrpcClient
from support.h2_peer import h2_server
from support.hop import Hop, service
from support.pair import CALLEE, CALLER, Identity
from support.routes import backends, grant, path, route, to_gateway
from support.test_ca import Authority
from support.wire import exchange


def ask(edge, host, target="/", **fields):
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return exchange(edge.address, f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")


def answer(edge, host, target="/"):
    response = ask(edge, host, target)
    return response.body.decode() if response.status == 200 else response.status


def services(fleet, *names):
    return [service(name, [fleet.backend(reply(200, name.encode())).address]) for name in names]


def to(name, *hosts, target="/", parent=None, route_name=None):
    return route(route_name or f"to-{name}", [parent or to_gateway()], {"matches": [path(target)], "backendRefs": backends(name)}, **({"hostnames": list(hosts)} if hosts else {}))


def test_HTTPRouteSimpleSameNamespace(fleet):
    edge = Edge(fleet, services(fleet, "v1"), [{}], to("v1"))
    assert answer(edge, "any.example") == "v1"
    line = edge.hop.logged(1)
    assert (line["direction"], line["listener"], line["service"], line["route"]) == ("gateway", "edge", "default/v1:80", "HTTPRoute/default/to-v1: rule 1")


def test_HTTPRouteHostnameIntersection(fleet):
    listeners = [{"name": "one", "hostname": "very.specific.com"}, {"name": "two", "hostname": "*.wildcard.io"}, {"name": "three", "hostname": "*.anotherwildcard.io"}]
    edge = Edge(fleet, services(fleet, "v1", "v2", "v3"), listeners,
                to("v1", "non.matching.com", "*.nonmatchingwildcard.io", "very.specific.com", target="/s1"),
                to("v2", "non.matching.com", "wildcard.io", "foo.wildcard.io", "bar.wildcard.io", "foo.bar.wildcard.io", target="/s2"),
                to("v3", "non.matching.com", "*.specific.com", "*.anotherwildcard.io", target="/s3"))
    assert answer(edge, "very.specific.com", "/s1") == "v1" and answer(edge, "very.specific.com", "/s3") == "v3"
    for host in ("foo.wildcard.io", "bar.wildcard.io", "foo.bar.wildcard.io"):
        assert answer(edge, host, "/s2") == "v2", host
    for host in ("one.anotherwildcard.io", "one.two.anotherwildcard.io"):
        assert answer(edge, host, "/s3") == "v3", host
    for host, target in (("non.matching.com", "/s1"), ("foo.nonmatchingwildcard.io", "/s1"), ("very.specific.com", "/s2"), ("wildcard.io", "/s2"), ("a.wildcard.io", "/s2"),
                         ("anotherwildcard.io", "/s3"), ("other.specific.com", "/s3")):
        assert answer(edge, host, target) == 404, (host, target)


def test_HTTPRouteListenerHostnameMatching(fleet):
    listeners = [{"name": "one", "hostname": "bar.com"}, {"name": "two", "hostname": "foo.bar.com"}, {"name": "three", "hostname": "*.bar.com"}, {"name": "four", "hostname": "*.foo.com"}]
    routes = [to("v1", parent=to_gateway(sectionName="one")), to("v2", parent=to_gateway(sectionName="two")),
              route("to-v3", [to_gateway(sectionName="three"), to_gateway(sectionName="four")], {"backendRefs": backends("v3")})]
    edge = Edge(fleet, services(fleet, "v1", "v2", "v3"), listeners, *routes)
    for host, wanted in (("bar.com", "v1"), ("BAR.com", "v1"), ("foo.bar.com", "v2"), ("baz.bar.com", "v3"), ("boo.bar.com", "v3"), ("multiple.prefixes.bar.com", "v3"),
                         ("multiple.prefixes.foo.com", "v3"), ("foo.com", 404), ("no.matching.host", 404)):
        assert answer(edge, host) == wanted, host


def test_the_more_specific_host_goes_first_and_the_others_fill_what_it_leaves(fleet):
    edge = Edge(fleet, services(fleet, "v1", "v2", "v3"), [{}], to("v1", "a.example.com", target="/a"), to("v2", "*.example.com", target="/"), to("v3", target="/other"))
    assert answer(edge, "a.example.com", "/a") == "v1" and answer(edge, "a.example.com", "/x") == "v2" and answer(edge, "b.example.com", "/other") == "v2"
    assert answer(edge, "elsewhere", "/other") == "v3" and answer(edge, "elsewhere", "/a") == 404


def test_HTTPRouteCrossNamespace_and_allowed_kinds(fleet):
    far = to("v1")
    far["metadata"]["namespace"] = "far"
    far["spec"]["parentRefs"][0]["namespace"] = "default"
    far["spec"]["rules"][0]["backendRefs"][0]["namespace"] = "default"
    same = Edge(fleet, services(fleet, "v1"), [{}], far)
    assert answer(same, "x") == 404
    every = Edge(fleet, services(fleet, "v1"), [{"allowedRoutes": {"namespaces": {"from": "All"}}}], far, grant("default", ("HTTPRoute", "far"), ("Service", "v1")), name="every")
    assert answer(every, "x") == "v1"
    grpc = Edge(fleet, services(fleet, "v1"), [{"allowedRoutes": {"kinds": [{"kind": "GRPCRoute"}]}}], to("v1"), name="grpc")
    assert answer(grpc, "x") == 404


def test_HTTPRouteRedirectPort_is_that_of_the_listener(fleet):
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "example.org"}}
    edge = Edge(fleet, services(fleet, "v1"), [{}], route("r", [to_gateway()], {"filters": [redirect]}))
    port = edge.address.rpartition(":")[2]
    assert ask(edge, "some.example").header("location") == f"http://example.org:{port}/"


def test_what_the_mesh_tells_each_other_is_not_believed_from_outside(fleet):
    seen = fleet.backend(echo)
    sent = {"x_tier": "premium", "X_Priority": "critical", "x_tenant_id": "acme", "x_debug": "1", "x_debug_why": "1", "x_request_timeout_ms": "5000", "x_forwarded_client_cert": "By=me",
            "outrigger_refused": "draining", "outrigger_protocol": "2", "x_forwarded_for": "1.2.3.4", "x_forwarded_proto": "https", "x_forwarded_host": "evil", "x_other": "stays"}
    edge = Edge(fleet, [service("v1", [seen.address])], [{}], to("v1"))
    assert ask(edge, "shop.example", **sent).status == 200
    request = seen.requests[-1]
    for name in ("x-tier", "x-priority", "x-tenant-id", "x-debug", "x-debug-why", "x-forwarded-client-cert", "outrigger-refused", "outrigger-protocol", "x-request-timeout-ms"):
        assert request.values(name) == [], name
    assert request.values("x-forwarded-for") == ["127.0.0.1"] and request.values("x-forwarded-proto") == ["http"]
    assert request.values("x-forwarded-host") == ["shop.example"] and request.values("x-other") == ["stays"]


def test_trusted_headers_are_believed(fleet):
    seen = fleet.backend(echo)
    edge = Edge(fleet, [service("v1", [seen.address])], [{}], to("v1"), edge={"trustHeaders": ["X-Tier", "x-forwarded-for", "x-forwarded-proto"]})
    assert ask(edge, "shop.example", x_tier="premium", x_forwarded_for="1.2.3.4", x_forwarded_proto="https", x_priority="critical").status == 200
    request = seen.requests[-1]
    assert request.values("x-tier") == ["premium"] and request.values("x-priority") == []
    assert request.values("x-forwarded-for") == ["1.2.3.4, 127.0.0.1"] and request.values("x-forwarded-proto") == ["https"]


def test_no_spelling_and_no_place_lets_a_client_speak_for_the_mesh(fleet):
    seen = fleet.backend(echo)
    edge = Edge(fleet, [service("v1", [seen.address])], [{}], to("v1"))
    forged = {"Forwarded": "for=10.0.0.1;proto=https", "X-Real-IP": "10.0.0.1", "X-Forwarded-Port": "443", "x_tenant_id": "acme", "X_Forwarded_For": "10.0.0.1", "X-Tier": "premium"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in forged.items())
    request = f"POST / HTTP/1.1\r\nHost: shop.example\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n{lines}\r\n0\r\n{lines}X-Sum: 7\r\n\r\n"
    assert exchange(edge.address, request, "POST").status == 200
    names = {name.lower() for name, _ in seen.requests[-1].headers}
    assert not names & {name.lower() for name in forged} and seen.requests[-1].values("x-forwarded-for") == ["127.0.0.1"]
    assert seen.requests[-1].trailers == [["X-Sum", "7"]] or seen.requests[-1].trailers == [("X-Sum", "7")]


def test_each_balancer_before_it_stays_in_the_list(fleet):
    """Some add a line of their own instead of adding to the one there is."""
    seen = fleet.backend(echo)
    edge = Edge(fleet, [service("v1", [seen.address])], [{}], to("v1"), edge={"trustHeaders": ["x-forwarded-for"]})
    request = "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
    assert exchange(edge.address, request).status == 200
    assert seen.requests[-1].values("x-forwarded-for") == ["6.6.6.6, 203.0.113.9, 127.0.0.1"]


@pytest.mark.parametrize("listener", [{}, {"hostname": "a.example.com"}, {"hostname": "*.example.com"}])
def test_the_very_host_goes_before_what_is_for_more(fleet, listener):
    """Also where the listener has that host alone: a route for more does not come nearer by it, however exact its path."""
    edge = Edge(fleet, services(fleet, "guard", "wide", "all"), [listener], to("guard", "a.example.com"),
                route("a-wide", [to_gateway()], {"matches": [path("/admin", "Exact")], "backendRefs": backends("wide")}, hostnames=["*.example.com"]),
                route("a-all", [to_gateway()], {"matches": [path("/admin", "Exact")], "backendRefs": backends("all")}))
    assert answer(edge, "a.example.com", "/admin") == "guard"
    assert answer(edge, "b.example.com", "/admin") == ("wide" if listener.get("hostname") != "a.example.com" else 404)


@pytest.mark.parametrize("value, found", [("shop.example:80", True), ("SHOP.example", True), ("shop.example:443", False), ("shop.example:8080", False)])
def test_a_match_on_host_knows_the_port_of_its_scheme(fleet, value, found):
    rule = {"matches": [{"headers": [{"name": "host", "value": value}]}], "backendRefs": backends("v1")}
    edge = Edge(fleet, services(fleet, "v1"), [{}], route("r", [to_gateway()], rule))
    assert answer(edge, "shop.example") == ("v1" if found else 404)


def test_a_gateway_keeps_to_itself_why(fleet):
    documents = [service("v1", ["127.0.0.1:1"])]
    quiet = Edge(fleet, documents, [{}], to("v1"))
    response = ask(quiet, "shop.example")
    assert response.status == 502 and response.header("proxy-status") is None
    assert json.loads(response.body)["detail"] == "connect_refused" and quiet.hop.logged(1)["detail"] != ""
    open_one = Edge(fleet, documents, [{}], to("v1"), name="open", edge={"proxyStatus": True})
    assert "connect_refused" in ask(open_one, "shop.example").header("proxy-status")


def test_what_proxies_behind_say_of_themselves_stays_inside(fleet):
    """Proxy-Status of whoever stands behind, and what a sidecar's refusal tells: the gateway says it in its own words."""
    authority = Authority()
    callee, caller = Identity(fleet, "callee", CALLEE, authority), Identity(fleet, "caller", CALLER, authority)
    backend = fleet.backend(reply(200, b"ok", [("Proxy-Status", "inner; details=10.0.0.7")]))
    far = Hop(fleet, name="far", inbound={"in": {"forwardTo": backend.address, "mtls": {"mode": "Strict"}}}, outbound=False, identity=callee.spec, limits={"urlBytes": 128})
    documents = [service("v1", [far.inbound["in"]], tls={"mode": "Mesh"}, identities=[CALLEE])]
    long = "/" + "x" * 200
    quiet = Edge(fleet, documents, [{}], to("v1"), identity=caller.spec)
    assert ask(quiet, "shop.example").header("proxy-status") is None
    refused = ask(quiet, "shop.example", long)
    assert (refused.status, refused.header("proxy-status"), json.loads(refused.body)["detail"]) == (414, None, "uri_too_long")
    assert refused.header("outrigger-refused") is None
    line = quiet.hop.logged(1, status=414)
    assert (line["end"], line["detail"], line["attempts"]) == ("uri_too_long", far.inbound["in"], 1)
    open_one = Edge(fleet, documents, [{}], to("v1"), name="open", identity=caller.spec, edge={"proxyStatus": True})
    assert ask(open_one, "shop.example").header("proxy-status") == "inner; details=10.0.0.7"
    assert "uri_too_long" in ask(open_one, "shop.example", long).header("proxy-status")


def test_a_call_that_breaks_tells_no_address(fleet):
    def answer(server, request):
        server.send_head(request.stream, [(":status", "200"), ("content-type", "application/grpc")])
        server.send_body(request.stream, b"\0\0\0\0\x07message", end=False)
        server.connection.end()
    edge = Edge(fleet, [service("v1", [fleet.backend(h2_server(answer)).address], protocol="GRPC")], [{}], route("calls", [to_gateway()], {"backendRefs": backends("v1")}, kind="GRPCRoute"))
    with GrpcClient(edge.address, "shop.example") as client:
        call = client.down(b"1")
        assert next(call) == b"message"
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, "response_incomplete")


def test_a_policy_may_be_for_a_gateway_or_a_listener(fleet):
    silent = fleet.backend(lambda connection: connection.wait_for_end())
    policy = {"apiVersion": "outrigger.dev/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": "slow"},
              "spec": {"targetRefs": [{"kind": "Gateway", "name": "edge", "sectionName": "http"}], "timeouts": {"request": "100ms"}}}
    edge = Edge(fleet, [service("v1", [silent.address])], [{}], to("v1"), policy)
    assert ask(edge, "x").status == 504 and edge.hop.logged(1)["policy"].startswith("TrafficPolicy/default/slow")


def test_limits_hold_at_the_edge(fleet):
    edge = Edge(fleet, services(fleet, "v1"), [{}], to("v1"), limits={"urlBytes": 256, "bodyBytes": 1000, "headerTimeout": "200ms"})
    assert ask(edge, "x", "/" + "a" * 300).status == 414
    large = exchange(edge.address, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n" + "a" * 2000)
    assert large.status == 413
    assert exchange(edge.address, "GET / HTTP/1.1\r\nHost: x\r\nSlow").status == 408
