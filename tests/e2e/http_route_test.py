"""HTTPRoutes of services: the rules that Gateway API's conformance tests for HTTPRoute and for meshes hold, under the names of those tests, and what they leave open."""
# presets: dev

import collections

import pytest

from support.backend import echo, reply
from support.edge import Edge
from support.hop import Hop, service, traffic
from support.routes import backends, headers, path, queries, route, to_gateway, to_service
from support.wire import exchange


def ask(hop, target="/", host="svc", method="GET", **fields):
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return exchange(hop.address, f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")


def named(fleet, *names):
    """Services that answer with their own name, and one `svc` that has routes."""
    made = {name: fleet.backend(reply(200, name.encode())) for name in names}
    return made, [service(name, [backend.address]) for name, backend in made.items()]


def hop_of(fleet, names, *routes, policies=(), **more):
    _, services = named(fleet, "svc", *names)
    return Hop(fleet, services, policies=[*routes, *policies], **more)


def body_of(response):
    assert response.status == 200, response
    return response.body.decode()


def test_MeshHTTPRouteMatching(fleet):
    hop = hop_of(fleet, ["v1", "v2"], route("r", "svc", {"matches": [path("/"), headers(version="one")], "backendRefs": backends("v1")},
                                            {"matches": [path("/v2"), headers(version="two")], "backendRefs": backends("v2")}))
    for target, version, wanted in (("/", None, "v1"), ("/example", None, "v1"), ("/", "one", "v1"), ("/v2", None, "v2"), ("/v2/example", None, "v2"), ("/", "two", "v2"),
                                    ("/v2/", None, "v2"), ("/v2example", None, "v1"), ("/foo/v2/example", None, "v1")):
        assert body_of(ask(hop, target, **({"version": version} if version else {}))) == wanted, (target, version)


def test_MeshHTTPRouteSimpleSameNamespace(fleet):
    hop = hop_of(fleet, ["v1"], route("r", "svc", {"backendRefs": backends("v1")}))
    assert body_of(ask(hop)) == "v1"


def test_MeshHTTPRouteQueryParamMatching(fleet):
    hop = hop_of(fleet, ["v1", "v2", "v3"], route("r", "svc", {"matches": [queries(animal="whale")], "backendRefs": backends("v1")},
                                                  {"matches": [queries(animal="dolphin"), queries(animal="dolphin", color="blue")], "backendRefs": backends("v2")},
                                                  {"matches": [queries(ANIMAL="Whale")], "backendRefs": backends("v3")}))
    for target, wanted in (("/?animal=whale", "v1"), ("/?animal=dolphin", "v2"), ("/?animal=dolphin&color=blue", "v2"), ("/?ANIMAL=Whale", "v3"), ("/?animal=whale&color=red", "v1"),
                           ("/?otherparam=irrelevant&animal=whale", "v1"), ("/?x&%61nimal=wh%61le", "v1"), ("/?animal=whale&animal=dolphin", "v1")):
        assert body_of(ask(hop, target)) == wanted, target
    for target in ("/", "/?animal=dog", "/?Animal=whale", "/?animal=dolphin-whale", "/?animal"):
        assert ask(hop, target).status == 404, target


def test_HTTPRouteMatchingAcrossRoutes_and_precedence(fleet):
    exact, longer = route("a", "svc", {"matches": [path("/match/exact", "Exact")], "backendRefs": backends("v1")}), route(
        "b", "svc", {"matches": [path("/match")], "backendRefs": backends("v2")}, {"matches": [path("/match/longer")], "backendRefs": backends("v3")})
    more = route("c", "svc", {"matches": [{"path": {"value": "/match"}, "method": "PATCH"}], "backendRefs": backends("v4")},
                 {"matches": [{"path": {"value": "/match"}, **headers(a="1")}], "backendRefs": backends("v5")},
                 {"matches": [{"path": {"value": "/match"}, **headers(a="1", b="2")}], "backendRefs": backends("v6")},
                 {"matches": [{"path": {"value": "/match"}, **queries(q="1")}], "backendRefs": backends("v7")})
    hop = hop_of(fleet, [f"v{n}" for n in range(1, 8)], exact, longer, more)
    assert body_of(ask(hop, "/match/exact")) == "v1"
    assert body_of(ask(hop, "/match/exact/")) == "v2"
    assert body_of(ask(hop, "/match/longer/x")) == "v3"
    assert body_of(ask(hop, "/match/x")) == "v2"
    assert body_of(ask(hop, "/match", method="PATCH", a="1", b="2")) == "v4"  # a method goes before any number of fields
    assert body_of(ask(hop, "/match", a="1")) == "v5"
    assert body_of(ask(hop, "/match?q=1", a="1", b="2")) == "v6"
    assert body_of(ask(hop, "/match?q=1")) == "v7"
    assert body_of(ask(hop, "/match/longer?q=1", method="PATCH", a="1")) == "v3"  # the longer path goes before all that
    assert ask(hop, "/other").status == 404


def test_HTTPRouteMethodMatching(fleet):
    hop = hop_of(fleet, ["v1", "v2"], route("r", "svc", {"matches": [{"method": "POST"}], "backendRefs": backends("v1")},
                                            {"matches": [{"method": "GET"}], "backendRefs": backends("v2")}))
    assert body_of(ask(hop)) == "v2"
    assert body_of(ask(hop, method="POST", Content_Length="0")) == "v1"
    assert ask(hop, method="PUT", Content_Length="0").status == 404


def test_regular_expressions_match_whole_and_behind_exact(fleet):
    hop = hop_of(fleet, ["v1", "v2", "v3"], route(
        "r", "svc", {"matches": [path("/courses/[0-9]+", "RegularExpression")], "backendRefs": backends("v1")},
        {"matches": [path("/courses/7", "Exact")], "backendRefs": backends("v2")},
        {"matches": [{"headers": [{"type": "RegularExpression", "name": "x-user", "value": "a.*z"}]}], "backendRefs": backends("v3")}))
    assert body_of(ask(hop, "/courses/42?x=1")) == "v1"
    assert body_of(ask(hop, "/courses/7")) == "v2"
    assert ask(hop, "/courses/42/x").status == 404
    assert body_of(ask(hop, "/x", X_User="abcz")) == "v3"
    assert ask(hop, "/x", X_User="abc").status == 404


def test_an_expression_that_takes_too_long_lets_nothing_past(fleet):
    """Neither to the rule whose expression it is nor past it to a further one, which it may guard."""
    hop = hop_of(fleet, ["v1", "v2"], route("r", "svc", {"matches": [path("/(a+)+[bx]", "RegularExpression")], "backendRefs": backends("v1")},
                                            {"matches": [path("/")], "backendRefs": backends("v2")}))
    assert ask(hop, "/" + "a" * 4000).status == 400
    line = hop.logged(1)
    assert (line["end"], line["detail"]) == ("bad_request", "a regular expression of a route takes too much work")
    assert (body_of(ask(hop, "/aab")), body_of(ask(hop, "/aac"))) == ("v1", "v2")


@pytest.mark.parametrize("weights", [{"v1": 70, "v2": 30, "v3": 0}])
def test_MeshHTTPRouteWeight(fleet, weights):
    hop = hop_of(fleet, list(weights), route("r", "svc", {"backendRefs": backends(*weights.items())}), workers=1)
    found = collections.Counter(body_of(ask(hop)) for _ in range(100))
    assert found == {"v1": 70, "v2": 30}


def test_MeshTrafficSplit(fleet):
    hop = hop_of(fleet, ["v1", "v2"], route("r", "svc", {"backendRefs": backends("v1", "v2")}), workers=1)
    found = collections.Counter(body_of(ask(hop)) for _ in range(20))
    assert found == {"v1": 10, "v2": 10}


def test_backends_that_weigh_nothing_get_nothing(fleet):
    hop = hop_of(fleet, ["v1"], route("r", "svc", {"backendRefs": backends(("v1", 0))}))
    assert ask(hop).status == 500
    assert hop.logged(1)["end"] == "backend_invalid"


def test_HTTPRouteInvalidBackendRef(fleet):
    """Its share gets 500, and no more than its share."""
    other = {"group": "storage", "kind": "Bucket", "name": "v1", "port": 80}
    hop = hop_of(fleet, ["v1"], route("r", "svc", {"matches": [path("/half")], "backendRefs": backends("v1", "nobody")},
                                      {"matches": [path("/kind")], "backendRefs": [other]}, {"matches": [path("/none")]},
                                      {"matches": [path("/port")], "backendRefs": backends("v1", port=81)}), workers=1)
    assert collections.Counter(ask(hop, "/half").status for _ in range(20)) == {200: 10, 500: 10}
    assert [ask(hop, target).status for target in ("/kind", "/none", "/port")] == [500, 500, 500]
    assert hop.logged(1, path="/kind")["end"] == "backend_invalid"


def test_HTTPRouteServiceWithoutReadyEndpoints_gets_503(fleet):
    hop = Hop(fleet, [service("svc", ["127.0.0.1:1"]), service("empty", [])], policies=[route("r", "svc", {"backendRefs": backends("empty")})])
    assert ask(hop).status == 503


def test_MeshHTTPRouteRequestHeaderModifier(fleet):
    seen = fleet.backend(echo)
    changes = {"type": "RequestHeaderModifier", "requestHeaderModifier": {
        "set": [{"name": "X-Header-Set", "value": "set"}], "add": [{"name": "X-Header-Add", "value": "added"}], "remove": ["X-Header-Remove", "x-gone"]}}
    own = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-header-set", "value": "by-backend"}]}}
    hop = Hop(fleet, [service("svc", ["127.0.0.1:1"]), service("v1", [seen.address])],
              policies=[route("r", "svc", {"matches": [path("/")], "filters": [changes], "backendRefs": backends("v1")},
                              {"matches": [path("/own")], "filters": [changes], "backendRefs": [{"name": "v1", "port": 80, "filters": [own]}]})])
    ask(hop, "/x", X_Header_Set="mine", X_Header_Add="first", X_Header_Remove="x", X_Gone="1", X_Stays="2")
    request = seen.requests[-1]
    assert request.values("x-header-set") == ["set"] and request.values("x-header-add") == ["first", "added"]
    assert request.values("x-header-remove") == request.values("x-gone") == [] and request.values("x-stays") == ["2"]
    ask(hop, "/own/x")
    assert seen.requests[-1].values("x-header-set") == ["by-backend"]


def test_HTTPRouteResponseHeaderModification(fleet):
    answer = b"HTTP/1.1 200 OK\r\nX-Gone: 1\r\nX-Set: theirs\r\nX-Add: first\r\nContent-Length: 0\r\n\r\n"
    backend = fleet.backend(lambda connection: [connection.send(answer) for _ in iter(connection.read_request, None)])
    changes = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {
        "set": [{"name": "x-set", "value": "ours"}], "add": [{"name": "x-add", "value": "second"}], "remove": ["x-gone"]}}
    hop = Hop(fleet, [service("svc", ["127.0.0.1:1"]), service("v1", [backend.address])],
              policies=[route("r", "svc", {"filters": [changes], "backendRefs": backends("v1")})])
    response = ask(hop)
    assert response.values("x-set") == ["ours"] and response.values("x-add") == ["first", "second"] and response.header("x-gone") is None


REWRITES = [("/prefix/one", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/one"}, "/prefix/one/two?q=1", "/one/two?q=1"),
            ("/strip", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, "/strip/three", "/three"),
            ("/strip", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, "/strip", "/"),
            ("/strip", {"type": "ReplacePrefixMatch", "replacePrefixMatch": ""}, "/strip?a", "/?a"),
            ("/strip", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/xyz/"}, "/strip/a", "/xyz/a"),
            ("/", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/below"}, "/a/b", "/below/a/b"),
            ("/full", {"type": "ReplaceFullPath", "replaceFullPath": "/one"}, "/full/rewrite?x=2", "/one?x=2")]


@pytest.mark.parametrize(("prefix", "change", "asked", "wanted"), REWRITES)
def test_MeshHTTPRouteRewritePath(fleet, prefix, change, asked, wanted):
    seen = fleet.backend(echo)
    rewrite = {"type": "URLRewrite", "urlRewrite": {"hostname": "other.example", "path": change}}
    hop = Hop(fleet, [service("svc", ["127.0.0.1:1"]), service("v1", [seen.address])],
              policies=[route("r", "svc", {"matches": [path(prefix)], "filters": [rewrite], "backendRefs": backends("v1")})])
    ask(hop, asked)
    assert seen.requests[-1].target == wanted and seen.requests[-1].header("host") == "other.example"
    line = hop.logged(1)
    assert line["path"] == asked.split("?", maxsplit=1)[0] and line["route"] == "HTTPRoute/default/r: rule 1"


REDIRECTS = [({"hostname": "example.org"}, 302, "http://example.org/x/y?q=1"),
             ({"hostname": "example.org", "statusCode": 301}, 301, "http://example.org/x/y?q=1"),
             ({"statusCode": 303, "scheme": "https"}, 303, "https://svc/x/y?q=1"),
             ({"statusCode": 307, "port": 8083}, 307, "http://svc:8083/x/y?q=1"),
             ({"statusCode": 308, "port": 80}, 308, "http://svc/x/y?q=1"),
             ({"scheme": "https", "port": 443}, 302, "https://svc/x/y?q=1"),
             ({"scheme": "https", "port": 8443}, 302, "https://svc:8443/x/y?q=1"),
             ({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/z"}}, 302, "http://svc/z/y?q=1"),
             ({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/full"}}, 302, "http://svc/full?q=1")]


@pytest.mark.parametrize(("redirect", "status", "location"), REDIRECTS)
def test_MeshHTTPRoute_redirects(fleet, redirect, status, location):
    """RedirectHostAndStatus, RedirectPath, RedirectPort, SchemeRedirect, 303Redirect, 307Redirect, 308Redirect."""
    hop = hop_of(fleet, [], route("r", "svc", {"matches": [path("/x")], "filters": [{"type": "RequestRedirect", "requestRedirect": redirect}]}))
    response = ask(hop, "/x/y?q=1")
    assert response.status == status and response.header("location") == location
    assert hop.logged(1)["end"] == "ok"


def test_a_redirect_keeps_the_port_of_the_request(fleet):
    redirect = {"type": "RequestRedirect", "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/full"}}}
    _, services = named(fleet, "svc")
    services[0]["spec"]["ports"][0]["port"] = 8080
    hop = Hop(fleet, services, policies=[route("r", "svc", {"filters": [redirect]})])
    assert ask(hop, host="svc:8080").header("location") == "http://svc:8080/full"


def test_a_redirect_of_a_client_without_a_host_stays_here(fleet):
    """HTTP/1.0 with no Host: Location is a path, and two slashes in front of it would be a host of the client's choice."""
    redirect = {"type": "RequestRedirect", "requestRedirect": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
    backend = service("app", ["127.0.0.1:1"])
    edge = Edge(fleet, [backend], [{}], route("r", [to_gateway()], {"matches": [path("/redir")], "filters": [redirect]}))
    assert exchange(edge.address, "GET /redir//evil.example/ HTTP/1.0\r\n\r\n").header("location") == "/evil.example/"


def test_MeshHTTPRouteNamedRule(fleet):
    hop = hop_of(fleet, ["v1", "v2"], route("r", "svc", {"name": "named-rule", "matches": [path("/named")], "backendRefs": backends("v1")},
                                            {"matches": [path("/unnamed")], "backendRefs": backends("v2")}))
    assert (body_of(ask(hop, "/named")), body_of(ask(hop, "/unnamed"))) == ("v1", "v2")
    assert hop.logged(1, path="/named")["route"] == "HTTPRoute/default/r: named-rule"


def test_MeshPorts(fleet):
    """A route for one port leaves the others as they are, whether the port is told by number or by name."""
    for which in ({"port": 8080}, {"sectionName": "alt"}):
        name = f"h-{next(iter(which)).lower()}"
        both = service("svc", [fleet.backend(reply(200, b"svc")).address])
        both["spec"]["ports"] = [{"name": "main", "port": 80}, {"name": "alt", "port": 8080}]
        hop = Hop(fleet, [both, service("v1", [fleet.backend(reply(200, b"v1")).address])], name=name,
                  policies=[route("r", to_service("svc", **which), {"backendRefs": backends("v1")})])
        assert body_of(ask(hop, host="svc")) == "svc" and body_of(ask(hop, host="svc:8080")) == "v1"


def test_MeshFrontend_endpoints_are_not_affected(fleet):
    """A route of a service is for what asks for the service; its endpoints as a backend of another are not."""
    hop = hop_of(fleet, ["v1", "other"], route("r", "svc", {"backendRefs": backends("v1")}), route("s", "other", {"backendRefs": backends("svc")}))
    assert body_of(ask(hop)) == "v1" and body_of(ask(hop, host="other")) == "svc"


def test_MeshFrontendHostname_hostnames_are_ignored(fleet):
    hop = hop_of(fleet, ["v1", "v2"], route("r", "svc", {"backendRefs": backends("v1")}, hostnames=["elsewhere.example"]),
                 route("s", "v1", {"matches": [headers(host="v1")], "backendRefs": backends("v2")}))
    assert body_of(ask(hop)) == "v1" and body_of(ask(hop, host="v1")) == "v2"


@pytest.mark.parametrize("host", ["v1", "V1", "v1:80", "v1.", "V1.:80"])
def test_a_host_is_matched_in_its_canonical_form(fleet, host):
    """policy.md, Trust: in lower case, without the default port and a dot at the end; so no spelling leads past a rule."""
    hop = hop_of(fleet, ["v1", "v2"], route("r", "v1", {"matches": [headers(host="V1:80")], "backendRefs": backends("v2")}), workers=1)
    assert body_of(ask(hop, host=host)) == "v2"
    assert ask(hop, host=f"x-{host}").status == 502


def test_queries_cost_by_their_length_alone(fleet):
    """However many rules look at however many parameters."""
    rules = [{"matches": [queries(**{f"p{rule}_{number}": "x" for number in range(8)})], "backendRefs": backends("v1")} for rule in range(16)]
    hop = hop_of(fleet, ["v1"], *(route(f"r{number}", "svc", *rules) for number in range(10)), workers=1)
    before = hop.page("/memory")["resident_bytes"]
    for _ in range(20):
        assert ask(hop, "/?" + "&%61" * 2000).status == 404
    assert hop.page("/memory")["resident_bytes"] - before < 16 << 20


def test_MeshConsumerRoute(fleet):
    """A route of the caller's namespace takes the place of the service's own; one of a third namespace is nobody's business here."""
    made, services = named(fleet, "svc", "v1", "v2", "v3")
    for document in services:
        document["metadata"]["namespace"] = "shop"
        document["spec"]["exportTo"] = ["Mesh"]
    far = [{"name": name, "namespace": "shop", "port": 80} for name in made]
    own = route("own", to_service("svc"), {"matches": [path("/producer")], "backendRefs": backends("v1")}, {"backendRefs": backends("v1")}, namespace="shop")
    consumer = route("consumer", to_service("svc", "shop"), {"matches": [path("/consumer")], "backendRefs": [far[2]]})
    third = route("third", to_service("svc", "shop"), {"backendRefs": [far[3]]}, namespace="other")
    hop = Hop(fleet, services, policies=[own, consumer, third])
    assert body_of(ask(hop, "/consumer")) == "v2" and ask(hop, "/producer").status == 404
    plain = Hop(fleet, services, name="plain", policies=[own, third])
    assert body_of(ask(plain, "/producer")) == "v1"


def test_paths_are_compared_in_their_canonical_form(fleet):
    hop = hop_of(fleet, ["v1"], route("r", "svc", {"matches": [path("/caf%C3%a9/x")], "backendRefs": backends("v1")}))
    for target in ("/caf%c3%A9/x/y", "/a/../caf%C3%A9/./x", "/c%61f%C3%A9/x"):
        assert body_of(ask(hop, target)) == "v1", target
    for target in ("/caf%C3%A9//x", "/caf%C3%A9%2Fx", "/caf%C3%A9/X"):
        assert ask(hop, target).status == 404, target


def test_HTTPRouteTimeoutRequest_and_BackendRequest(fleet):
    """A rule's own timeouts win over TrafficPolicy; the log says whose it was."""
    silent = fleet.backend(lambda connection: connection.wait_for_end())
    rules = [{"matches": [path("/request")], "timeouts": {"request": "100ms"}, "backendRefs": backends("v1")},
             {"matches": [path("/try")], "timeouts": {"backendRequest": "100ms"}, "backendRefs": backends("v1")},
             {"name": "by-policy", "matches": [path("/policy")], "backendRefs": backends("v1")}]
    by_policy = traffic("svc", timeouts={"request": "150ms"})
    hop = Hop(fleet, [service("svc", ["127.0.0.1:1"]), service("v1", [silent.address])], policies=[route("r", "svc", *rules), by_policy], workers=1)
    assert [ask(hop, target).status for target in ("/request", "/try", "/policy")] == [504, 504, 504]
    assert [(line["end"], line["policy"]) for line in hop.logged(3)] == [
        ("request_timeout", "HTTPRoute/default/r: rule 1: timeouts.request"), ("try_timeout", "HTTPRoute/default/r: rule 2: timeouts.backendRequest"),
        ("request_timeout", "TrafficPolicy/default/svc-traffic: timeouts.request")]


def test_a_policy_may_be_for_a_route_or_a_rule(fleet):
    silent = fleet.backend(lambda connection: connection.wait_for_end())
    rules = [{"name": "slow", "matches": [path("/slow")], "backendRefs": backends("v1")}, {"name": "other", "backendRefs": backends("v1")}]

    def policy(name, **target):
        document = traffic(name, timeouts={"request": "100ms"})
        document["spec"]["targetRefs"] = [{"kind": "HTTPRoute", "name": "r", **target}]
        return document

    hop = Hop(fleet, [service("svc", ["127.0.0.1:1"]), service("v1", [silent.address])],
              policies=[route("r", "svc", *rules), policy("of-rule", sectionName="slow"), policy("of-route")], workers=1)
    assert ask(hop, "/slow").status == ask(hop, "/x").status == 504
    assert [line["policy"].split(":")[0] for line in hop.logged(2)] == ["TrafficPolicy/default/of-rule-traffic", "TrafficPolicy/default/of-route-traffic"]


def test_routes_come_and_go_with_a_reload(fleet):
    hop = hop_of(fleet, ["v1", "v2"], route("r", "svc", {"backendRefs": backends("v1")}))
    assert body_of(ask(hop)) == "v1"
    hop.documents[-1] = route("r", "svc", {"backendRefs": backends("v2")})
    hop.reload()
    assert body_of(ask(hop)) == "v2"
    hop.documents.pop()
    hop.reload()
    assert body_of(ask(hop)) == "svc"


def test_requests_are_counted_by_rule_and_service(fleet):
    """Numbers outlive new documents as long as these have the rule; then they are in the overflow, so that their sum never falls."""
    rules = ({"name": "split", "matches": [path("/split")], "backendRefs": backends("v1", "v2")}, {"matches": [path("/none")]})
    hop = hop_of(fleet, ["v1", "v2"], route("r", "svc", *rules), workers=2)
    for _ in range(10):
        ask(hop, "/split")
    ask(hop, "/none")
    ask(hop, "/no-rule")

    def count(**labels):
        return hop.figure("http_client_request_duration_seconds_count", **labels)

    split = "HTTPRoute/default/r: split"
    assert sum(count(http_route=split, service=f"default/{backend}:80", http_response_status_code="200") for backend in ("v1", "v2")) == 10
    assert count(http_route="HTTPRoute/default/r: rule 2", service="default/svc:80", error_type="backend_invalid") == 1
    assert count() == 12
    hop.documents[-1] = route("r", "svc", rules[0])
    hop.reload()
    ask(hop, "/split")
    assert count(http_route=split) == 11 and count(otel_metric_overflow="true") == 1 and count() == 13
